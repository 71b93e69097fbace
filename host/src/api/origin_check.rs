//! Who may speak to the API: no page of elsewhere in somebody's browser.
//!
//! The API has no tokens, and a browser on the same machine reaches a loopback address for any page that it shows. A page
//! may have a name of its own resolve to that address (DNS rebinding): then `Host` names the page. Or it may send what
//! needs no leave of the API: then `Origin` names the page. Both are refused.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::problem::ApiProblem;
use crate::error_code::ErrorCode;

/// The most of a header that is repeated to anyone who sent it.
const LONGEST_SHOWN: usize = 100;

/// The door of an API that listens on this address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OriginCheck(pub(crate) SocketAddr);

/// Lets a request in, or not.
pub(crate) async fn check(State(door): State<OriginCheck>, request: Request, next: Next) -> Response {
    match door.refusal(&request) {
        Some(detail) => ApiProblem::new(ErrorCode::ForeignRequest).with_detail(detail).into_response(),
        None => next.run(request).await,
    }
}

impl OriginCheck {
    /// Why a request is not let in.
    fn refusal(self, request: &Request) -> Option<String> {
        let mut own = request.uri().authority().cloned();
        if let Some(named) = &own
            && !self.is_name_of_this(named)
        {
            return Some(self.foreign_host(named.as_str()));
        }
        // HTTP/1.0 has no Host; every browser sends it.
        for header in request.headers().get_all(HOST) {
            match parse::<Authority>(header).filter(|named| self.is_name_of_this(named)) {
                Some(named) => own = own.or(Some(named)),
                None => return Some(self.foreign_host(&shown(header))),
            }
        }
        if request.method().is_safe() {
            return None;
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let foreign = origins.find(|origin| !parse(origin).is_some_and(|origin| is_same(&origin, own.as_ref())))?;
        Some(format!(
            "a page of \"{}\" may not change anything here: send the request without an Origin, as programs do",
            shown(foreign)
        ))
    }

    fn foreign_host(self, host: &str) -> String {
        format!("Host is \"{host}\", and this host answers to http://{} and http://localhost:{}", self.0, self.0.port())
    }

    /// Beyond loopback the host can't know by which names others call it; anyone who reaches it there may deploy anyway.
    fn is_name_of_this(self, named: &Authority) -> bool {
        if !self.0.ip().is_loopback() {
            return true;
        }
        let host = named.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        let name = host.strip_suffix('.').unwrap_or(host);
        let is_alone = !named.as_str().contains('@');
        is_alone && (name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback))
    }
}

/// Whether a page of `origin` was served by the host that the request was sent to.
fn is_same(origin: &Uri, own: Option<&Authority>) -> bool {
    let usual_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let (Some(page), Some(own)) = (origin.authority(), own) else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual_port);
    page.host().eq_ignore_ascii_case(own.host()) && port(page) == port(own)
}

fn parse<T: std::str::FromStr>(header: &HeaderValue) -> Option<T> {
    header.to_str().ok()?.parse().ok()
}

fn shown(header: &HeaderValue) -> String {
    String::from_utf8_lossy(header.as_bytes()).chars().take(LONGEST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refusal(listen: &str, method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        OriginCheck(listen.parse().unwrap()).refusal(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn names_of_loopback_are_let_in_and_no_others() {
        let get = |host: &str| refusal("127.0.0.1:8080", "GET", "/healthz", &[("host", host)]);
        for own in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LocalHost",
            "localhost.",
            "127.0.0.2",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(get(own), None, "{own}");
        }
        for foreign in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "192.168.0.9", "[2001:db8::1]", "", "a b"]
        {
            assert!(get(foreign).is_some_and(|detail| detail.contains("localhost:8080")), "{foreign}");
        }
        assert!(get("evil@localhost").is_some() && get("localhost@evil").is_some());
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(refusal("127.0.0.1:8080", "GET", "/", &twice).is_some());
        assert!(refusal("127.0.0.1:8080", "GET", "http://evil.example/", &[("host", "localhost")]).is_some());
        assert_eq!(refusal("127.0.0.1:8080", "GET", "/healthz", &[]), None, "HTTP/1.0");
    }

    #[test]
    fn beyond_loopback_any_name_is_let_in() {
        assert_eq!(refusal("0.0.0.0:8080", "GET", "/", &[("host", "mill.example")]), None);
    }

    #[test]
    fn pages_of_elsewhere_change_nothing() {
        let put = |listen: &str, host: &str, origin: &str| {
            refusal(listen, "PUT", "/v1/functions/mill", &[("host", host), ("origin", origin)])
        };
        let (loopback, own) = ("127.0.0.1:8080", "localhost:8080");
        assert_eq!(put(loopback, own, "http://localhost:8080"), None);
        assert_eq!(put("0.0.0.0:80", "mill.example", "http://mill.example"), None);
        assert_eq!(put("0.0.0.0:80", "mill.example", "https://mill.example"), None, "behind a proxy that ends TLS");
        for foreign in
            ["http://evil.example", "http://localhost:3000", "http://localhost", "null", "file://localhost:8080", ""]
        {
            assert!(put(loopback, own, foreign).is_some_and(|detail| detail.contains("page")), "{foreign}");
        }
        assert!(put("0.0.0.0:80", "mill.example", "http://evil.example").is_some());
        let reads = refusal(loopback, "GET", "/metrics", &[("host", own), ("origin", "http://evil.example")]);
        assert_eq!(reads, None, "the browser keeps the answer from the page");
    }
}
