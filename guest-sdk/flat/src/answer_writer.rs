//! Writing an answer: one verdict for each record, in order.

use crate::VERSION;
use crate::bytes::{patch_u32, put_bytes, put_u32};
use crate::emission::{self, EmissionFields};

pub(crate) const MARK: &[u8; 4] = b"MSAN";
pub(crate) const EMITTED: u32 = 0;
pub(crate) const RETRY: u32 = 1;
pub(crate) const REJECT: u32 = 2;
const COUNT_AT: usize = 8;

/// Writes an answer.
#[derive(Debug)]
pub struct AnswerWriter {
    out: Vec<u8>,
    verdicts: u32,
    /// Where the verdict under way starts, and how many emissions it has.
    open: Option<(usize, u32)>,
}

impl Default for AnswerWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerWriter {
    /// An answer without verdicts.
    pub fn new() -> Self {
        Self::with_buffer(Vec::new())
    }

    /// The same, in the memory of `out`.
    pub fn with_buffer(mut out: Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(MARK);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 10]);
        Self { out, verdicts: 0, open: None }
    }

    /// Starts the verdict "emitted"; follow it with [`Self::emission`] and [`Self::end_emitted`].
    pub fn begin_emitted(&mut self) {
        let start = self.begin(EMITTED);
        put_u32(&mut self.out, 0);
        self.open = Some((start, 0));
    }

    /// Adds an emission to the verdict that was started.
    pub fn emission(&mut self, fields: &EmissionFields<'_>) {
        debug_assert!(self.open.is_some(), "begin_emitted comes first");
        emission::write(&mut self.out, fields);
        if let Some((_, count)) = &mut self.open {
            *count += 1;
        }
    }

    /// Ends the verdict that was started.
    pub fn end_emitted(&mut self) {
        debug_assert!(self.open.is_some(), "begin_emitted comes first");
        if let Some((start, count)) = self.open.take() {
            patch_u32(&mut self.out, start + 8, count);
            self.end(start);
        }
    }

    /// Adds the verdict "retry", with the wait that the function asks for.
    pub fn retry(&mut self, after_ms: Option<u64>, reason: &str) {
        let start = self.begin(RETRY);
        self.out.extend_from_slice(&after_ms.unwrap_or(u64::MAX).to_le_bytes());
        put_bytes(&mut self.out, reason.as_bytes());
        self.end(start);
    }

    /// Adds the verdict "reject".
    pub fn reject(&mut self, reason: &str) {
        let start = self.begin(REJECT);
        put_bytes(&mut self.out, reason.as_bytes());
        self.end(start);
    }

    /// The answer.
    pub fn finish(mut self) -> Vec<u8> {
        patch_u32(&mut self.out, COUNT_AT, self.verdicts);
        self.out
    }

    fn begin(&mut self, kind: u32) -> usize {
        let start = self.out.len();
        put_u32(&mut self.out, kind);
        put_u32(&mut self.out, 0);
        start
    }

    fn end(&mut self, start: usize) {
        let body = (self.out.len() - start - 8) as u32;
        patch_u32(&mut self.out, start + 4, body);
        self.verdicts += 1;
    }
}
