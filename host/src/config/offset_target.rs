//! A place in a topic as people name it: its beginning, its end, an offset, a moment, or an age.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::clock::unix_ms;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetTarget {
    /// At the first record that is still there.
    Earliest,
    Latest,
    Offset(i64),
    /// At the first record that is not older: milliseconds since the Unix epoch.
    Time(i64),
}

impl OffsetTarget {
    /// Reads `earliest`, `latest`, an offset such as `1200`, a moment such as `2026-01-31T23:59:59Z`, or an age such as
    /// `-1h`, counted from `now`.
    pub(crate) fn parse(text: &str, now: SystemTime) -> Result<Self, String> {
        let text = text.trim();
        let refused = || {
            let shown: String = text.chars().take(80).collect();
            format!(
                "\"{shown}\" is not a place in a topic: write earliest, latest, an offset such as 1200, a moment such as \
                 2026-01-31T23:59:59Z, or an age such as -1h"
            )
        };
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Offset).map_err(|_| refused());
        }
        let moment = match text.strip_prefix('-') {
            Some(age) => humantime::parse_duration(age).ok().map(|age| now.checked_sub(age).unwrap_or(UNIX_EPOCH)),
            None => humantime::parse_rfc3339_weak(text).ok(),
        };
        Ok(Self::Time(i64::try_from(unix_ms(moment.ok_or_else(refused)?)).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let now = UNIX_EPOCH + Duration::from_secs(7200);
        let parse = |text| OffsetTarget::parse(text, now);
        assert_eq!(parse("earliest"), Ok(OffsetTarget::Earliest));
        assert_eq!(parse(" latest "), Ok(OffsetTarget::Latest));
        assert_eq!(parse("1200"), Ok(OffsetTarget::Offset(1200)));
        assert_eq!(parse("-1h"), Ok(OffsetTarget::Time(3_600_000)));
        assert_eq!(parse("-9days"), Ok(OffsetTarget::Time(0)), "before the epoch there is nothing");
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(OffsetTarget::Time(1500)));
        for wrong in ["", "soon", "-1", "1h", "+1h", "99999999999999999999", "-", "2026-13-01T00:00:00Z"] {
            assert!(parse(wrong).unwrap_err().contains("-1h"), "{wrong}");
        }
    }
}
