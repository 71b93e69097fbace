//! What guests may do wrong, each with its class, and the host going on afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::error_code::ErrorCode;
use crate::model::ids::ArtifactDigest;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::wasm::log::Level;
use crate::wasm::testing::{ECHO, SandboxBench, bench, bench_with, engine, guest, limits};
use crate::wasm::{EngineOptions, LoadError, StartError, WasmEngine};

async fn call(bench: &SandboxBench, request: &[u8]) -> Result<Vec<u8>, GuestFault> {
    let mut instance = match bench.sandbox.start().await {
        Ok(instance) => instance,
        Err(StartError::Fault(fault)) => return Err(fault),
        Err(StartError::Exhausted) => panic!("no place"),
    };
    let result = instance.call(request, 1, bench.sandbox.timeout()).await;
    assert_eq!(instance.is_healthy(), result.is_ok());
    if !instance.is_healthy() {
        assert!(instance.call(request, 1, bench.sandbox.timeout()).await.is_err());
    }
    result
}

/// The fault of a guest, and the host unharmed after it.
async fn fault(items: &str, body: &str) -> GuestFault {
    let engine = engine(4);
    let bad = bench(&engine, guest(items, body)).await;
    let good = bench(&engine, guest("", ECHO)).await;
    let mut last = None;
    // More often than there are places, so that a lost place would show.
    for _ in 0..6 {
        last = Some(call(&bad, b"request").await.expect_err("a fault"));
        assert_eq!(call(&good, b"request").await.as_deref(), Ok(&b"request"[..]));
    }
    last.expect("a fault")
}

#[tokio::test]
async fn an_echo_answers_and_stays_healthy() {
    let engine = engine(4);
    let bench = bench(&engine, guest("", ECHO)).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    for request in [&b""[..], b"a", &[7; 60_000]] {
        let answer = instance.call(request, 1, Duration::from_secs(1)).await.expect("answered");
        assert_eq!(answer, request);
        assert!(instance.is_healthy());
    }
    assert_eq!(instance.memory_bytes(), 128 << 10);
    assert_eq!(bench.metrics.memory_high_water_bytes.get(), 128 << 10);
}

#[tokio::test]
async fn an_endless_loop_is_a_timeout() {
    let fault = fault("", "(loop (br 0)) (unreachable)").await;
    assert_eq!(fault.class, FaultClass::Timeout, "{fault}");
    assert!(fault.message.contains("300ms"), "{fault}");
}

#[tokio::test]
async fn an_endless_loop_in_start_is_a_timeout() {
    let fault = fault("(func $start (loop (br 0))) (start $start)", ECHO).await;
    assert_eq!(fault.class, FaultClass::Timeout, "{fault}");
}

#[tokio::test]
async fn a_sleep_in_a_host_call_is_a_timeout() {
    let fault = fault("", &format!("(call $block (call $subscribe (i64.const 3600000000000))) {ECHO}")).await;
    assert_eq!(fault.class, FaultClass::Timeout, "{fault}");
}

#[tokio::test]
async fn a_sleep_in_start_is_a_timeout() {
    let start = "(func $start (call $block (call $subscribe (i64.const 3600000000000)))) (start $start)";
    let fault = fault(start, ECHO).await;
    assert_eq!(fault.class, FaultClass::Timeout, "{fault}");
}

#[tokio::test]
async fn a_memory_bomb_is_a_memory_fault() {
    let bomb = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let fault = fault("", bomb).await;
    assert_eq!(fault.class, FaultClass::Memory, "{fault}");
    assert!(fault.message.contains("limits.memory is 8388608"), "{fault}");
}

#[tokio::test]
async fn memory_beyond_all_addresses_is_a_memory_fault() {
    let fault = self::fault("", "(drop (memory.grow (i32.const 65536))) (unreachable)").await;
    assert_eq!(fault.class, FaultClass::Memory, "{fault}");
}

#[tokio::test]
async fn a_guest_that_goes_on_after_a_refusal_answers_but_is_not_used_again() {
    let engine = engine(4);
    let bench = bench(&engine, guest("", &format!("(drop (memory.grow (i32.const 1000))) {ECHO}"))).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    assert!(instance.call(b"x", 1, Duration::from_secs(1)).await.is_ok());
    assert!(!instance.is_healthy());
}

