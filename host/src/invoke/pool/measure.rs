//! What a call through the pool costs, printed for people.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::invoke::admission::InstanceAdmission;
use crate::invoke::pool::InstancePool;
use crate::model::function::{InstancePolicy, Isolation};
use crate::wasm::testing::{ECHO, bench, engine, guest, instances};

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_calls_of_a_pool() {
    const ROUNDS: u32 = 50_000;
    let engine = engine(100);
    let bench = bench(&engine, guest("", ECHO)).await;
    for isolation in [Isolation::Shared, Isolation::Record] {
        let settings = InstancePolicy { isolation: Some(isolation), ..instances() };
        let admission = Arc::new(InstanceAdmission::new(100));
        let pool = InstancePool::new(bench.sandbox.clone(), &settings, admission, Arc::clone(&bench.metrics));
        let began = Moment::now();
        for _ in 0..ROUNDS {
            pool.call(&[7; 200], 1, Duration::from_secs(3)).await.expect("answered");
        }
        println!("a call of 200 B through the pool, {isolation:?}: mean {:?}", began.elapsed() / ROUNDS);
    }
}
