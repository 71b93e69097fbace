//! Properties of the layout: what is written is read again, and no bytes, however broken, do harm.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod hostile;
mod owned;
mod round_trip;
