//! L4: what is deployed: the log of functions and their artifacts.
