//! Each promise of `docs/guarantees.md` names its tests: they exist.

use std::fs;

use millstream_tests::root;

/// Where the page says that tests are: `broker/` and `delivery/` here, everything else beside the host's code.
fn source(file: &str) -> String {
    let folder = if file.starts_with("broker/") || file.starts_with("delivery/") { "tests/tests" } else { "host/src" };
    let path = root().join(folder).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/guarantees.md names {}: {error}", path.display()))
}

/// What stands in backticks and is a test: a file, or a test in it. `…::name` is in the file before, and `…_exactly_once`
/// the test before for the other guarantee.
fn references(page: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for quoted in page.split('`').skip(1).step_by(2) {
        let last = || found.last().cloned().unwrap_or_else(|| panic!("`{quoted}` comes before any file"));
        let (file, test) = quoted.split_once("::").map_or((quoted, None), |(file, test)| (file, Some(test)));
        match (file, test) {
            ("…", Some(test)) => {
                let file = last().0;
                found.push((file, Some(test.to_owned())));
            }
            (suffix, None) if suffix.starts_with("…_") => {
                let (file, test) = last();
                let test = test.map(|test| test + suffix.trim_start_matches('…'));
                found.push((file, test));
            }
            (file, test) if file.ends_with(".rs") => found.push((file.to_owned(), test.map(str::to_owned))),
            _ => {}
        }
    }
    found
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let page = fs::read_to_string(root().join("docs/guarantees.md")).expect("the page is there");
    let references = references(&page);
    assert!(references.len() > 100, "the references were found: {}", references.len());
    let missing: Vec<String> = references
        .iter()
        .filter_map(|(file, test)| {
            let test = test.as_ref()?;
            let code = source(file);
            let exists = code.contains(&format!("fn {test}(")) || code.contains(&format!("mod {test} "));
            (!exists).then(|| format!("{file}::{test}"))
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    for (file, _) in &references {
        source(file);
    }
}

#[test]
fn references_are_read_as_the_page_writes_them() {
    let page = "`broker/stream.rs::a`, `…::b`, `…_exactly_once` and `in_flight`; `delivery/x.rs`";
    let expected = [
        ("broker/stream.rs", Some("a")),
        ("broker/stream.rs", Some("b")),
        ("broker/stream.rs", Some("b_exactly_once")),
        ("delivery/x.rs", None),
    ];
    let expected = expected.map(|(file, test)| (file.to_owned(), test.map(str::to_owned)));
    assert_eq!(references(page), expected);
}
