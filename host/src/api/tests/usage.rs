//! What functions used, as JSON and as CSV.

use std::time::Duration;

use crate::api::tests::*;

fn host_with_usage() -> Host {
    let host = Host::new();
    let mill = host.api.metrics.function(&FunctionName::new("mill").unwrap());
    let second = Duration::from_secs(1);
    mill.usage.count(256, 1_000_000_000, 2 * second, second, 4000, 9000);
    host
}

#[tokio::test]
async fn usage_is_told_by_function() {
    let host = host_with_usage();
    let answer = host.ask("GET", "/v1/usage").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let used = &answer.body["functions"][0];
    assert_eq!((used["function"].as_str(), used["invocations"].as_u64()), (Some("mill"), Some(256)));
    assert_eq!((used["calls"].as_u64(), used["cpu_seconds"].as_f64()), (Some(1), Some(1.0)));
    assert_eq!((used["bytes_in"].as_u64(), used["bytes_out"].as_u64()), (Some(4000), Some(9000)));
    assert!(used["gb_seconds"].as_f64().is_some_and(|used| (2.0..2.001).contains(&used)), "{used}");
    let other = host.ask("GET", "/v1/usage?function=other").await;
    assert_eq!(other.body["functions"].as_array().map(Vec::len), Some(0));
    let past = host.ask("GET", "/v1/usage?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await;
    assert_eq!(past.body["functions"].as_array().map(Vec::len), Some(0), "{}", past.text);
    assert_eq!(past.body["from"], "2020-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn usage_is_csv_where_that_is_asked_for() {
    let host = host_with_usage();
    let asked = Request::builder().uri("/v1/usage").header("accept", "text/csv").body(Body::empty()).unwrap();
    for answer in [host.ask("GET", "/v1/usage?format=csv&from=1d").await, host.send(asked).await] {
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
        let lines: Vec<Vec<&str>> = answer.text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!((lines.len(), lines[0].len(), lines[1].len()), (2, 10, 10), "{}", answer.text);
        assert_eq!((lines[0][3], lines[1][0], lines[1][3]), ("invocations", "mill", "256"));
    }
}

#[tokio::test]
async fn wrong_periods_are_refused() {
    let host = Host::new();
    for query in ["from=tomorrow", "from=1h&to=2h", "to=x", "function=No_Name", "format=xml"] {
        host.ask("GET", &format!("/v1/usage?{query}")).await.is_problem(400, "MS0204");
    }
}
