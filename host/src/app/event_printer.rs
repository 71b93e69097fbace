//! Shows events on a terminal as they appear.

use std::io::IsTerminal as _;

use crate::model::record::PastRecord;
use crate::model::stamp::{DeadLetterStamp, RecordStamp};

/// What an event that appeared was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventRole {
    Emitted,
    /// A function gave it up.
    Dead,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EventPrinter {
    is_coloured: bool,
}

impl EventPrinter {
    pub(crate) fn new() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_coloured: std::io::stdout().is_terminal() && !is_unwanted }
    }

    /// Shows an event that is published to an input.
    pub(crate) fn show_input(self, topic: &str, key: &str, text: &str) {
        self.print('›', "36", topic, key, text);
    }

    /// Shows a record that appeared, and returns what it was.
    pub(crate) fn show(self, record: &PastRecord) -> EventRole {
        let (key, value) = (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
        let (topic, key, value) = (&record.partition.topic, text(key), text(value));
        let stamp = RecordStamp::read(record.headers(), record.value.as_deref());
        if let Some(DeadLetterStamp { class, message, .. }) = stamp.dead_letter {
            let reason = format!("{}: {}   «{value}»", text(class.as_bytes()), text(message.as_bytes()));
            self.print('✗', "31", topic, &key, &reason);
            return EventRole::Dead;
        }
        let type_ = text(stamp.type_.as_deref().unwrap_or_default().as_bytes());
        self.print('‹', "32", topic, &key, format!("{type_} {value}").trim_start());
        EventRole::Emitted
    }

    fn print(self, mark: char, colour: &str, topic: &str, key: &str, text: &str) {
        let line = format!("  {mark} {topic:<16} {key:<6} ");
        if self.is_coloured {
            println!("\x1b[{colour}m{line}\x1b[0m{text}");
        } else {
            println!("{line}{text}");
        }
    }
}

/// Bytes of somebody's event, without what could play with a terminal.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let escaped = text.chars().flat_map(|c| match c {
        '\t' => vec![c],
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_play_with_a_terminal_is_escaped() {
        assert_eq!(text(b"plain \xc3\xa9\t\x1b[2J\n"), "plain é\t\\u{1b}[2J\\n");
    }
}