#[tokio::test]
async fn more_memory_at_the_start_than_allowed_is_a_memory_fault() {
    let engine = engine(4);
    let small = crate::model::function::FunctionLimits { memory: 64 << 10, ..limits() };
    let bench = bench_with(&engine, guest("", ECHO), small, &[]).await;
    let fault = call(&bench, b"x").await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Memory, "{fault}");
}

#[tokio::test]
async fn a_table_bomb_is_a_memory_fault() {
    let bomb = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) (unreachable)";
    let fault = fault("(table $t 1 funcref)", bomb).await;
    assert_eq!(fault.class, FaultClass::Memory, "{fault}");
    assert!(fault.message.contains("limits.table_elements is 1000"), "{fault}");
}

#[tokio::test]
async fn deep_recursion_is_a_trap() {
    let fault = fault("(func $down (result i32) (i32.add (call $down) (i32.const 1)))", "(call $down)").await;
    assert_eq!(fault.class, FaultClass::Trap, "{fault}");
    assert!(fault.message.contains("call stack exhausted"), "{fault}");
}

#[tokio::test]
async fn an_answer_beyond_its_limit_is_an_output_fault() {
    let grow = "(drop (memory.grow (i32.const 100)))";
    let large = fault("", &format!("{grow} (call $answer (i32.const 4096) (i32.const 5000000))")).await;
    assert_eq!(large.class, FaultClass::OutputLimit, "{large}");
    let larger = fault(
        "",
        "(call $answer (i32.const 0) (i32.const 131072)) (drop) (call $answer (i32.const 0) (i32.const 134000))",
    )
    .await;
    assert_eq!(larger.class, FaultClass::Trap, "an answer out of bounds: {larger}");
    let little_too_large = fault("", &format!("{grow} (call $answer (i32.const 4096) (i32.const 140000))")).await;
    assert_eq!(little_too_large.class, FaultClass::OutputLimit, "{little_too_large}");
}

#[tokio::test]
async fn a_trap_shows_stderr_and_where_it_happened() {
    let items = r#"
        (data (i32.const 1024) "no such bid\n")
        (func $_ZN4shop4till5close17h0123456789abcdefE (unreachable))"#;
    let body = "(call $write (call $get-stderr) (i32.const 1024) (i32.const 12) (i32.const 2048))
        (call $_ZN4shop4till5close17h0123456789abcdefE) (i32.const 0)";
    let fault = fault(items, body).await;
    assert_eq!(fault.class, FaultClass::Trap);
    let (first, rest) = fault.message.split_once('\n').expect("lines");
    assert!(first.contains("unreachable"), "{fault}");
    assert!(rest.starts_with("stderr: no such bid\n"), "{fault}");
    assert!(rest.contains("shop::till::close"), "{fault}");
    assert!(rest.contains("handle"), "{fault}");
}

#[tokio::test]
async fn logs_are_bounded_and_counted() {
    let engine = engine(4);
    let body = format!(
        "(local $i i32) (loop
            (call $write (call $get-stderr) (i32.const 1024) (i32.const 1000) (i32.const 2048))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
        {ECHO}"
    );
    let bench = bench(&engine, guest("", &body)).await;
    assert!(call(&bench, b"x").await.is_ok());
    assert_eq!(bench.metrics.log_bytes_dropped.get(), 10_000 - 4096);
    let lines = bench.lines.all();
    assert_eq!(lines.iter().map(|(_, line)| line.len()).sum::<usize>(), 4096);
    assert!(lines.iter().all(|(level, _)| *level == Level::Warn));
}

#[tokio::test]
async fn the_environment_is_that_of_the_manifest_alone() {
    let engine = engine(4);
    let module = guest(
        "",
        "(call $get-environment (i32.const 16)) (call $answer (i32.load (i32.const 16)) (i32.mul (i32.load (i32.const 20)) (i32.const 16)))",
    );
    let none = bench(&engine, Arc::clone(&module)).await;
    assert_eq!(call(&none, b"x").await.as_deref(), Ok(&b""[..]));
    let one = bench_with(&engine, module, limits(), &[("REGION", "eu")]).await;
    assert_eq!(call(&one, b"x").await.expect("answered").len(), 16);
}

