use crate::invoke::pool::*;
use crate::model::function::StartEmulation;
use crate::model::outcome::FaultClass;
use crate::wasm::WasmEngine;
use crate::wasm::testing::{ECHO, SandboxBench, bench, engine, guest, instances};

const LIMIT: Duration = Duration::from_secs(10);

/// Sleeps for as many milliseconds as the request's first byte says.
const SLEEPER: &str = "(call $block (call $subscribe
        (i64.mul (i64.load8_u (local.get $ptr)) (i64.const 1000000))))
    (call $answer (local.get $ptr) (local.get $len))";

async fn pool_of(
    engine: &WasmEngine,
    body: &str,
    settings: InstancePolicy,
    admission: &Arc<InstanceAdmission>,
) -> (InstancePool, SandboxBench) {
    let bench = bench(engine, guest("", body)).await;
    let pool = InstancePool::new(bench.sandbox.clone(), &settings, Arc::clone(admission), Arc::clone(&bench.metrics));
    (pool, bench)
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn a_healthy_instance_is_used_again() {
    let admission = Arc::new(InstanceAdmission::new(8));
    let (pool, bench) = pool_of(&engine(8), ECHO, instances(), &admission).await;
    for _ in 0..5 {
        assert_eq!(pool.call(b"x", 1, LIMIT).await.as_deref(), Ok(&b"x"[..]));
    }
    assert_eq!((bench.metrics.cold_starts.get(), bench.metrics.hot_starts.get()), (1, 4));
    assert_eq!(bench.metrics.instances.get(), 1);
    drop(pool);
    eventually("its instances end with the pool", || bench.metrics.instances.get() == 0).await;
}

#[tokio::test]
async fn isolation_takes_a_new_instance_for_each_call() {
    for isolation in [Isolation::Batch, Isolation::Record] {
        let admission = Arc::new(InstanceAdmission::new(8));
        let (pool, bench) =
            pool_of(&engine(8), ECHO, InstancePolicy { isolation: Some(isolation), ..instances() }, &admission).await;
        for _ in 0..5 {
            assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
        }
        assert_eq!((bench.metrics.cold_starts.get(), bench.metrics.hot_starts.get()), (5, 0));
        assert_eq!(pool.alive(), 0);
    }
}

#[tokio::test]
async fn a_faulty_instance_is_not_kept() {
    let admission = Arc::new(InstanceAdmission::new(8));
    let body = format!("(if (i32.eqz (i32.load8_u (local.get $ptr))) (then (unreachable))) {ECHO}");
    let (pool, bench) = pool_of(&engine(8), &body, instances(), &admission).await;
    assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
    assert_eq!(pool.call(b"\0", 1, LIMIT).await.expect_err("a trap").class, FaultClass::Trap);
    assert_eq!(pool.alive(), 0);
    assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
    assert_eq!(bench.metrics.cold_starts.get(), 2);
}

/// Keeps another MiB with each call, and traps when there is none.
fn leaking() -> String {
    format!("(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable))) {ECHO}")
}

#[tokio::test]
async fn what_earlier_calls_kept_fails_no_call() {
    // One place: the full instance must let go of it before the fresh one starts.
    let admission = Arc::new(InstanceAdmission::new(1));
    let (pool, bench) = pool_of(&engine(1), &leaking(), instances(), &admission).await;
    for number in 0..200 {
        assert_eq!(pool.call(b"x", 1, LIMIT).await.as_deref(), Ok(&b"x"[..]), "call {number}");
    }
    let recycled = bench.metrics.recycled_instances.get();
    assert!(recycled >= 3, "{recycled}");
    assert_eq!(bench.metrics.cold_starts.get(), recycled + 1, "each has one successor");
    let hint = pool.memory_hint().expect("it happens often");
    assert!(hint.contains("keeps memory between calls"), "{hint}");
}

#[tokio::test]
async fn a_call_that_needs_too_much_fails_in_a_fresh_instance_too() {
    let admission = Arc::new(InstanceAdmission::new(1));
    let body = format!(
        "(if (i32.eqz (i32.load8_u (local.get $ptr)))
            (then (if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then (unreachable))))) {ECHO}"
    );
    let (pool, bench) = pool_of(&engine(1), &body, instances(), &admission).await;
    assert_eq!(pool.call(b"\0", 1, LIMIT).await.expect_err("too much").class, FaultClass::Memory);
    assert_eq!((bench.metrics.cold_starts.get(), bench.metrics.recycled_instances.get()), (1, 0), "it was fresh");
    assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
    assert_eq!(pool.call(b"\0", 1, LIMIT).await.expect_err("too much").class, FaultClass::Memory);
    assert_eq!((bench.metrics.cold_starts.get(), bench.metrics.recycled_instances.get()), (3, 1));
    assert_eq!(pool.memory_hint(), None);
}

