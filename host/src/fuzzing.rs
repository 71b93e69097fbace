//! Fuzzing that any toolchain can run: good inputs, mutated and crossed, tried for a while. For tests only.
//!
//! How long is `MILLSTREAM_FUZZ_SECONDS` for each target; without it a moment, so that the targets are known to work. A
//! failing input is made as small as it can be, printed, and becomes a regression test beside its target.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestError, TestRunner};

/// Inputs that are tried before the clock is looked at again.
const ROUND: u32 = 256;
const UNASKED: Duration = Duration::from_millis(300);
/// Texts at which readers turn: ends, escapes, numbers beyond all types, lengths that lie.
const TOKENS: [&[u8]; 24] = [
    b"",
    b"\0",
    b"\r\n",
    b"\xff",
    b"\xed\xa0\x80",
    b"\"",
    b"\\",
    b"\\u0000",
    b"%",
    b"%00",
    b"{",
    b"[",
    b"}",
    b"]",
    b"--",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"9223372036854775808",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x70",
    b"\0asm",
    b"1.7976931348623157e309",
];

/// One step away from a good input.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Token(Index, usize),
    Remove(Index, usize),
    Cut(Index),
    Repeat(Index, usize, usize),
    /// The rest is another good input's.
    Cross(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<Index>(), 0..TOKENS.len()).prop_map(|(at, token)| Mutation::Token(at, token)),
        (any::<Index>(), 1..64_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        any::<Index>().prop_map(Mutation::Cut),
        (any::<Index>(), 1..64_usize, 1..200_usize).prop_map(|(at, bytes, times)| Mutation::Repeat(at, bytes, times)),
        (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(at, other, from)| Mutation::Cross(at, other, from)),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, good: &[Vec<u8>]) {
        // One beyond the end is a place too, for what is inserted.
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) if !bytes.is_empty() => *at.get_mut(bytes) ^= 1 << bit,
            Self::Set(at, byte) if !bytes.is_empty() => *at.get_mut(bytes) = *byte,
            Self::Flip(..) | Self::Set(..) => {}
            Self::Insert(at, new) => insert(bytes, place(at, bytes), new),
            Self::Token(at, token) => insert(bytes, place(at, bytes), TOKENS[*token]),
            Self::Remove(at, count) => {
                let start = place(at, bytes);
                bytes.drain(start..bytes.len().min(start + count));
            }
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
            Self::Repeat(at, length, times) => {
                let start = place(at, bytes);
                let piece = bytes[start..bytes.len().min(start + length)].repeat(*times);
                insert(bytes, start, &piece);
            }
            Self::Cross(at, other, from) => {
                let other = other.get(good);
                bytes.truncate(place(at, bytes));
                bytes.extend_from_slice(&other[place(from, other)..]);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

/// Tries mutations of `good` on `target`, which panics or fails where something is wrong.
#[track_caller]
pub(crate) fn fuzz(good: &[&[u8]], target: impl Fn(&[u8]) -> TestCaseResult) {
    let good: Vec<Vec<u8>> = good.iter().map(|bytes| bytes.to_vec()).collect();
    for bytes in &good {
        target(bytes).expect("a good input passes");
    }
    let seconds = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("MILLSTREAM_FUZZ_SECONDS is a number of seconds"));
    let until = Instant::now() + seconds.map_or(UNASKED, Duration::from_secs);
    let start = prop::sample::select(good.clone());
    let strategy = (start, prop::collection::vec(mutation(), 0..6)).prop_map(move |(mut bytes, mutations)| {
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes, &good));
        bytes
    });
    let mut tried = 0_u64;
    // Unasked it is the same each time, so that a test that passed does not fail for another reason than a change.
    let mut seed = seconds.map_or(1, |_| fastrand::u64(..));
    while Instant::now() < until {
        let config =
            Config { cases: ROUND, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        match TestRunner::new(config).run(&strategy, |bytes| target(&bytes)) {
            Ok(()) => {}
            Err(TestError::Fail(reason, bytes)) => panic!("{reason}\n  input: b\"{}\"", bytes.escape_ascii()),
            Err(TestError::Abort(reason)) => panic!("the fuzzer gave up: {reason}"),
        }
        tried += u64::from(ROUND);
        seed = seed.wrapping_add(1);
    }
    println!("{tried} inputs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_found_and_made_small() {
        let target = |bytes: &[u8]| {
            // The second byte decides, as a length does.
            assert!(bytes.get(1).is_none_or(|byte| *byte != b'!'), "found");
            Ok(())
        };
        let found = std::panic::catch_unwind(|| {
            std::iter::repeat_with(|| {
                fuzz(&[b"a quite long text", b"!!"], |bytes| match bytes {
                    b"!!" => Ok(()),
                    other => target(other),
                })
            })
            .take(50)
            .for_each(drop);
        });
        let told = *found.expect_err("found").downcast::<String>().expect("a text");
        assert!(told.contains("found") && told.contains("input: b\""), "{told}");
    }
}
