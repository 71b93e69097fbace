//! How the engine is set up: what modules may use, and how much address space instances get.
//!
//! Everything that code generation depends on is in [`code_settings`], which the compiling child shares; only the
//! allocator is the host's alone.

use std::path::PathBuf;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy, WasmBacktraceDetails,
};

use crate::wasm::compile::{CompileLimits, CompilerCommand};
use crate::wasm::limiter::{MEMORIES_MAX, TABLES_MAX};

/// The largest linear memory: what 32 bits address. Each memory reserves as much address space, so bounds are checked
/// by the processor.
pub(crate) const MEMORY_MAX: u64 = 4 << 30;
/// Memories of all instances together. They are one reservation in a piece. On x86-64 a process has 128 TiB of
/// addresses, but the program itself lies at two thirds of them: 85 TiB are free in a piece, and these take 79.
const MEMORIES_TOTAL_MAX: u32 = 20_000;
pub(crate) const TABLE_ELEMENTS_MAX: u64 = 1_000_000;
/// The guest's stack, of which recursion may use all; beyond is a trap.
const WASM_STACK: usize = 512 << 10;
/// The guest's stack and, above it, that of the host calls it makes.
const STACK: usize = 2 << 20;
/// The first part of a finished instance's memories and tables that is cleared by writing zeros rather than by giving
/// pages back. Measured: small guests start and end in a quarter of the time, large ones as fast as without.
const KEEP_RESIDENT: usize = 64 << 10;
const STACK_KEEP_RESIDENT: usize = 16 << 10;
/// Slots that stay tied to a program, pages and all, when they are free.
const WARM_SLOTS: u32 = 32;

/// What an engine needs to know.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Instances of all functions together.
    pub(crate) max_instances: u32,
    pub(crate) compile: CompileLocation,
    /// Whether the system's profiler `perf` learns where the guests' functions are.
    pub(crate) perf_map: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum CompileLocation {
    /// In this process and without a cache: for tests and for a user's own file.
    InProcess,
    /// In a child process under limits, with what it makes kept on disk.
    Child {
        /// The program that calls [`child_main`](crate::wasm::compile::child_main).
        command: CompilerCommand,
        /// What one compilation may use.
        limits: CompileLimits,
        /// The folder for compiled code. It is made private to this user; nothing else may write to it.
        cache: PathBuf,
    },
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { max_instances: 1000, compile: CompileLocation::InProcess, perf_map: false }
    }
}

/// The settings that compiled code depends on.
pub(crate) fn code_settings() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_MAX)
        .memory_may_move(false)
        .memory_init_cow(true)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        // Names only. Reading DWARF of a hostile module at each trap could take as long as its author likes.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(STACK);
    config
}

/// The settings of an engine that runs up to `max_instances` guests.
pub(crate) fn host_settings(max_instances: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max_instances)
        .total_core_instances(max_instances.saturating_mul(64))
        // Two each while they fit. Who finds none free waits, like one who finds no place for an instance.
        .total_memories(max_instances.saturating_mul(2).min(MEMORIES_TOTAL_MAX.max(max_instances)))
        .total_tables(max_instances.saturating_mul(8))
        .total_stacks(max_instances)
        .max_memories_per_component(MEMORIES_MAX as u32)
        .max_memories_per_module(MEMORIES_MAX as u32)
        .max_tables_per_component(TABLES_MAX as u32)
        .max_tables_per_module(TABLES_MAX as u32)
        .max_memory_size(MEMORY_MAX as usize)
        .table_elements(TABLE_ELEMENTS_MAX as usize)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT)
        // Only pages that a guest wrote to are cleared, where Linux says which (6.7 and later): giving all back would
        // cost a flush of every processor's address cache for each instance that ends.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(WARM_SLOTS);
    let mut config = code_settings();
    // A stack is cleared before another guest gets it, like memories and tables always are.
    config.async_stack_zeroing(true).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
