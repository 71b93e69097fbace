//! A record as it lies in Kafka, and its headers.
//!
//! The name of a header is bytes: Kafka does not look at it. What a guest's types cannot hold is left out for the guest, and
//! only there ([`RecordHeaders`]).

use std::ops::Range;

use crate::model::position::TopicPartition;

/// A header's name and value.
pub(crate) type HeaderRef<'a> = (&'a [u8], Option<&'a [u8]>);

/// A header's name and value, owned.
pub(crate) type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

/// A header whose name is text, as guests see it.
pub(crate) type TextHeader<'a> = (&'a str, Option<&'a [u8]>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastRecord {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    /// The value; none for a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    /// All headers in order.
    pub(crate) headers: Vec<OwnedHeader>,
}

impl PastRecord {
    pub(crate) fn headers(&self) -> impl Iterator<Item = HeaderRef<'_>> + Clone {
        header_refs(&self.headers)
    }
}

pub(crate) fn header_refs(headers: &[OwnedHeader]) -> impl Iterator<Item = HeaderRef<'_>> + Clone {
    headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()))
}

/// A record's headers on their way to a guest.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordHeaders<'a> {
    /// Those whose names are UTF-8.
    text: Vec<TextHeader<'a>>,
    /// All of them, where `text` lacks some.
    all: Option<Vec<HeaderRef<'a>>>,
}

impl<'a> RecordHeaders<'a> {
    pub(crate) fn push(&mut self, (name, value): HeaderRef<'a>) {
        match std::str::from_utf8(name) {
            Ok(text) => {
                self.text.push((text, value));
                if let Some(all) = &mut self.all {
                    all.push((name, value));
                }
            }
            Err(_) => {
                let so_far = || self.text.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
                self.all.get_or_insert_with(so_far).push((name, value));
            }
        }
    }

    /// What a guest sees.
    pub(crate) fn text(&self) -> &[TextHeader<'a>] {
        &self.text
    }

    /// All headers, where a guest does not see them all: kept for the record's dead letter.
    pub(crate) fn beyond_text(&self) -> Option<&[HeaderRef<'a>]> {
        self.all.as_deref()
    }
}

impl<'a> FromIterator<HeaderRef<'a>> for RecordHeaders<'a> {
    fn from_iter<I: IntoIterator<Item = HeaderRef<'a>>>(headers: I) -> Self {
        let mut read = Self::default();
        headers.into_iter().for_each(|header| read.push(header));
        read
    }
}

impl<'a> FromIterator<TextHeader<'a>> for RecordHeaders<'a> {
    fn from_iter<I: IntoIterator<Item = TextHeader<'a>>>(headers: I) -> Self {
        Self { text: headers.into_iter().collect(), all: None }
    }
}

/// The length of a value that is null.
const NULL: u32 = u32::MAX;

/// Appends headers to `arena`, for [`unpack_headers`].
pub(crate) fn pack_headers(arena: &mut Vec<u8>, headers: &[HeaderRef<'_>]) -> Range<u32> {
    let start = arena.len() as u32;
    for (name, value) in headers {
        arena.extend_from_slice(&(name.len() as u32).to_le_bytes());
        arena.extend_from_slice(name);
        arena.extend_from_slice(&value.map_or(NULL, |value| value.len() as u32).to_le_bytes());
        arena.extend_from_slice(value.unwrap_or_default());
    }
    start..arena.len() as u32
}

/// The headers that [`pack_headers`] wrote.
pub(crate) fn unpack_headers(mut packed: &[u8]) -> impl Iterator<Item = HeaderRef<'_>> {
    let number = |packed: &mut &[u8]| {
        let (number, rest) = packed.split_first_chunk::<4>()?;
        *packed = rest;
        Some(u32::from_le_bytes(*number))
    };
    std::iter::from_fn(move || {
        let name = number(&mut packed)? as usize;
        let (name, rest) = packed.split_at_checked(name)?;
        packed = rest;
        let value = match number(&mut packed)? {
            NULL => None,
            length => {
                let (value, rest) = packed.split_at_checked(length as usize)?;
                packed = rest;
                Some(value)
            }
        };
        Some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_guest_sees_the_headers_whose_names_are_text() {
        let all: [HeaderRef<'_>; 4] =
            [(b"a", Some(b"1")), (b"caf\xe9", Some(b"\xff")), (b"\xff\xfe", None), (b"a", None)];
        let headers: RecordHeaders<'_> = all.into_iter().collect();
        assert_eq!(headers.text(), [("a", Some(&b"1"[..])), ("a", None)]);
        assert_eq!(headers.beyond_text(), Some(&all[..]));

        let headers: RecordHeaders<'_> = [all[0], all[3]].into_iter().collect();
        assert_eq!((headers.text().len(), headers.beyond_text()), (2, None));
    }

    proptest! {
        #[test]
        fn packed_headers_come_back_byte_for_byte(headers: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
            let refs: Vec<HeaderRef<'_>> = header_refs(&headers).collect();
            let mut arena = b"before".to_vec();
            let range = pack_headers(&mut arena, &refs);
            arena.extend_from_slice(b"after");
            let packed = &arena[range.start as usize..range.end as usize];
            prop_assert_eq!(unpack_headers(packed).collect::<Vec<_>>(), refs);
        }
    }
}
