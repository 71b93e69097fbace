//! Reading an answer.

use crate::answer_writer::{EMITTED, MARK, REJECT, RETRY};
use crate::batch::read_mark;
use crate::bytes::Cursor;
use crate::{Emission, LayoutError};

/// An answer, checked.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    count: usize,
    verdicts: Cursor<'a>,
}

/// What a function says of one record.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// It is done, and this is what it emits.
    Emitted(Emissions<'a>),
    /// It wants to try again.
    Retry {
        /// After this many milliseconds; none leaves it to the host.
        after_ms: Option<u64>,
        /// Why.
        reason: &'a str,
    },
    /// It gives the record up.
    Reject {
        /// Why.
        reason: &'a str,
    },
}

/// The emissions of one verdict.
#[derive(Debug, Clone, Copy)]
pub struct Emissions<'a> {
    count: usize,
    encoded: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads an answer, and every verdict and emission of it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        read_mark(&mut cursor, MARK, "answer")?;
        let count = cursor.u32("the number of verdicts")? as usize;
        cursor.u32("reserved")?;
        let verdicts = cursor;
        for _ in 0..count {
            Verdict::read(&mut cursor, true)?;
        }
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the number of verdicts", at: 8 });
        }
        Ok(Self { count, verdicts })
    }

    /// How many verdicts there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The verdicts in the order of the records.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict<'a>> + use<'a> {
        let mut cursor = self.verdicts;
        // Checked by `parse`: a failure can only be the end.
        std::iter::from_fn(move || Verdict::read(&mut cursor, false).ok())
    }
}

impl<'a> Verdict<'a> {
    fn read(outer: &mut Cursor<'a>, check: bool) -> Result<Self, LayoutError> {
        let at = outer.at();
        let kind = outer.u32("the kind of verdict")?;
        let body = outer.bytes("a verdict")?;
        let mut cursor = Cursor::new(body);
        let verdict = match kind {
            EMITTED => {
                let count = cursor.u32("the number of emissions")? as usize;
                let encoded = cursor.rest();
                if !check {
                    return Ok(Self::Emitted(Emissions { count, encoded }));
                }
                for _ in 0..count {
                    Emission::read(&mut cursor, true)?;
                }
                Self::Emitted(Emissions { count, encoded })
            }
            RETRY => {
                let after = cursor.u64("the wait before a retry")?;
                Self::Retry { after_ms: (after != u64::MAX).then_some(after), reason: cursor.text("reason")? }
            }
            REJECT => Self::Reject { reason: cursor.text("reason")? },
            _ => return Err(LayoutError::Impossible { what: "the kind of verdict", at }),
        };
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the size of a verdict", at });
        }
        Ok(verdict)
    }
}

impl<'a> Emissions<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their size in the layout, in bytes: what `limits.output` counts.
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The emissions in order.
    pub fn iter(&self) -> impl Iterator<Item = Emission<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.encoded);
        // Checked by `Answer::parse`: a failure can only be the end.
        std::iter::from_fn(move || Emission::read(&mut cursor, false).ok())
    }
}
