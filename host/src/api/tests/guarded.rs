//! The document and the guard: every route is documented, and asks what its document says.

use std::collections::BTreeSet;

use crate::api::tests::*;
use crate::config::host::TokenScope;

const ALL: &str = "all-0123456789abcdef";

fn guarded() -> Host {
    let scopes = [("read", TokenScope::Read), ("invoke", TokenScope::Invoke), ("deploy", TokenScope::Deploy)];
    let mut tokens: Vec<(&str, &str, &[TokenScope])> =
        vec![("all", ALL, &[TokenScope::Read, TokenScope::Invoke, TokenScope::Deploy])];
    tokens.extend(scopes.iter().map(|(name, scope)| (*name, *name, std::slice::from_ref(scope))));
    Host::with_tokens(AccessTokens::of(&tokens))
}

async fn document(host: &Host) -> Value {
    host.ask("GET", "/openapi.json").await.body
}

/// Every operation: method, path with its parameters filled in, and the scope, if any.
fn operations(document: &Value) -> Vec<(String, String, Option<String>)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = path.replace("{name}", "mill").replace("{revision}", "1").replace("{topic}", "in");
        let filled = filled.replace("{partition}", "0").replace("{offset}", "1");
        let filled = filled.replace("{file}", "main.js");
        assert!(!filled.contains('{'), "{path} has a parameter that this test does not know");
        for (method, operation) in methods.as_object().unwrap() {
            let security =
                operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path} says nothing of tokens"));
            let scope = security[0]["token"][0].as_str().map(str::to_owned);
            all.push((method.to_uppercase(), filled.clone(), scope));
        }
    }
    all
}

#[tokio::test]
async fn every_route_asks_for_a_token_with_its_scope() {
    let host = guarded();
    let operations = operations(&document(&host).await);
    assert!(operations.len() >= 16, "{operations:?}");
    let mut open = BTreeSet::new();
    for (method, path, scope) in operations {
        let ask = async |token: Option<&str>| {
            let mut request = Request::builder().method(method.as_str()).uri(&path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            host.send(request.body(Body::empty()).unwrap()).await
        };
        let Some(scope) = scope else {
            assert!(ask(None).await.status.is_success(), "{method} {path} is open");
            open.insert(path);
            continue;
        };
        for wrong in [
            None,
            Some("Bearer wrong"),
            Some("Basic all-0123456789abcdef"),
            Some("Bearer"),
            Some("Bearer  "),
            Some(ALL),
        ] {
            let answer = ask(wrong).await;
            answer.is_problem(401, "MS0209");
            assert!(answer.header("www-authenticate").starts_with("Bearer realm=\"millstream\""), "{method} {path}");
        }
        for weak in ["read", "invoke", "deploy"].into_iter().filter(|weak| *weak != scope) {
            let answer = ask(Some(&format!("Bearer {weak}"))).await;
            answer.is_problem(403, "MS0210");
            assert!(answer.header("www-authenticate").contains(&format!("scope=\"{scope}\"")), "{method} {path}");
        }
        for good in [scope.as_str(), ALL] {
            let status = ask(Some(&format!("bearer {good}"))).await.status.as_u16();
            assert!(status != 401 && status != 403, "{method} {path} with {good}: {status}");
        }
    }
    assert_eq!(open.into_iter().collect::<Vec<_>>(), ["/", "/healthz", "/openapi.json", "/page/main.js", "/readyz"]);
}

#[tokio::test]
async fn strangers_learn_no_names() {
    let host = guarded();
    let parts = form(&good(TOML, b"one"));
    let deploy = upload("/v1/functions/mill").header("authorization", format!("Bearer {ALL}"));
    assert_eq!(host.send(deploy.body(Body::from(parts)).unwrap()).await.status, StatusCode::CREATED);
    *host.observed.0.lock() = Some((FunctionState::Stalled, 1));
    assert_eq!(host.ask("GET", "/readyz").await.body, serde_json::json!({ "ready": true }));
    let strict = host.ask("GET", "/readyz?strict=true").await;
    strict.is_problem(503, "MS0302");
    assert!(!strict.text.contains("mill is"), "{}", strict.text);
    host.ask("GET", "/nowhere").await.is_problem(404, "MS0202");
    host.ask("PATCH", "/v1/functions").await.is_problem(405, "MS0203");
    let head = host.send(Request::builder().method("HEAD").uri("/v1/functions").body(Body::empty()).unwrap()).await;
    assert_eq!(head.status.as_u16(), 401);
    let twice = Request::builder().uri("/v1/functions").header("authorization", format!("Bearer {ALL}"));
    let twice = twice.header("authorization", "Bearer x").body(Body::empty()).unwrap();
    host.send(twice).await.is_problem(401, "MS0209");
}

#[tokio::test]
async fn the_document_holds_together() {
    let document = document(&Host::new()).await;
    assert_eq!(document["info"]["title"], "Millstream");
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    assert!(!wanted.is_empty());
    for reference in wanted {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path} has no summary"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} has no success");
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}