#[tokio::test]
async fn there_are_no_folders_and_no_network() {
    let engine = engine(4);
    let folders = guest(
        "",
        "(call $get-directories (i32.const 16)) (i32.store (i32.const 32) (i32.load (i32.const 20))) (call $answer (i32.const 32) (i32.const 4))",
    );
    assert_eq!(call(&bench(&engine, folders).await, b"x").await.as_deref(), Ok(&[0; 4][..]));
    // result<own<tcp-socket>, error-code>: 1 is an error, and 1 is access-denied.
    let socket =
        guest("", "(call $create-tcp (i32.const 0) (i32.const 32)) (call $answer (i32.const 32) (i32.const 5))");
    assert_eq!(call(&bench(&engine, socket).await, b"x").await.as_deref(), Ok(&[1, 0, 0, 0, 1][..]));
    let name = guest(
        r#"(data (i32.const 1024) "169.254.169.254")"#,
        "(call $resolve (call $get-network) (i32.const 1024) (i32.const 15) (i32.const 32)) (call $answer (i32.const 32) (i32.const 5))",
    );
    let answer = call(&bench(&engine, name).await, b"x").await.expect("answered");
    assert_eq!(answer[0], 1, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_are_served_while_guests_loop() {
    let engine = engine(16);
    let bad = Arc::new(bench(&engine, guest("", "(loop (br 0)) (unreachable)")).await);
    let good = bench(&engine, guest("", ECHO)).await;
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let bad = Arc::clone(&bad);
            tokio::spawn(async move { call(&bad, b"x").await })
        })
        .collect();
    let mut served = 0;
    while !loops.iter().all(tokio::task::JoinHandle::is_finished) {
        let answer = tokio::spawn({
            let sandbox = good.sandbox.clone();
            async move { sandbox.start().await.expect("started").call(b"x", 1, Duration::from_secs(10)).await }
        });
        assert!(answer.await.expect("no panic").is_ok());
        served += 1;
    }
    assert!(served > 1);
    for looped in loops {
        assert_eq!(looped.await.expect("no panic").expect_err("a timeout").class, FaultClass::Timeout);
    }
}

#[tokio::test]
async fn a_dropped_call_spoils_the_instance_only() {
    let engine = engine(1);
    let bench =
        bench(&engine, guest("", &format!("(call $block (call $subscribe (i64.const 3600000000000))) {ECHO}"))).await;
    for _ in 0..3 {
        let mut instance = bench.sandbox.start().await.expect("started");
        let call = instance.call(b"x", 1, Duration::from_secs(3600));
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
        assert!(!instance.is_healthy());
    }
}

#[tokio::test]
async fn no_place_is_no_fault() {
    let engine = engine(2);
    let bench = bench(&engine, guest("", ECHO)).await;
    let first = bench.sandbox.start().await.expect("started");
    let _second = bench.sandbox.start().await.expect("started");
    assert_eq!(bench.sandbox.start().await.err(), Some(StartError::Exhausted));
    drop(first);
    assert!(bench.sandbox.start().await.is_ok());
}

#[tokio::test]
async fn memory_that_is_used_again_is_zeroed() {
    let engine = engine(1);
    // Leaves a secret in memory that it grew, and in its first pages.
    let writer = "(memory.fill (i32.const 32768) (i32.const 83) (i32.const 90000))
        (drop (memory.grow (i32.const 60))) (memory.fill (i32.const 131072) (i32.const 83) (i32.const 3900000))
        (call $answer (i32.const 0) (i32.const 0))";
    let scanner = "(local $at i32) (local $found i32)
        (drop (memory.grow (i32.const 60)))
        (local.set $at (i32.const 32768))
        (loop
            (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 83))
                (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
            (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 4000000))))
        (i32.store (i32.const 32) (local.get $found))
        (call $answer (i32.const 32) (i32.const 4))";
    let writer = bench(&engine, guest("", writer)).await;
    let scanner = bench(&engine, guest("", scanner)).await;
    for _ in 0..3 {
        assert!(call(&writer, b"x").await.is_ok());
        assert_eq!(call(&scanner, b"x").await.as_deref(), Ok(&[0; 4][..]));
    }
}

#[tokio::test]
async fn damaged_modules_are_refused_without_a_panic() {
    let engine = engine(1);
    let module = guest("", ECHO);
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..60 {
        let mut bytes = module.to_vec();
        if random.bool() {
            bytes.truncate(random.usize(..bytes.len()));
        } else {
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u32(..8);
        }
        let module: Arc<[u8]> = bytes.into();
        let digest = ArtifactDigest::of(&module);
        // A flipped bit may leave a valid module; all that matters is that the host says one or the other.
        match engine.load(module, digest).await {
            Ok(_) => {}
            Err(error) => assert!(error.code() != ErrorCode::Internal, "{error}"),
        }
    }
}

