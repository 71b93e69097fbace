//! Escapes text that a record, a guest or a host's answer chose, so that a terminal only shows it.
//!
//! Control characters move the cursor, retitle the window or answer as if the user had typed. Bidirectional and invisible
//! characters show a text other than the one that is there (CVE-2021-42574). Both become `\u{…}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` on one line: line breaks and tabs are escaped too.
pub(crate) fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let escape = |letter: char| {
        let escaped = is_unsafe(letter).then(|| letter.escape_default());
        escaped.is_none().then_some(letter).into_iter().chain(escaped.into_iter().flatten())
    };
    Cow::Owned(text.chars().flat_map(escape).collect())
}

/// `text` with its line breaks and tabs, and everything else escaped.
pub(crate) fn escape_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Split, not `lines()`: that takes a carriage return away, which moves the cursor.
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            escaped.push('\n');
        }
        for (index, part) in line.split('\t').enumerate() {
            if index > 0 {
                escaped.push('\t');
            }
            escaped.push_str(&escape_for_terminal(part));
        }
    }
    escaped
}

/// Serialized JSON, which stays the same JSON: unsafe characters in its strings become `\u202e`. JSON itself requires that
/// only of the first 32.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter == '\n' || !is_unsafe(letter) {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

fn is_unsafe(letter: char) -> bool {
    match letter {
        ' '..='~' => false,
        _ => letter.is_control() || is_invisible(letter),
    }
}

/// Characters that take no room, turn the direction of text, or break lines.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_acts_on_a_terminal_is_escaped() {
        for (text, shown) in [
            ("plain é 漢 👍 \\ \"", "plain é 漢 👍 \\ \""),
            ("\u{1b}[2J\u{7}\u{7f}\0", "\\u{1b}[2J\\u{7}\\u{7f}\\u{0}"),
            ("c1 \u{9b}31m\u{90}\u{85}", "c1 \\u{9b}31m\\u{90}\\u{85}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{202e}txt\u{2066}\u{200f}\u{61c}", "\\u{202e}txt\\u{2066}\\u{200f}\\u{61c}"),
            ("\u{200b}\u{feff}\u{2028}\u{2029}\u{e0041}", "\\u{200b}\\u{feff}\\u{2028}\\u{2029}\\u{e0041}"),
        ] {
            assert_eq!(escape_for_terminal(text), shown);
        }
    }

    #[test]
    fn lines_and_tabs_may_stay() {
        assert_eq!(escape_lines("a\n\tb\r\n\u{1b}c\n"), "a\n\tb\\r\n\\u{1b}c\n");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{1b}[2J\n\u{9b}", "\u{e0041} é"], "b": 1 });
        let escaped = escape_json(&format!("{value:#}"));
        assert!(escaped.chars().all(|letter| letter == '\n' || !is_unsafe(letter)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
