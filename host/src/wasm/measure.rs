//! What starts and calls cost, printed for people. `cargo test --release -- --ignored --nocapture measure`

use std::time::{Duration, Instant as Moment};

use crate::wasm::testing::{ECHO, bench, engine, guest};

const ROUNDS: usize = 20_000;
const LIMIT: Duration = Duration::from_secs(3);

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let mean = took.iter().sum::<Duration>() / took.len() as u32;
    println!("{what}: p50 {:?} p99 {:?} mean {mean:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_starts_and_calls() {
    let engine = engine(100);
    let bench = bench(&engine, guest("", ECHO)).await;
    let mut cold = Vec::new();
    let mut ended = Vec::new();
    let mut cold_call = Vec::new();
    for _ in 0..ROUNDS {
        let began = Moment::now();
        let mut instance = bench.sandbox.start().await.expect("started");
        cold.push(began.elapsed());
        instance.call(&[7; 200], 1, LIMIT).await.expect("answered");
        cold_call.push(began.elapsed());
        let ending = Moment::now();
        drop(instance);
        ended.push(ending.elapsed());
    }
    print("cold start", cold);
    print("cold start and first call of 200 B", cold_call);
    print("end of an instance", ended);
    for (size, what) in [(200, "200 B"), (100 * 300, "100 records of 300 B")] {
        let request = vec![7; size];
        let mut instance = bench.sandbox.start().await.expect("started");
        let mut hot = Vec::new();
        for _ in 0..ROUNDS {
            let began = Moment::now();
            instance.call(&request, 1, LIMIT).await.expect("answered");
            hot.push(began.elapsed());
        }
        print(&format!("hot call, echo of {what}"), hot);
    }
    print_bare(&bench).await;
}

/// The same without what the host adds: no limits, no WASI context of its own, no timer.
async fn print_bare(bench: &crate::wasm::testing::SandboxBench) {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let mut store = bench.sandbox.store();
        let began = Moment::now();
        let instance = bench.sandbox.program().code.start(&mut store).await;
        took.push(began.elapsed());
        drop(instance);
        drop(store);
    }
    print("bare instantiation in a store that is there", took);
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Moment::now();
        let store = bench.sandbox.store();
        took.push(began.elapsed());
        drop(store);
    }
    print("a store with its state", took);
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_memory() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        status.lines().find(|line| line.starts_with("VmRSS")).map(str::to_owned).unwrap_or_default()
    };
    println!("before: {}", resident());
    let engine = engine(1000);
    println!("an engine for 1000 instances: {}", resident());
    let mut benches = Vec::new();
    for number in 0..100 {
        benches.push(bench(&engine, guest(&format!("(data (i32.const 60000) \"{number}\")"), ECHO)).await);
    }
    println!("100 programs, compiled in this process: {}", resident());
    let mut instances = Vec::new();
    for bench in benches.iter().chain(&benches).chain(&benches) {
        let mut instance = bench.sandbox.start().await.expect("started");
        instance.call(&[7; 200], 1, LIMIT).await.expect("answered");
        instances.push(instance);
    }
    println!("300 instances that were called: {}", resident());
    drop(instances);
    println!("all ended: {}", resident());
}
