//! Reading and writing numbers, bytes and texts in a buffer.

use crate::LayoutError;

/// A length that means "no value".
pub(crate) const NONE: u32 = u32::MAX;

/// A place in a buffer that moves forward and never beyond its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Of the whole buffer.
    length: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer, length: buffer.len() }
    }

    pub(crate) fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been passed yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], LayoutError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else { return Err(self.cut_short(what)) };
        self.rest = rest;
        Ok(taken)
    }

    /// Moves behind `expected` where that is what follows.
    #[inline]
    pub(crate) fn skip(&mut self, expected: &[u8]) -> bool {
        let behind = self.rest.strip_prefix(expected);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, LayoutError> {
        self.array(what).map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, LayoutError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, LayoutError> {
        self.array(what).map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], LayoutError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else { return Err(self.cut_short(what)) };
        self.rest = rest;
        Ok(*taken)
    }

    #[cold]
    fn cut_short(&self, what: &'static str) -> LayoutError {
        LayoutError::CutShort { what, at: self.at() }
    }

    /// A length and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], LayoutError> {
        let length = self.u32(what)?;
        self.take(length as usize, what)
    }

    /// A length and as many bytes, or the length that means none.
    #[inline]
    pub(crate) fn optional_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, LayoutError> {
        match self.u32(what)? {
            NONE => Ok(None),
            length => self.take(length as usize, what).map(Some),
        }
    }

    /// A length and as many bytes of UTF-8.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, LayoutError> {
        let at = self.at();
        std::str::from_utf8(self.bytes(what)?).map_err(|_| LayoutError::NotText { what, at })
    }
}

#[inline]
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, length(bytes));
    out.extend_from_slice(bytes);
}

#[inline]
pub(crate) fn put_optional_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(out, bytes),
        None => put_u32(out, NONE),
    }
}

/// The length of what is written. Kafka's messages and Wasm's 32-bit memories both stay far below the limit.
pub(crate) fn length(bytes: &[u8]) -> u32 {
    debug_assert!(bytes.len() < NONE as usize, "a field of 4 GiB does not fit the layout");
    bytes.len() as u32
}

pub(crate) fn patch_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Pads so that the next part starts at a multiple of eight.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize) {
    let length = (out.len() - start).next_multiple_of(8);
    out.resize(start + length, 0);
}
