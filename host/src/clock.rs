//! L1: time.
