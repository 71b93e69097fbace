//! W3C Trace Context: which trace a record belongs to, and which span of it led to it.

use millstream_flat::Record;

/// The header, in input and output.
pub(crate) const HEADER: &str = "traceparent";
/// What vendors add to it, passed on as it is.
pub(crate) const STATE: &str = "tracestate";

/// A `traceparent` of version 00 is so many bytes.
pub(crate) const LENGTH: usize = 55;

const SAMPLED: u8 = 1;

/// A valid `traceparent`, as its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    pub(crate) trace: &'a str,
    /// The span that led to it.
    pub(crate) span: &'a str,
    /// What is asked of anyone who continues with it.
    pub(crate) flags: &'a str,
}

impl<'a> TraceParent<'a> {
    /// Reads one of version 00.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == LENGTH)?;
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
        is_valid.then_some(Self { trace, span, flags })
    }

    /// The span that it names.
    pub(crate) fn context(&self) -> SpanContext {
        // Its texts were checked.
        SpanContext {
            trace: u128::from_str_radix(self.trace, 16).unwrap_or_default(),
            span: u64::from_str_radix(self.span, 16).unwrap_or_default(),
            flags: u8::from_str_radix(self.flags, 16).unwrap_or_default(),
        }
    }
}

/// A span, as others name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanContext {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    /// What is asked of anyone who continues with it.
    pub(crate) flags: u8,
}

impl SpanContext {
    /// The first span of `trace`, which is sampled.
    pub(crate) fn first_of(trace: u128) -> Self {
        Self { trace, span: fastrand::u64(1..), flags: SAMPLED }
    }

    /// Another span of the same trace.
    pub(crate) fn next(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// Whether someone records the trace.
    pub(crate) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent` of what the span leads to.
    pub(crate) fn to_text(self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], &self.trace.to_be_bytes());
        write_hex(&mut text[36..52], &self.span.to_be_bytes());
        write_hex(&mut text[53..55], &[self.flags]);
        text
    }
}

/// The span of an attempt at a record whose trace is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptSpan {
    pub(crate) own: SpanContext,
    /// The span that led to the record; none where the trace begins here.
    pub(crate) parent: Option<u64>,
    /// The `tracestate` of the record.
    pub(crate) state: Option<Box<str>>,
}

/// What a record says of its trace: a header of that name, or else an attribute of the event.
pub(crate) fn told<'a>(record: &Record<'a>, name: &str) -> Option<&'a [u8]> {
    let header = record.headers().find(|(found, _)| *found == name).and_then(|(_, value)| value);
    header.or_else(|| record.extension(name).map(str::as_bytes))
}

/// Two digits a byte. By hand, for every event has some: see `encode_binary` of the micro-benches.
pub(crate) fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let context = TraceParent::parse(CAUSE).map(|read| read.context()).expect("it is valid");
        assert_eq!((context.trace, context.span), (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7));
        assert!(context.is_sampled());
        assert_eq!(context.to_text(), CAUSE);
        let next = context.next();
        assert_eq!((next.trace, next.flags), (context.trace, context.flags));
        assert_ne!(next.span, context.span);
    }

    #[test]
    fn what_is_none_is_not_read() {
        let bad: [&[u8]; 7] = [
            b"",
            b"\xff",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            b"01-4b",
        ];
        for text in bad {
            assert_eq!(TraceParent::parse(text), None, "{}", text.escape_ascii());
        }
        let unsampled = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";
        assert!(TraceParent::parse(unsampled).is_some_and(|read| !read.context().is_sampled()));
    }
}
