//! Shadows, as far as they need no Kafka.

use crate::api::tests::*;

#[tokio::test]
async fn a_shadow_is_deployed_beside_the_live_revision_stopped_and_promoted() {
    let host = Host::new();
    let shadow = "/v1/functions/mill/shadow";
    host.put(shadow, &good(TOML, b"two")).await.is_problem(404, "MS0201");
    host.deploy(TOML, b"one").await;
    for (method, path) in [("GET", shadow), ("DELETE", shadow), ("POST", "/v1/functions/mill/promote")] {
        host.ask(method, path).await.is_problem(404, "MS0241");
    }

    let first = host.put(&format!("{shadow}?ignore=x,time,%20x"), &good(TOML, b"two")).await;
    assert_eq!((first.status, first.header("etag")), (StatusCode::CREATED, "\"1\""), "{}", first.text);
    assert_eq!((&first.body["revision"], &first.body["live"]), (&2.into(), &1.into()), "{}", first.text);
    let again = host.put(&format!("{shadow}?ignore=time,x"), &good(TOML, b"two")).await;
    assert_eq!((again.status, again.body["revision"].as_u64()), (StatusCode::OK, Some(2)), "{}", again.text);
    let one = host.ask("GET", "/v1/functions/mill").await;
    assert_eq!((&one.body["revision"], &one.body["shadow"]), (&1.into(), &2.into()));
    let elsewhere = "name = \"mill\"\ntopics = [\"elsewhere\"]";
    host.put(shadow, &good(elsewhere, b"two")).await.is_problem(400, "MS0101");

    assert_eq!(host.ask("DELETE", shadow).await.status, StatusCode::NO_CONTENT);
    assert!(host.ask("GET", "/v1/functions/mill").await.body["shadow"].is_null());
    assert_eq!(host.put(shadow, &good(TOML, b"three")).await.body["revision"], 3, "no number is given twice");
    let old = Request::builder().method("POST").uri("/v1/functions/mill/promote").header("if-match", "\"7\"");
    host.send(old.body(Body::empty()).unwrap()).await.is_problem(412, "MS0205");
    host.ask("POST", "/v1/functions/mill/promote?wait=long").await.is_problem(400, "MS0204");
    let live = host.ask("POST", "/v1/functions/mill/promote").await;
    assert_eq!((live.status, live.header("etag")), (StatusCode::OK, "\"3\""), "{}", live.text);
    host.ask("GET", shadow).await.is_problem(404, "MS0241");
}
