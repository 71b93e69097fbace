//! The API against its own document: a foreign tool sends what the document allows, and what it forbids.

use std::process::Command;

use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use millstream_tests::host::binary;
use millstream_tests::root;
use millstream_tests::skip::skipped;

const ALL: &str = "all-rights-0123456789";

/// No schema says what a manifest, a duration or a tag may be: what it allows may still be refused. Any body is an event,
/// also none; of a batch each event is judged for itself. What is followed has no end.
const CHECKS: &str = "
[checks]
positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = \"/(invoke|events)$\"
checks.negative_data_rejection.enabled = false

[[operations]]
include-path-regex = \"/logs$\"
[operations.parameters]
\"query.follow\" = false
";

#[test]
fn the_document_holds_for_whatever_is_sent() {
    let tool = root().join(".cache/tools/schemathesis/bin/schemathesis");
    if !tool.exists() {
        return skipped(
            "schemathesis is not installed (`./run test` installs it): the API was not checked against its document",
        );
    }
    let config = "[api]\ntoken = \"env:ALL_RIGHTS\"\n";
    let fixture = HostFixture::configured("document", 1, &[("ALL_RIGHTS", ALL)], config);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let manifest = format!("name = \"{}\"\ntopics = [\"{}\"]\n", fixture.name, fixture.input);
    let deployed = Command::new(binary())
        .args(["deploy", "--wait", "--host", fixture.host.client.base(), "--manifest"])
        .arg(file("millstream.toml", manifest.as_bytes()))
        .arg("--module")
        .arg(file("module.wasm", &module("uppercase")))
        .env("MILLSTREAM_TOKEN", ALL)
        .output()
        .expect("the binary runs");
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));

    let settings = format!(
        "[parameters]\n\"path.name\" = \"{}\"\n\"path.topic\" = \"{}\"\n\"path.revision\" = 1\n{CHECKS}",
        fixture.name, fixture.input
    );
    file("schemathesis.toml", settings.as_bytes());
    let check = |which: &str| {
        let checked = Command::new("timeout")
            .arg("180")
            .arg(&tool)
            .args(["run", &format!("{}/openapi.json", fixture.host.client.base()), which, "DELETE"])
            .args(["--header", &format!("Authorization: Bearer {ALL}"), "--request-timeout", "30"])
            // Python 3.11 has a fault with more than one worker.
            .args(["--max-examples", "12", "--seed", "1", "--workers", "1", "--no-color"])
            .current_dir(folder.path())
            .output()
            .expect("it can be started");
        let printed = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{printed}{}", String::from_utf8_lossy(&checked.stderr));
        assert!(printed.contains(" passed"), "{printed}");
    };
    // While the function is there, and then what takes it away.
    check("--exclude-method");
    check("--include-method");
    assert!(fixture.host.client.is_ready());
}
