//! Durations and sizes: numbers that carry their unit.

use std::time::Duration;

use bytesize::ByteSize;

/// The longest duration that a setting may have. It keeps every sum of times far from overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration such as `"500ms"`; the error says what to write.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if is_bare_number(text) {
        return Err(format!("\"{text}\" has no unit: write a duration such as \"{text}ms\" or \"{text}s\""));
    }
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("\"{}\" is not a duration: write a number and a unit, such as \"500ms\", \"3s\" or \"1m\"", cut(text))
    })?;
    if duration > LONGEST {
        return Err(format!("\"{}\" is too long: a day (\"24h\") is the most", cut(text)));
    }
    Ok(duration)
}

/// Reads one duration, or an even spread between two: `"200ms..300ms"`.
pub(crate) fn parse_duration_range(text: &str) -> Result<(Duration, Duration), String> {
    let Some((shortest, longest)) = text.split_once("..") else {
        let duration = parse_duration(text)?;
        return Ok((duration, duration));
    };
    let (shortest, longest) = (parse_duration(shortest)?, parse_duration(longest)?);
    if shortest > longest {
        return Err(format!("\"{}\" runs backwards: write the shorter duration first", cut(text)));
    }
    Ok((shortest, longest))
}

/// Reads a size such as `"128MiB"`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if is_bare_number(text) {
        return Err(format!(
            "\"{text}\" has no unit: write a size such as \"{text}MiB\", \"{text}KiB\" or \"{text}B\""
        ));
    }
    text.parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| {
        format!(
            "\"{}\" is not a size: write a number and a unit, such as \"900KiB\", \"128MiB\" or \"1GiB\"",
            cut(text)
        )
    })
}

/// A duration as a person writes it.
pub(crate) fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A size as a person writes it: the largest binary unit that needs no fraction.
pub(crate) fn format_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes}B"), |(size, name)| format!("{}{name}", bytes / size))
}

/// `text`, short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

fn is_bare_number(text: &str) -> bool {
    text.len() <= 20 && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration(" 1m 30s "), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0ms"), Ok(Duration::ZERO));
        assert!(parse_duration("500").unwrap_err().contains("\"500ms\""));
        assert!(parse_duration("0").unwrap_err().contains("unit"));
        assert!(parse_duration("soon").unwrap_err().contains("not a duration"));
        assert!(parse_duration("25h").unwrap_err().contains("too long"));
    }

    #[test]
    fn ranges_run_forwards() {
        let milliseconds = Duration::from_millis;
        assert_eq!(parse_duration_range("3s"), Ok((milliseconds(3000), milliseconds(3000))));
        assert_eq!(parse_duration_range("200ms..300ms"), Ok((milliseconds(200), milliseconds(300))));
        assert!(parse_duration_range("3s..2s").unwrap_err().contains("backwards"));
        assert!(parse_duration_range("3s..").is_err());
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse_size("128MiB"), Ok(128 << 20));
        assert_eq!(parse_size("1 kB"), Ok(1000));
        assert!(parse_size("128").unwrap_err().contains("\"128MiB\""));
        assert!(parse_size("much").unwrap_err().contains("not a size"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = (parse_duration(&text), parse_duration_range(&text), parse_size(&text));
        }

        #[test]
        fn what_is_written_is_read_back(bytes in any::<u64>(), milliseconds in 0..86_400_000u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
