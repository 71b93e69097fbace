//! The real binary when it cannot start: what it says, without any Kafka.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use millstream_tests::host::binary;

/// What `millstream serve` with these settings says before it ends.
#[track_caller]
fn refusal(folder: &Path, settings: &[(&str, &str)]) -> String {
    // A host that starts all the same would run without end.
    let mut command = Command::new("timeout");
    command.arg("20").arg(binary()).arg("serve");
    command.env("MILLSTREAM_DATA_DIR", folder).env("MILLSTREAM_LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
    let output = command.output().expect("timeout can be started");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn a_port_that_is_taken_has_its_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let stderr = refusal(folder.path(), &[("MILLSTREAM_LISTEN", &address)]);
    assert!(stderr.contains("error[MS0402]") && stderr.contains(&address), "{stderr}");
    assert!(!stderr.contains("report it"), "{stderr}");
}

#[test]
fn a_data_folder_that_is_taken_has_its_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let held = std::fs::File::create(folder.path().join("host.id")).expect("a file");
    held.lock().expect("locked");
    let stderr = refusal(folder.path(), &[]);
    assert!(stderr.contains("error[MS0403]") && stderr.contains("in use"), "{stderr}");
}

#[test]
fn a_data_folder_that_is_none_has_its_code() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let stderr = refusal(file.path(), &[]);
    assert!(stderr.contains("error[MS0403]"), "{stderr}");
}

#[test]
fn an_option_that_librdkafka_refuses_has_its_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let stderr = refusal(folder.path(), &[("MILLSTREAM_KAFKA__SOCKET_TIMEOUT_MS", "soon")]);
    assert!(stderr.contains("error[MS0401]") && stderr.contains("socket.timeout.ms"), "{stderr}");
}