#[tokio::test]
async fn a_dropped_call_discards_its_instance() {
    let admission = Arc::new(InstanceAdmission::new(1));
    let (pool, _bench) = pool_of(&engine(1), SLEEPER, instances(), &admission).await;
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(20), pool.call(&[255], 1, LIMIT)).await.is_err());
        assert_eq!(pool.alive(), 0);
    }
    assert!(pool.call(&[0], 1, LIMIT).await.is_ok());
}

#[tokio::test]
async fn exhaustion_waits_and_is_no_fault() {
    let admission = Arc::new(InstanceAdmission::new(2));
    let (pool, bench) = pool_of(&engine(2), SLEEPER, instances(), &admission).await;
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.call(&[5], 1, LIMIT).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic").is_ok());
    }
    assert!(pool.alive() <= 2);
    assert!(bench.metrics.cold_starts.get() >= 2);
}

#[tokio::test]
async fn the_longest_idle_instance_gives_way_to_another_pool() {
    let engine = engine(2);
    let admission = Arc::new(InstanceAdmission::new(2));
    let (first, _first) = pool_of(&engine, ECHO, instances(), &admission).await;
    let (second, _second) = pool_of(&engine, SLEEPER, instances(), &admission).await;
    let (third, _third) = pool_of(&engine, &format!("(nop) {ECHO}"), instances(), &admission).await;
    for pool in [&first, &second, &third] {
        assert!(pool.call(&[0], 1, LIMIT).await.is_ok());
    }
    assert_eq!((first.alive(), second.alive(), third.alive()), (0, 1, 1));
}

#[tokio::test]
async fn who_waits_gets_the_place_of_an_instance_that_returns() {
    let engine = engine(1);
    let admission = Arc::new(InstanceAdmission::new(1));
    let (slow, _slow) = pool_of(&engine, SLEEPER, instances(), &admission).await;
    let (other, _other) = pool_of(&engine, ECHO, instances(), &admission).await;
    let running = tokio::spawn({
        let slow = slow.clone();
        async move { slow.call(&[50], 1, LIMIT).await }
    });
    eventually("the slow call runs", || slow.alive() == 1).await;
    assert!(other.call(b"x", 1, LIMIT).await.is_ok());
    assert!(running.await.expect("no panic").is_ok());
    assert_eq!((slow.alive(), other.alive()), (0, 1));
}

#[tokio::test]
async fn the_minimum_is_ready_and_refilled() {
    let admission = Arc::new(InstanceAdmission::new(8));
    let settings = InstancePolicy { min: 2, isolation: Some(Isolation::Batch), ..instances() };
    let (pool, bench) = pool_of(&engine(8), ECHO, settings, &admission).await;
    eventually("two are ready", || pool.alive() == 2).await;
    assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
    eventually("the lost one is replaced", || bench.metrics.cold_starts.get() == 3 && pool.alive() == 2).await;
}

#[tokio::test]
async fn idle_instances_end_but_the_minimum_stays() {
    let admission = Arc::new(InstanceAdmission::new(8));
    let settings = InstancePolicy { min: 1, keep_warm: Duration::from_millis(40), ..instances() };
    let (pool, _bench) = pool_of(&engine(8), SLEEPER, settings, &admission).await;
    let (one, other, third) =
        tokio::join!(pool.call(&[20], 1, LIMIT), pool.call(&[20], 1, LIMIT), pool.call(&[20], 1, LIMIT));
    assert!(one.is_ok() && other.is_ok() && third.is_ok());
    eventually("only the minimum is left", || pool.alive() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(pool.alive(), 1);
}

#[tokio::test]
async fn emulated_starts_take_their_time() {
    let admission = Arc::new(InstanceAdmission::new(8));
    let cold = Duration::from_millis(60);
    let hot = Duration::from_millis(20);
    let settings =
        InstancePolicy { emulate: Some(StartEmulation { cold: (cold, cold), hot: (hot, hot) }), ..instances() };
    let (pool, _bench) = pool_of(&engine(8), ECHO, settings, &admission).await;
    for delay in [cold, hot, hot] {
        let began = Moment::now();
        assert!(pool.call(b"x", 1, LIMIT).await.is_ok());
        assert!(began.elapsed() >= delay);
    }
}
