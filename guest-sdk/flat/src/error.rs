//! What can be wrong with a buffer.

/// Why a buffer can't be read. Positions are bytes from the start of the part that was being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The buffer ends before what it announces.
    #[error("the buffer ends within {what}, which starts at byte {at}")]
    CutShort {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A text is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    NotText {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// It does not start as this kind of buffer does.
    #[error("this is not a {expected}: it does not start with its mark")]
    WrongMark {
        /// What was wanted.
        expected: &'static str,
    },
    /// Another version wrote it.
    #[error("the buffer has version {found} of the layout, this side reads version {expected}")]
    WrongVersion {
        /// The buffer's.
        found: u16,
        /// This side's.
        expected: u16,
    },
    /// A field has a value that it can't have.
    #[error("{what} at byte {at} has an impossible value")]
    Impossible {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
}
