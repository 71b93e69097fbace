//! Takes more than there is: time, memory, stack, output, log.

use std::hint::black_box;

use millstream_sdk::{Emission, Emissions};

/// Computes for ever.
pub fn run_forever() -> ! {
    loop {
        black_box(());
    }
}

/// Allocates until nothing is given any more.
pub fn take_all_memory() -> ! {
    let mut taken = Vec::new();
    loop {
        // Written to, because memory that is never touched may cost nothing.
        taken.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Calls itself until the stack is used up.
#[allow(unconditional_recursion, reason = "it is what the command asks for")]
pub fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    recurse(frame[0] + 1) + frame[1]
}

/// Emits 8 events of 1 MiB.
pub fn emit_much() -> Emissions<'static> {
    (0..8).map(|_| Emission::new(vec![b'x'; 1 << 20])).collect()
}

/// Emits 100,000 small events.
pub fn emit_many() -> Emissions<'static> {
    (0..100_000).map(|_| Emission::new("x")).collect()
}

/// Prints 10 MB.
pub fn print_much() {
    let line = "x".repeat(999);
    for _ in 0..10_000 {
        eprintln!("{line}");
    }
}
