//! The program: the command line, or, when a host started it so, the compiler of one module.

use std::process::ExitCode;

use millstream::{cli, wasm};

/// For librdkafka too, whose messages and headers are the most of what is allocated, on one thread, and freed on another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == wasm::compile::WORD) {
        return wasm::compile::child_main();
    }
    cli::run()
}
