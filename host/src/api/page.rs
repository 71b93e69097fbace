//! The web page: files that are part of the binary, and nothing from elsewhere.
//!
//! The files hold nothing secret and need no token; what they show they ask of the API, with the token of anyone who looks.
//! The policy lets the browser run and load only what this host serves, so that nothing that a record, a guest or a name
//! says can become code.

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::problem::{ApiProblem, ProblemView};
use crate::error_code::ErrorCode;
use crate::model::ids::ArtifactDigest;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

macro_rules! files {
    ($($kind:ident $name:literal),+ $(,)?) => {
        &[$(PageFile {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("../../assets/page/", $name)),
        },)+]
    };
}

/// Every file of the page.
const FILES: &[PageFile] = files![
    HTML "index.html",
    CSS "style.css",
    CSS "parts.css",
    ICON "icon.svg",
    SCRIPT "api.js",
    SCRIPT "deploy.js",
    SCRIPT "dom.js",
    SCRIPT "events.js",
    SCRIPT "format.js",
    SCRIPT "function.js",
    SCRIPT "invoke.js",
    SCRIPT "layout.js",
    SCRIPT "letters.js",
    SCRIPT "logs.js",
    SCRIPT "main.js",
    SCRIPT "metrics.js",
    SCRIPT "overview.js",
    SCRIPT "plot.js",
    SCRIPT "revisions.js",
    SCRIPT "store.js",
    SCRIPT "topology.js",
    SCRIPT "usage.js",
];

struct PageFile {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// Show the web page
///
/// For people: functions, figures, topology, logs, dead letters, lineage.
#[utoipa::path(get, path = "/", tag = "host", security(()), responses(
    (status = 200, description = "The page", body = String, content_type = "text/html"),
))]
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, ApiProblem> {
    serve("index.html", &headers)
}

/// Give a file of the web page
#[utoipa::path(get, path = "/page/{file}", tag = "host", security(()),
    params(("file" = String, Path, description = "The file's name")),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/javascript"),
        (status = 304, description = "It has not changed"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiProblem> {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Response, ApiProblem> {
    let unknown = || ApiProblem::new(ErrorCode::PathNotFound).with_detail("the page has no such file");
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(unknown)?;
    // A host of another version has other files: browsers ask each time, and load what differs.
    let tag = format!("\"{}\"", ArtifactDigest::of(file.bytes));
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| known.as_bytes() == tag.as_bytes());
    let common = [
        (CONTENT_TYPE, file.kind),
        (ETAG, tag.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    Ok(match is_known {
        true => (StatusCode::NOT_MODIFIED, common).into_response(),
        false => (common, file.bytes).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn folder() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "assets", "page"].iter().collect()
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let found = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(found.collect::<BTreeSet<_>>(), served);
    }

    #[test]
    fn what_the_page_loads_is_there_and_nothing_is_from_elsewhere() {
        let names: BTreeSet<&str> = FILES.iter().map(|file| file.name).collect();
        for file in FILES {
            let text = std::str::from_utf8(file.bytes).unwrap();
            for import in text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(names.contains(import), "{} imports {import}", file.name);
            }
            for loaded in text.split("\"/page/").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(names.contains(loaded), "{} loads {loaded}", file.name);
            }
            let without_names = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!without_names.contains("http://") && !without_names.contains("https://"), "{}", file.name);
            assert!(!text.contains("innerHTML") && !text.contains("<script>"), "{}", file.name);
        }
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let first = serve("main.js", &HeaderMap::new()).unwrap();
        assert_eq!(first.headers()[CONTENT_TYPE], SCRIPT);
        assert!(first.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script-src 'self'"));
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(serve("main.js", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert!(serve("../Cargo.toml", &headers).is_err());
    }
}
