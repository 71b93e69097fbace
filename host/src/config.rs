//! L1: what the user set: the host's configuration and the functions' manifests, raw then validated.
