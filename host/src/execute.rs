//! L4: runs a function on records, wherever they came from: attempts, encoding, retries, dead letters.
//!
//! ```text
//!  consumer ──► consume::Intake ─┐                               ┌─► a worker's parcel (pipeline)
//!  call, redrive, replay,        ├─► admit ─► chunks ─► attempts ─┼─► completion: redrive, replay, shadow
//!  shadow, test, bench ──► work ─┘                               └─► a call's answer, `test`, `bench`
//! ```

pub(crate) mod attempts;
pub(crate) mod completion;
pub(crate) mod revisions;
pub(crate) mod work;

#[cfg(test)]
mod tests;
