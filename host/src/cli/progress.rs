//! What a person wants to know while a verb runs.

use std::fmt::Display;
use std::io::{self, Write};

/// Tells `what` on stderr. That nobody reads it is no reason to stop.
pub(super) fn tell(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}
