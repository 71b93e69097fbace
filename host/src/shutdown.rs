//! L1: the signal to stop.
