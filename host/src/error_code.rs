//! L1: stable error codes.
