//! Shows events as they appear, to whoever sits before a terminal.

use std::io::IsTerminal as _;

use crate::kafka::read::topic_watch::AppearedRecord;

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

    /// Shows an event that somebody puts in.
    pub(crate) fn show_input(self, topic: &str, key: &str, text: &str) {
        self.print('›', "36", topic, key, text);
    }

    /// Shows a record that appeared, and tells what it was.
    pub(crate) fn show(self, record: &AppearedRecord) -> EventRole {
        let header = |name: &str| {
            let found = record.headers.iter().find(|(found, _)| found == name);
            text(found.map_or(&[][..], |(_, value)| value))
        };
        let (key, value) = (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
        let (key, value) = (text(key), text(value));
        let class = header("millstream-error-class");
        if !class.is_empty() {
            let reason = format!("{class}: {}   «{value}»", header("millstream-error-message"));
            self.print('✗', "31", &record.topic, &key, &reason);
            return EventRole::Dead;
        }
        self.print('‹', "32", &record.topic, &key, format!("{} {value}", header("ce_type")).trim_start());
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
