//! Shows events on a terminal as they appear.

use crate::model::record::PastRecord;
use crate::model::stamp::{DeadLetterStamp, RecordStamp};
use crate::terminal::{ColorChoice, escape_for_terminal};

/// What an event that appeared was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventRole {
    Emitted,
    /// A dead letter.
    Dead,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EventPrinter {
    paint: ColorChoice,
}

impl EventPrinter {
    pub(crate) fn new() -> Self {
        Self { paint: ColorChoice::for_stdout() }
    }

    /// Shows an event that the demo or a user publishes.
    pub(crate) fn show_input(self, topic: &str, key: &str, text: &str) {
        println!("{}{}", self.paint.cyan(&head('›', topic, key)), escape_for_terminal(text));
    }

    /// Shows a record that appeared, and returns what it was.
    pub(crate) fn show(self, record: &PastRecord) -> EventRole {
        let (role, line) = self.line(record);
        println!("{line}");
        role
    }

    fn line(self, record: &PastRecord) -> (EventRole, String) {
        let (key, value) = (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
        let (topic, key, value) = (&record.partition.topic, text(key), text(value));
        let stamp = RecordStamp::read(record.headers(), record.value.as_deref());
        if let Some(DeadLetterStamp { class, message, .. }) = stamp.dead_letter {
            let head = self.paint.red(&head('✗', topic, &key));
            let (class, message) = (escape_for_terminal(&class), escape_for_terminal(&message));
            return (EventRole::Dead, format!("{head}{class}: {message}   «{value}»"));
        }
        let shown = format!("{} {value}", escape_for_terminal(stamp.type_.as_deref().unwrap_or_default()));
        let head = self.paint.green(&head('‹', topic, &key));
        (EventRole::Emitted, format!("{head}{}", shown.trim_start()))
    }
}

fn head(mark: char, topic: &str, key: &str) -> String {
    let (topic, key) = (escape_for_terminal(topic), escape_for_terminal(key));
    format!("  {mark} {topic:<16} {key:<6} ")
}

fn text(bytes: &[u8]) -> String {
    escape_for_terminal(&String::from_utf8_lossy(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_play_with_a_terminal_is_escaped() {
        assert_eq!(text(b"plain \xc3\xa9\t\x1b[2J\n"), "plain é\\t\\u{1b}[2J\\n");
    }
}
