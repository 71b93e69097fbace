//! Where a page of dead letters ends, as a text that a client sends back.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Offsets by partition below which one continues: `0:12,1:40`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UpperBounds(pub BTreeMap<i32, i64>);

/// Parts of partitions that are left: `0:12-40,1:0-9`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RemainingRanges(pub BTreeMap<i32, Range<i64>>);

/// A text that no answer of ours had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a cursor of an earlier answer")]
pub(crate) struct NotOurs;

impl fmt::Display for UpperBounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
        formatter.write_str(&parts.join(","))
    }
}

impl FromStr for UpperBounds {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let read = |part: &str| {
            let (partition, offset) = part.split_once(':')?;
            Some((number(partition)?, number(offset)?))
        };
        text.split(',').map(|part| read(part).ok_or(NotOurs)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for RemainingRanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |(partition, offsets): (&i32, &Range<i64>)| format!("{partition}:{}-{}", offsets.start, offsets.end);
        let parts: Vec<String> = self.0.iter().map(part).collect();
        formatter.write_str(&parts.join(","))
    }
}

impl FromStr for RemainingRanges {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let read = |part: &str| {
            let (partition, offsets) = part.split_once(':')?;
            let (start, end) = offsets.split_once('-')?;
            Some((number(partition)?, number(start)?..number(end)?))
        };
        text.split(',').map(|part| read(part).ok_or(NotOurs)).collect::<Result<_, _>>().map(Self)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_their_text() {
        let bounds = UpperBounds([(0, 12), (3, 40)].into());
        assert_eq!((bounds.to_string().as_str(), bounds.to_string().parse()), ("0:12,3:40", Ok(bounds)));
        let parts = RemainingRanges([(0, 12..40), (1, 0..9)].into());
        assert_eq!((parts.to_string().as_str(), parts.to_string().parse()), ("0:12-40,1:0-9", Ok(parts)));
        for wrong in ["", "0", "0:x", "-1:3", "0:1,", "0:-3"] {
            assert_eq!(wrong.parse::<UpperBounds>(), Err(NotOurs), "{wrong}");
            assert_eq!(wrong.parse::<RemainingRanges>(), Err(NotOurs), "{wrong}");
        }
    }
}
