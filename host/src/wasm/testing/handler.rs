//! HTTP handlers for tests: core modules with an embedded component type, as a compiler with wit-bindgen leaves them.

use std::sync::Arc;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The part of `wasi:http` that the handlers use.
const WIT: &str = r#"
    package millstream:test;
    world handler {
        import wasi:http/types@0.2.3;
        export wasi:http/incoming-handler@0.2.3;
    }
    package wasi:io@0.2.3 {
        interface error { resource error; }
        interface streams {
            use error.{error};
            variant stream-error { last-operation-failed(error), closed }
            resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
            resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
        }
    }
    package wasi:http@0.2.3 {
        interface types {
            use wasi:io/streams@0.2.3.{input-stream, output-stream};
            record DNS-error-payload { rcode: option<string>, info-code: option<u16> }
            record TLS-alert-received-payload { alert-id: option<u8>, alert-message: option<string> }
            record field-size-payload { field-name: option<string>, field-size: option<u32> }
            variant error-code {
                DNS-timeout, DNS-error(DNS-error-payload), destination-not-found, destination-unavailable,
                destination-IP-prohibited, destination-IP-unroutable, connection-refused, connection-terminated,
                connection-timeout, connection-read-timeout, connection-write-timeout, connection-limit-reached,
                TLS-protocol-error, TLS-certificate-error, TLS-alert-received(TLS-alert-received-payload),
                HTTP-request-denied, HTTP-request-length-required, HTTP-request-body-size(option<u64>),
                HTTP-request-method-invalid, HTTP-request-URI-invalid, HTTP-request-URI-too-long,
                HTTP-request-header-section-size(option<u32>), HTTP-request-header-size(option<field-size-payload>),
                HTTP-request-trailer-section-size(option<u32>), HTTP-request-trailer-size(field-size-payload),
                HTTP-response-incomplete, HTTP-response-header-section-size(option<u32>),
                HTTP-response-header-size(field-size-payload), HTTP-response-body-size(option<u64>),
                HTTP-response-trailer-section-size(option<u32>), HTTP-response-trailer-size(field-size-payload),
                HTTP-response-transfer-coding(option<string>), HTTP-response-content-coding(option<string>),
                HTTP-response-timeout, HTTP-upgrade-failed, HTTP-protocol-error, loop-detected, configuration-error,
                internal-error(option<string>)
            }
            variant header-error { invalid-syntax, forbidden, immutable }
            resource fields {
                from-list: static func(entries: list<tuple<string, list<u8>>>) -> result<fields, header-error>;
                get: func(name: string) -> list<list<u8>>;
            }
            resource incoming-request {
                headers: func() -> fields;
                consume: func() -> result<incoming-body>;
            }
            resource incoming-body { %stream: func() -> result<input-stream>; }
            resource outgoing-response {
                constructor(headers: fields);
                set-status-code: func(status-code: u16) -> result;
                body: func() -> result<outgoing-body>;
            }
            resource outgoing-body {
                write: func() -> result<output-stream>;
                finish: static func(this: outgoing-body, trailers: option<fields>) -> result<_, error-code>;
            }
            resource response-outparam {
                set: static func(param: response-outparam, response: result<outgoing-response, error-code>);
            }
        }
        interface incoming-handler {
            use types.{incoming-request, response-outparam};
            handle: func(request: incoming-request, response-out: response-outparam);
        }
    }"#;

/// What every handler imports and may call.
const ITEMS: &str = r#"
    (import "wasi:http/types@0.2.3" "[static]fields.from-list" (func $from-list (param i32 i32 i32)))
    (import "wasi:http/types@0.2.3" "[method]fields.get" (func $get (param i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.3" "[method]incoming-request.headers" (func $headers (param i32) (result i32)))
    (import "wasi:http/types@0.2.3" "[method]incoming-request.consume" (func $consume (param i32 i32)))
    (import "wasi:http/types@0.2.3" "[method]incoming-body.stream" (func $stream (param i32 i32)))
    (import "wasi:http/types@0.2.3" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
    (import "wasi:http/types@0.2.3" "[method]outgoing-response.set-status-code"
        (func $set-status (param i32 i32) (result i32)))
    (import "wasi:http/types@0.2.3" "[method]outgoing-response.body" (func $body (param i32 i32)))
    (import "wasi:http/types@0.2.3" "[method]outgoing-body.write" (func $sink (param i32 i32)))
    (import "wasi:http/types@0.2.3" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.3" "[static]response-outparam.set"
        (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
        (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.3" "[resource-drop]output-stream" (func $drop-sink (param i32)))
    (import "wasi:io/streams@0.2.3" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.get $next)
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 15)) (i32.const -16))))
    ;; Answers with this status and these headers, and gives the body to be written.
    (func $answer (param $out i32) (param $status i32) (param $list i32) (param $count i32) (result i32)
        (local $made i32)
        (call $from-list (local.get $list) (local.get $count) (i32.const 0))
        (if (i32.load8_u (i32.const 0)) (then (unreachable)))
        (local.set $made (call $response (i32.load (i32.const 4))))
        (drop (call $set-status (local.get $made) (local.get $status)))
        (call $body (local.get $made) (i32.const 0))
        (call $set (local.get $out) (i32.const 0) (local.get $made) (i32.const 0) (i64.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0))
        (i32.load (i32.const 4)))
    ;; Writes to a body, at most 4096 bytes.
    (func $put (param $to i32) (param $at i32) (param $length i32) (local $open i32)
        (call $sink (local.get $to) (i32.const 0))
        (local.set $open (i32.load (i32.const 4)))
        (call $write (local.get $open) (local.get $at) (local.get $length) (i32.const 0))
        (call $drop-sink (local.get $open)))
    (func $end (param $body i32) (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0)))"#;

/// Where the list of headers of an answer begins.
pub(crate) const HEADERS_AT: usize = 1024;

/// A list of headers as `fields.from-list` takes it, as data of a module.
pub(crate) fn headers(headers: &[(&str, &str)]) -> String {
    let mut texts = HEADERS_AT + headers.len() * 16;
    let (mut list, mut data) = (String::new(), String::new());
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        for number in [texts, text.len()] {
            (number as u32).to_le_bytes().iter().for_each(|byte| list.push_str(&format!("\\{byte:02x}")));
        }
        text.bytes().for_each(|byte| data.push_str(&format!("\\{byte:02x}")));
        texts += text.len();
    }
    format!(r#"(data (i32.const {HEADERS_AT}) "{list}{data}")"#)
}

/// A core module with an embedded component type, whose `handle` has this body, beside these other items.
pub(crate) fn handler(items: &str, body: &str) -> Arc<[u8]> {
    let text = format!(
        r#"(module {ITEMS} {items}
            (func (export "wasi:http/incoming-handler@0.2.3#handle") (param $request i32) (param $out i32)
                (local $body i32) {body}))"#
    );
    embedded(&text, WIT, "handler")
}

/// A core module that says which component it is to become.
pub(crate) fn embedded(text: &str, wit: &str, world: &str) -> Arc<[u8]> {
    let mut module = wat::parse_str(text).expect("valid text");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).expect("valid WIT");
    let world = resolve.select_world(&[package], Some(world)).expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("embedded");
    module.into()
}
