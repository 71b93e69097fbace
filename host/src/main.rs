//! The program, and its allocator.

use std::process::ExitCode;

/// For librdkafka too, whose messages and headers are the most of what is allocated, on one thread, and freed on another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Huge pages for what is allocated, where Linux leaves that to programs: the messages of a busy host lie all over its heap,
/// and finding small pages took up to a twentieth of its CPU time. See docs/decisions/0015-acknowledgements-without-reports.md.
#[allow(unsafe_code, reason = "jemalloc reads its settings from a symbol of this name")]
// SAFETY: jemalloc declares it as a pointer to a text that ends with a zero byte, and has no other of that name.
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: &[u8; 11] = b"thp:always\0";

fn main() -> ExitCode {
    millstream::run()
}
