//! Readers of single values: each makes a typed value of a node or says what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::node::ConfigNode;
use crate::config::quantity::{self, cut, format_duration, format_size};
use crate::config::suggest::nearest;

pub(crate) type ReadResult<T> = Result<T, String>;

pub(crate) fn text(node: &ConfigNode) -> ReadResult<String> {
    match node {
        ConfigNode::Text(text) | ConfigNode::Untyped(text) => Ok(text.clone()),
        other => Err(wrong_kind("a text", other, "put it in quotation marks")),
    }
}

/// A text that is not empty.
pub(crate) fn non_empty_text(node: &ConfigNode) -> ReadResult<String> {
    let text = text(node)?;
    if text.trim().is_empty() { Err("is empty: give it a value or leave the key out".to_owned()) } else { Ok(text) }
}

pub(crate) fn boolean(node: &ConfigNode) -> ReadResult<bool> {
    match node {
        ConfigNode::Boolean(value) => Ok(*value),
        ConfigNode::Untyped(text) => {
            text.trim().parse().map_err(|_| format!("\"{}\" is not a boolean: write true or false", cut(text)))
        }
        other => Err(wrong_kind("a boolean", other, "write true or false")),
    }
}

/// A whole number within `range`.
pub(crate) fn integer<N>(range: RangeInclusive<N>) -> impl Fn(&ConfigNode) -> ReadResult<N>
where
    N: Copy + PartialOrd + Display + TryFrom<i64>,
{
    move |node| {
        let number = match node {
            ConfigNode::Integer(number) => *number,
            ConfigNode::Untyped(text) => {
                text.trim().parse().map_err(|_| format!("\"{}\" is not a whole number", cut(text)))?
            }
            ConfigNode::Text(text) if text.trim().parse::<i64>().is_ok() => {
                return Err(format!("\"{}\" is a text: write the number without quotation marks", cut(text)));
            }
            other => return Err(wrong_kind("a whole number", other, "write it without unit or fraction")),
        };
        let in_range = N::try_from(number).ok().filter(|number| range.contains(number));
        in_range.ok_or_else(|| format!("{number} is out of range: choose {} to {}", range.start(), range.end()))
    }
}

/// A share: from 0 (none) to 1 (all).
pub(crate) fn ratio(node: &ConfigNode) -> ReadResult<f64> {
    let share = match node {
        ConfigNode::Float(number) => *number,
        ConfigNode::Integer(number) => *number as f64,
        ConfigNode::Untyped(text) => text.trim().parse().map_err(|_| format!("\"{}\" is not a number", cut(text)))?,
        other => return Err(wrong_kind("a number", other, "write it without quotation marks, such as 0.01")),
    };
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("{share} is out of range: choose 0 to 1")) }
}

pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&ConfigNode) -> ReadResult<Duration> {
    move |node| {
        let duration = quantity::parse_duration(&quantity_text(node, "a duration", "ms")?)?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let (shortest, longest) = (format_duration(*range.start()), format_duration(*range.end()));
        Err(format!("{} is out of range: choose {shortest} to {longest}", format_duration(duration)))
    }
}

/// One duration, or a range of them.
pub(crate) fn duration_range(node: &ConfigNode) -> ReadResult<(Duration, Duration)> {
    quantity::parse_duration_range(&quantity_text(node, "a duration", "ms")?)
}

/// A size within `range`, in bytes.
pub(crate) fn size(range: RangeInclusive<u64>) -> impl Fn(&ConfigNode) -> ReadResult<u64> {
    move |node| {
        let bytes = quantity::parse_size(&quantity_text(node, "a size", "MiB")?)?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (least, most) = (format_size(*range.start()), format_size(*range.end()));
        Err(format!("{} is out of range: choose {least} to {most}", format_size(bytes)))
    }
}

/// One of a few words.
pub(crate) fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&ConfigNode) -> ReadResult<T> {
    move |node| {
        let word = text(node)?;
        if let Some((_, value)) = words.iter().find(|(known, _)| *known == word) {
            return Ok(*value);
        }
        let choices: Vec<String> = words.iter().map(|(known, _)| format!("\"{known}\"")).collect();
        let meant = nearest(&word, words.iter().map(|(known, _)| *known));
        let meant = meant.map(|meant| format!(" (did you mean \"{meant}\"?)")).unwrap_or_default();
        Err(format!("\"{}\" is unknown{meant}: choose {}", cut(&word), choices.join(", ")))
    }
}

