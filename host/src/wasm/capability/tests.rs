//! Capabilities as guests see them.

use std::time::Duration;

use crate::wasm::log::Level;
use crate::wasm::testing::{bench, engine};

/// Asks http://169.254.169.254 and answers with the first bytes of what `future-incoming-response.get` gives.
const ASKS_HTTP: &str = r#"(component
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:http/types@0.2.4" (instance $http
        (alias outer 1 $pollable (type $p0)) (export "pollable" (type $p (eq $p0)))
        (export "fields" (type $fields (sub resource)))
        (export "outgoing-request" (type $request (sub resource)))
        (export "request-options" (type (sub resource)))
        (export "incoming-response" (type $response (sub resource)))
        (export "future-incoming-response" (type $future (sub resource)))
        (type $dns0 (record (field "rcode" (option string)) (field "info-code" (option u16))))
        (export "DNS-error-payload" (type $dns (eq $dns0)))
        (type $tls0 (record (field "alert-id" (option u8)) (field "alert-message" (option string))))
        (export "TLS-alert-received-payload" (type $tls (eq $tls0)))
        (type $size0 (record (field "field-name" (option string)) (field "field-size" (option u32))))
        (export "field-size-payload" (type $size (eq $size0)))
        (type $code0 (variant
            (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found")
            (case "destination-unavailable") (case "destination-IP-prohibited") (case "destination-IP-unroutable")
            (case "connection-refused") (case "connection-terminated") (case "connection-timeout")
            (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
            (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls)
            (case "HTTP-request-denied") (case "HTTP-request-length-required")
            (case "HTTP-request-body-size" (option u64)) (case "HTTP-request-method-invalid")
            (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
            (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
            (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size)
            (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
            (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64))
            (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
            (case "HTTP-response-transfer-coding" (option string))
            (case "HTTP-response-content-coding" (option string)) (case "HTTP-response-timeout")
            (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
            (case "configuration-error") (case "internal-error" (option string))))
        (export "error-code" (type $code (eq $code0)))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $request))))
        (export "[method]outgoing-request.set-authority"
            (func (param "self" (borrow $request)) (param "authority" (option string)) (result (result))))
        (export "[method]outgoing-request.set-path-with-query"
            (func (param "self" (borrow $request)) (param "path-with-query" (option string)) (result (result))))
        (export "[method]future-incoming-response.subscribe" (func (param "self" (borrow $future)) (result (own $p))))
        (export "[method]future-incoming-response.get" (func (param "self" (borrow $future))
            (result (option (result (result (own $response) (error $code)))))))))
    (alias export $http "outgoing-request" (type $request))
    (alias export $http "request-options" (type $options))
    (alias export $http "future-incoming-response" (type $future))
    (alias export $http "error-code" (type $code))
    (import "wasi:http/outgoing-handler@0.2.4" (instance $handler
        (alias outer 1 $request (type $r0)) (export "outgoing-request" (type $r (eq $r0)))
        (alias outer 1 $options (type $o0)) (export "request-options" (type $o (eq $o0)))
        (alias outer 1 $future (type $f0)) (export "future-incoming-response" (type $f (eq $f0)))
        (alias outer 1 $code (type $c0)) (export "error-code" (type $c (eq $c0)))
        (export "handle" (func (param "request" (own $r)) (param "options" (option (own $o)))
            (result (result (own $f) (error $c)))))))
    (core module $memory-module
        (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
    (core instance $shared (instantiate $memory-module))
    (alias core export $shared "memory" (core memory $memory))
    (alias core export $shared "realloc" (core func $realloc))
    (core func $fields (canon lower (func $http "[constructor]fields")))
    (core func $request (canon lower (func $http "[constructor]outgoing-request")))
    (core func $authority (canon lower (func $http "[method]outgoing-request.set-authority") (memory $memory)))
    (core func $path (canon lower (func $http "[method]outgoing-request.set-path-with-query") (memory $memory)))
    (core func $handle (canon lower (func $handler "handle") (memory $memory) (realloc $realloc)))
    (core func $subscribe (canon lower (func $http "[method]future-incoming-response.subscribe")))
    (core func $get (canon lower (func $http "[method]future-incoming-response.get") (memory $memory)
        (realloc $realloc)))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core module $m
        (import "host" "memory" (memory 1))
        (import "host" "fields" (func $fields (result i32)))
        (import "host" "request" (func $request (param i32) (result i32)))
        (import "host" "authority" (func $authority (param i32 i32 i32 i32) (result i32)))
        (import "host" "path" (func $path (param i32 i32 i32 i32) (result i32)))
        (import "host" "handle" (func $handle (param i32 i32 i32 i32)))
        (import "host" "subscribe" (func $subscribe (param i32) (result i32)))
        (import "host" "get" (func $get (param i32 i32)))
        (import "host" "block" (func $block (param i32)))
        (data (i32.const 1024) "169.254.169.254/")
        (func (export "handle") (param i32 i32) (result i32) (local $request i32) (local $future i32)
            (local.set $request (call $request (call $fields)))
            (drop (call $authority (local.get $request) (i32.const 1) (i32.const 1024) (i32.const 15)))
            (drop (call $path (local.get $request) (i32.const 1) (i32.const 1039) (i32.const 1)))
            (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 2048))
            (local.set $future (i32.load (i32.const 2056)))
            (call $block (call $subscribe (local.get $future)))
            (call $get (local.get $future) (i32.const 2200))
            (i32.store (i32.const 16) (i32.const 2200)) (i32.store (i32.const 20) (i32.const 40))
            (i32.const 16)))
    (core instance $i (instantiate $m (with "host" (instance
        (export "memory" (memory $memory)) (export "fields" (func $fields)) (export "request" (func $request))
        (export "authority" (func $authority)) (export "path" (func $path))
        (export "handle" (func $handle))
        (export "subscribe" (func $subscribe)) (export "get" (func $get)) (export "block" (func $block))))))
    (func $lifted (param "input" (list u8)) (result (list u8))
        (canon lift (core func $i "handle") (memory $memory) (realloc $realloc)))
    (instance $e (export "handle" (func $lifted)))
    (export "millstream:function/batch@0.1.0" (instance $e)))"#;

