//! The trace of an emission whose invocation has no span of its own: it continues that of the record, or starts one.

use crate::model::trace_context::{LENGTH, TraceParent, write_hex};

/// The flags of a trace that starts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewTraceSampling {
    /// Its readers decide.
    Sampled,
    /// This host decides, and did not choose it.
    Unsampled,
}

/// A `traceparent` for what a record caused: the trace of `cause`, with a span of its own.
pub(crate) fn continue_from(cause: Option<TraceParent<'_>>, begun: NewTraceSampling) -> [u8; LENGTH] {
    let mut text = match begun {
        NewTraceSampling::Sampled => *b"00-00000000000000000000000000000000-0000000000000000-01",
        NewTraceSampling::Unsampled => *b"00-00000000000000000000000000000000-0000000000000000-00",
    };
    match cause {
        Some(TraceParent { trace, flags, .. }) => {
            text[3..35].copy_from_slice(trace.as_bytes());
            text[53..55].copy_from_slice(flags.as_bytes());
        }
        None => write_hex(&mut text[3..35], &fastrand::u128(1..).to_be_bytes()),
    }
    write_hex(&mut text[36..52], &fastrand::u64(1..).to_be_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_with_a_new_span() {
        for begun in [NewTraceSampling::Sampled, NewTraceSampling::Unsampled] {
            let next = String::from_utf8(continue_from(TraceParent::parse(CAUSE), begun).to_vec()).expect("text");
            assert!(next.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && next.ends_with("-01"), "{next}");
            assert!(!next.contains("00f067aa0ba902b7"));
            assert!(TraceParent::parse(next.as_bytes()).is_some());
        }
    }

    #[test]
    fn where_there_is_none_one_starts() {
        for (begun, flags) in [(NewTraceSampling::Sampled, "01"), (NewTraceSampling::Unsampled, "00")] {
            let next = continue_from(None, begun);
            assert_eq!(TraceParent::parse(&next).map(|read| read.flags), Some(flags), "{}", next.escape_ascii());
        }
    }
}