/// A list, each element read by `read`.
pub(crate) fn list<T>(read: impl Fn(&ConfigNode) -> ReadResult<T>) -> impl Fn(&ConfigNode) -> ReadResult<Vec<T>> {
    move |node| match node {
        ConfigNode::List(elements) => elements.iter().map(&read).collect(),
        other => Err(wrong_kind("a list", other, "write it in square brackets, such as [\"a\", \"b\"]")),
    }
}

/// A topic's name, as Kafka allows it.
pub(crate) fn topic(node: &ConfigNode) -> ReadResult<String> {
    let name = text(node)?;
    if name.starts_with('^') {
        return Err(format!("\"{}\" is a pattern: name it with topics_pattern, without \"^\"", cut(&name)));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_topic = (1..=249).contains(&name.len()) && name.bytes().all(is_allowed) && name != "." && name != "..";
    if is_topic {
        return Ok(name);
    }
    Err(format!(
        "\"{}\" is not a topic name: use 1 to 249 of the characters a-z, A-Z, 0-9, \".\", \"_\" and \"-\"",
        cut(&name)
    ))
}

/// Says that `found` is not `expected`.
pub(crate) fn wrong_kind(expected: &str, found: &ConfigNode, advice: &str) -> String {
    format!("expected {expected}, found {}: {advice}", found.kind())
}

fn quantity_text(node: &ConfigNode, expected: &str, unit: &str) -> ReadResult<String> {
    match node {
        ConfigNode::Text(text) | ConfigNode::Untyped(text) => Ok(text.clone()),
        ConfigNode::Integer(number) => {
            Err(format!("{number} has no unit: write {expected} such as \"{number}{unit}\""))
        }
        ConfigNode::Float(number) => Err(format!("{number} has no unit: write {expected} such as \"{number}{unit}\"")),
        other => Err(wrong_kind(expected, other, &format!("write a number and a unit, such as \"100{unit}\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_refused_with_a_unit_to_add() {
        assert!(size(0..=u64::MAX)(&ConfigNode::Integer(128)).unwrap_err().contains("\"128MiB\""));
        assert!(duration(Duration::ZERO..=quantity::LONGEST)(&ConfigNode::Integer(5)).unwrap_err().contains("\"5ms\""));
    }

    #[test]
    fn variables_take_the_type_that_is_asked_for() {
        assert_eq!(integer(1..=9usize)(&ConfigNode::Untyped("4".to_owned())), Ok(4));
        assert_eq!(boolean(&ConfigNode::Untyped("true".to_owned())), Ok(true));
        assert_eq!(text(&ConfigNode::Untyped("4".to_owned())), Ok("4".to_owned()));
        assert!(integer(1..=9usize)(&ConfigNode::Text("4".to_owned())).is_err());
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert!(integer(1..=9usize)(&ConfigNode::Integer(0)).unwrap_err().contains("1 to 9"));
        assert!(integer(1..=9usize)(&ConfigNode::Integer(-1)).is_err());
        assert!(integer(1..=9u8)(&ConfigNode::Integer(1 << 40)).is_err());
        assert_eq!(ratio(&ConfigNode::Integer(1)), Ok(1.0));
        assert_eq!(ratio(&ConfigNode::Untyped("0.25".to_owned())), Ok(0.25));
        for wrong in [
            ConfigNode::Float(1.5),
            ConfigNode::Float(f64::NAN),
            ConfigNode::Integer(-1),
            ConfigNode::Text("0.5".to_owned()),
        ] {
            assert!(ratio(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn topics_are_named_as_kafka_allows() {
        assert_eq!(topic(&ConfigNode::Text("bids.v1_a-b".to_owned())), Ok("bids.v1_a-b".to_owned()));
        for bad in ["", ".", "..", "a b", "ü", "^bids", &"a".repeat(250)] {
            assert!(topic(&ConfigNode::Text(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