async fn refused(engine: &WasmEngine, module: &[u8]) -> LoadError {
    engine.load(module.into(), ArtifactDigest::of(module)).await.expect_err("refused")
}

#[tokio::test]
async fn compiled_code_is_refused_as_an_upload() {
    let engine = engine(1);
    let compiled = engine.shared.wasm.precompile_component(&guest("", ECHO)).expect("compiled");
    let error = refused(&engine, &compiled).await;
    assert!(error.to_string().contains("precompiled machine code"), "{error}");
}

#[tokio::test]
async fn an_entry_of_another_type_is_refused() {
    let engine = engine(1);
    let module = wat::parse_str(
        r#"(component
            (core module $m (func (export "handle") (param i32) (result i32) (local.get 0)))
            (core instance $i (instantiate $m))
            (func $lifted (param "input" u32) (result u32) (canon lift (core func $i "handle")))
            (instance $e (export "handle" (func $lifted)))
            (export "millstream:function/batch@0.1.0" (instance $e)))"#,
    )
    .expect("valid text");
    let error = refused(&engine, &module).await;
    assert!(error.to_string().contains("of another type than the host"), "{error}");
}

#[tokio::test]
async fn an_import_of_another_type_is_refused_by_name() {
    let engine = engine(1);
    let module = wat::parse_str(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance (export "then" (func))))
            (core module $m (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "handle") (param i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $lifted (param "input" (list u8)) (result (list u8))
                (canon lift (core func $i "handle") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc"))))
            (instance $e (export "handle" (func $lifted)))
            (export "millstream:function/batch@0.1.0" (instance $e)))"#,
    )
    .expect("valid text");
    let error = refused(&engine, &module).await.to_string();
    assert!(error.contains("wasi:clocks/wall-clock") && error.contains("then"), "{error}");
}

#[tokio::test]
async fn loads_of_one_digest_share_a_program() {
    let engine = engine(1);
    let module = guest("", ECHO);
    let digest = ArtifactDigest::of(&module);
    let (one, other) = tokio::join!(engine.load(Arc::clone(&module), digest), engine.load(module, digest));
    let (one, other) = (one.expect("a program"), other.expect("a program"));
    assert!(one.downgrade().ptr_eq(&other.downgrade()));
}

#[tokio::test]
async fn the_fine_clock_is_printed() {
    let engine = engine(1);
    let body = format!("(call $block (call $subscribe (i64.const 2000000))) {ECHO}");
    let bench = bench(&engine, guest("", &body)).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    let mut took = Vec::new();
    for _ in 0..200 {
        let start = Moment::now();
        // Each leaves a handle in the table, which holds more than this.
        instance.call(b"x", 1, Duration::from_secs(1)).await.expect("answered");
        took.push(start.elapsed());
    }
    took.sort();
    assert!(took[0] >= Duration::from_millis(2));
    println!("a guest's sleep of 2 ms: p50 {:?} p99 {:?}", took[100], took[198]);
}

/// A host and the command line ask the same function for the code.
#[tokio::test]
async fn an_export_of_another_type_does_not_link() {
    let text = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (func (export "handle") (param i32) (result i32) (local.get 0)))
        (core instance $i (instantiate $m))
        (func $lifted (param "input" u32) (result u32) (canon lift (core func $i "handle")))
        (instance $e (export "handle" (func $lifted)))
        (export "millstream:function/batch@0.1.0" (instance $e)))"#;
    let error = refused(&engine(1), &wat::parse_str(text).expect("valid text")).await;
    assert!(matches!(error, LoadError::Fit(_)), "{error}");
    assert_eq!(error.code(), ErrorCode::CompileFailed);
}

/// As many as the configuration allows, on a usual Linux: 47 bits of addresses, and the program at two thirds of them.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn the_largest_budget_fits_the_address_space() {
    let engine = WasmEngine::new(EngineOptions { max_instances: 20_000, ..EngineOptions::default() }).expect("it fits");
    let bench = bench(&engine, guest("", ECHO)).await;
    assert_eq!(call(&bench, b"request").await.as_deref(), Ok(&b"request"[..]));
}

#[test]
fn a_budget_beyond_the_address_space_names_its_setting() {
    let error =
        WasmEngine::new(EngineOptions { max_instances: 60_000, ..EngineOptions::default() }).expect_err("too many");
    assert!(error.to_string().contains("instances.total"), "{error}");
    assert_eq!(error.code(), ErrorCode::InvalidHostConfig);
}
