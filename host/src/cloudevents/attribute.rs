//! What CloudEvents 1.0 and the host allow of an attribute.
//!
//! Of what guests emit only the values are checked here, since that is on the hot path; `emit` checks names as it writes
//! them.

use std::fmt;
use std::str::FromStr as _;

use toml::value::Datetime;

/// Names that the JSON format uses for the data.
const DATA: [&str; 2] = ["data", "data_base64"];
/// What the host stamps on events begins so.
const OWNED: &str = "millstream";
/// Names and values beyond any sense.
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 64 * 1024;

/// Checks the name and the value of an attribute that someone from outside gives.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if DATA.contains(&name) {
        return Err(format!("\"{shown}\" is the data's name, no attribute's: send the data as the body"));
    }
    if !is_name || name.len() > LONGEST_NAME {
        return Err(format!("\"{}\" is not an attribute's name: only a-z and 0-9 are allowed", shown.escape_debug()));
    }
    if name.starts_with(OWNED) {
        return Err(format!("attribute {shown} is the host's to set: names that begin with \"{OWNED}\" are reserved"));
    }
    if let Some(character) = forbidden(value) {
        return Err(format!("attribute {shown} holds {character}"));
    }
    if value.len() > LONGEST_VALUE {
        return Err(format!("attribute {shown} has more than {LONGEST_VALUE} bytes"));
    }
    let is_given = !value.is_empty();
    match name {
        "time" if !is_moment(value) => {
            Err("time is not a timestamp of RFC 3339, such as 2026-01-31T23:59:59Z".to_owned())
        }
        "source" | "dataschema" if is_given && !is_reference(value) => {
            Err(format!("{name} is not a URI reference: it holds a space or a quotation mark"))
        }
        "subject" | "dataschema" | "datacontenttype" if !is_given => {
            Err(format!("{name} is empty: leave it out instead"))
        }
        "datacontenttype" if !is_media_type(value) => {
            Err("datacontenttype is not a media type, such as application/json".to_owned())
        }
        _ => Ok(()),
    }
}

/// A character that no attribute may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForbiddenCharacter(char);

impl fmt::Display for ForbiddenCharacter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the control character U+{:04X}, which CloudEvents 1.0 forbids", u32::from(self.0))
    }
}

/// The first character of `value` that the type String of CloudEvents excludes, of what a text can hold.
pub(crate) fn forbidden(value: &str) -> Option<ForbiddenCharacter> {
    // Nearly all values are printable ASCII, and to see that takes no decoding.
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let is_noncharacter = |c: char| (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    value.chars().find(|c| c.is_control() || is_noncharacter(*c)).map(ForbiddenCharacter)
}

fn is_moment(text: &str) -> bool {
    // The crate reads TOML's dates: RFC 3339, but also parts of it, and without the "T" and "Z" in lower case.
    let upper = text.to_ascii_uppercase();
    Datetime::from_str(&upper)
        .is_ok_and(|moment| moment.date.is_some() && moment.time.is_some() && moment.offset.is_some())
}

fn is_reference(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(is_allowed)
    };
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_noncharacters_are_found_and_nothing_else() {
        for good in ["", "plain ~", "Euro €", "👍", "\u{feff}", "\u{a0}"] {
            assert_eq!(forbidden(good), None, "{good:?}");
        }
        for wrong in ["a\r\nb", "\t", "\0", "\u{7f}", "é\u{85}", "\u{fdd0}", "\u{ffff}", "\u{1fffe}"] {
            assert!(forbidden(wrong).is_some(), "{wrong:?}");
        }
        let told = forbidden("a\rb").map(|character| character.to_string()).unwrap_or_default();
        assert!(told.contains("U+000D"), "{told}");
    }
}
