//! A request: a head, and records behind it.

use crate::bytes::{Cursor, pad, put_bytes, put_u32};
use crate::{LayoutError, Record, VERSION};

const MARK: &[u8; 4] = b"MSRQ";

/// Starts a request in `out`, which is emptied. Then append `count` records as [`crate::write_record`] wrote them.
///
/// `deadline_ms` is when the call is ended: milliseconds since the Unix epoch.
pub fn begin_batch(out: &mut Vec<u8>, count: u32, deadline_ms: u64, cluster: &str) {
    out.clear();
    out.extend_from_slice(MARK);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&deadline_ms.to_le_bytes());
    put_u32(out, count);
    put_bytes(out, cluster.as_bytes());
    pad(out, 0);
}

/// A request, checked.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    deadline_ms: u64,
    cluster: &'a str,
    count: usize,
    records: Cursor<'a>,
}

impl<'a> Batch<'a> {
    /// Reads a request and every record of it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(bytes);
        read_mark(&mut cursor, MARK, "request")?;
        let deadline_ms = cursor.u64("deadline")?;
        let count = cursor.u32("the number of records")? as usize;
        let cluster = cursor.text("cluster")?;
        cursor.take(cursor.at().next_multiple_of(8) - cursor.at(), "padding")?;
        let records = cursor;
        for _ in 0..count {
            Record::read(&mut cursor, cluster, true)?;
        }
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the number of records", at: 16 });
        }
        Ok(Self { deadline_ms, cluster, count, records })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// When the call is ended: milliseconds since the Unix epoch.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &'a str {
        self.cluster
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let (mut cursor, cluster) = (self.records, self.cluster);
        // Checked by `parse`: a failure can only be the end.
        std::iter::from_fn(move || Record::read(&mut cursor, cluster, false).ok())
    }
}

/// Reads the mark and the version that a buffer starts with.
pub(crate) fn read_mark(cursor: &mut Cursor<'_>, mark: &[u8; 4], expected: &'static str) -> Result<(), LayoutError> {
    if cursor.take(4, "the mark")? != mark {
        return Err(LayoutError::WrongMark { expected });
    }
    let found = cursor.u16("version")?;
    cursor.u16("reserved")?;
    if found != VERSION {
        return Err(LayoutError::WrongVersion { found, expected: VERSION });
    }
    Ok(())
}