/// Logs its request as an error of the context `till`.
const LOGS: &str = r#"(component
    (import "wasi:logging/logging@0.1.0-draft" (instance $logging
        (type $level0 (enum "trace" "debug" "info" "warn" "error" "critical"))
        (export "level" (type $level (eq $level0)))
        (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
    (core module $memory-module
        (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
    (core instance $shared (instantiate $memory-module))
    (alias core export $shared "memory" (core memory $memory))
    (core func $log (canon lower (func $logging "log") (memory $memory)))
    (core module $m
        (import "host" "memory" (memory 1))
        (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
        (data (i32.const 1024) "till")
        (func (export "handle") (param $ptr i32) (param $len i32) (result i32)
            (call $log (i32.const 4) (i32.const 1024) (i32.const 4) (local.get $ptr) (local.get $len))
            (i32.const 16)))
    (core instance $i (instantiate $m (with "host" (instance
        (export "memory" (memory $memory)) (export "log" (func $log))))))
    (func $lifted (param "input" (list u8)) (result (list u8))
        (canon lift (core func $i "handle") (memory $memory) (realloc (core func $shared "realloc"))))
    (instance $e (export "handle" (func $lifted)))
    (export "millstream:function/batch@0.1.7" (instance $e)))"#;

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn outgoing_http_is_denied_when_it_is_asked_for() {
    let engine = engine(1);
    let bench = bench(&engine, wat::parse_str(ASKS_HTTP).expect("valid text").into()).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    let answer = instance.call(b"x", 1, LIMIT).await.expect("answered");
    // some(ok(err(HTTP-request-denied))): each level is aligned to 8 bytes, and the denial is case 15.
    assert_eq!((answer[0], answer[8], answer[16], answer[24]), (1, 0, 1, 15), "{answer:?}");
    let lines = bench.lines.all();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].1.contains("outgoing HTTP to \"169.254.169.254\" is denied"), "{lines:?}");
}

#[tokio::test]
async fn messages_keep_their_level() {
    let engine = engine(1);
    let bench = bench(&engine, wat::parse_str(LOGS).expect("valid text").into()).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    instance.call(b"no change", 1, LIMIT).await.expect("answered");
    assert_eq!(bench.lines.all(), [(Level::Error, "till: no change".to_owned())]);
}
