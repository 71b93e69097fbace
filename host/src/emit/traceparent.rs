//! W3C Trace Context: an emission continues the trace of the record that caused it, or starts one.

/// The header, in input and output.
pub const HEADER: &str = "traceparent";
/// What vendors add to it, passed on as it is.
pub const STATE: &str = "tracestate";

/// Whether it can be continued.
pub fn is_valid(text: &[u8]) -> bool {
    parse(text).is_some()
}

/// A `traceparent` for what a record caused: the trace of `cause` where it is valid, with a span of its own.
pub fn continue_from(cause: Option<&[u8]>) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    match cause.and_then(parse) {
        Some((trace, flags)) => {
            text[3..35].copy_from_slice(trace.as_bytes());
            text[53..55].copy_from_slice(flags.as_bytes());
        }
        None => write_hex(&mut text[3..35], &fastrand::u128(1..).to_be_bytes()),
    }
    write_hex(&mut text[36..52], &fastrand::u64(1..).to_be_bytes());
    text
}

/// Two digits a byte. By hand, for every event has one: see `encode_binary` of the micro-benches.
fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The trace id and flags of a valid version 00 `traceparent`.
fn parse(text: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 55)?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_valid = version == "00"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && span.bytes().any(|byte| byte != b'0');
    is_valid.then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_with_a_new_span() {
        let next = String::from_utf8(continue_from(Some(CAUSE)).to_vec()).expect("text");
        assert!(next.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && next.ends_with("-01"), "{next}");
        assert!(!next.contains("00f067aa0ba902b7"));
        assert!(parse(next.as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_trace_starts_one() {
        let bad: [&[u8]; 4] = [b"", b"\xff", b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", b"01-4b"];
        for cause in bad {
            let next = continue_from(Some(cause));
            assert!(parse(&next).is_some(), "{}", next.escape_ascii());
        }
    }
}
