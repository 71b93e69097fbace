//! The Kafka trigger: named topics or a pattern, one of the two.

use std::collections::BTreeSet;

use crate::config::node::ConfigNode;
use crate::config::quantity::cut;
use crate::config::section::ConfigSection;
use crate::config::value::{self, ReadResult};
use crate::model::function::TopicSelection;
use crate::model::inputs::whole_name;

/// Reads `topics` or `topics_pattern`; with a schedule there may be neither.
pub(crate) fn read(root: &ConfigSection<'_>, has_schedule: bool) -> Option<TopicSelection> {
    let named = root.optional("topics", topic_list);
    let pattern = root.optional("topics_pattern", pattern);
    match (named?, pattern?) {
        (Some(_), Some(_)) => {
            root.refuse("topics_pattern", "excludes \"topics\": keep one of the two");
            None
        }
        (Some(named), None) => Some(TopicSelection::Named(named)),
        (None, Some(pattern)) => Some(TopicSelection::Pattern(pattern)),
        (None, None) if has_schedule => Some(TopicSelection::Named(Vec::new())),
        (None, None) => {
            root.refuse(
                "topics",
                "is missing: name at least one topic, such as topics = [\"bids\"], or a topics_pattern, or a [schedule]",
            );
            None
        }
    }
}

fn topic_list(node: &ConfigNode) -> ReadResult<Vec<String>> {
    let topics = value::list(value::topic)(node)?;
    if topics.is_empty() {
        return Err("is empty: name at least one topic".to_owned());
    }
    let mut seen = BTreeSet::new();
    match topics.iter().find(|topic| !seen.insert(topic.as_str())) {
        Some(twice) => Err(format!("names \"{twice}\" twice: name each topic once")),
        None => Ok(topics),
    }
}

fn pattern(node: &ConfigNode) -> ReadResult<String> {
    let pattern = value::non_empty_text(node)?;
    if pattern.len() > 1000 {
        return Err("is longer than 1000 bytes: shorten it".to_owned());
    }
    if let Some(unknown) = not_posix(&pattern) {
        return Err(format!(
            "\"{}\" uses {unknown}, which Kafka's client does not know: keep to POSIX extended expressions, such as [0-9]",
            cut(&pattern)
        ));
    }
    match whole_name(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => Err(format!("\"{}\" is not a regular expression: {error}", cut(&pattern))),
    }
}

/// What in `pattern` the client library, which matches it as a POSIX extended expression, would take for something else.
fn not_posix(pattern: &str) -> Option<&'static str> {
    let mut previous = '\0';
    for c in pattern.chars() {
        match (previous, c) {
            ('\\', c) if c.is_ascii_alphanumeric() => return Some("a class or anchor like \\d"),
            ('(', '?') => return Some("a group with (?"),
            ('*' | '+' | '?' | '}', '?') => return Some("a lazy repetition"),
            _ => {}
        }
        // An escaped character is itself and escapes nothing.
        previous = if previous == '\\' { '\0' } else { c };
    }
    None
}
