//! The authorities that the system trusts are found without a setting, for brokers and for the token endpoint.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_tests::client::Client;
use millstream_tests::host::binary;
use millstream_tests::kafka::secured::{Listener, SecuredKafka};
use millstream_tests::process::{Process, free_port};
use millstream_tests::skip::skipped;
use millstream_tests::token_endpoint::{CLIENT, SECRET};
use millstream_tests::{unique, wait_until};

/// Where Debian has them in one file.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A host that sees `bundle` in place of the system's file: in a mount namespace of its own.
fn start(kafka: &SecuredKafka, bundle: &Path, folder: &Path, log: &Path) -> (Process, Client) {
    let port = free_port();
    let process = Process::start("unshare", |command| {
        command.args(["--mount", "--map-root-user", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("mount --bind \"$1\" {BUNDLE} && exec \"$2\" serve")).arg("sh").arg(bundle).arg(binary());
        // They would name the file, or another one.
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command.env("MILLSTREAM_LISTEN", format!("127.0.0.1:{port}")).env("MILLSTREAM_DATA_DIR", folder);
        command.env("MILLSTREAM_TOPICS__REGISTRY_PREFIX", format!("{}.", unique("system")));
        let settings = [
            ("BOOTSTRAP_SERVERS", kafka.address(Listener::Bearer)),
            ("SECURITY_PROTOCOL", "sasl_ssl".to_owned()),
            ("SASL_MECHANISM", "OAUTHBEARER".to_owned()),
            ("SASL_OAUTHBEARER_METHOD", "oidc".to_owned()),
            ("SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", kafka.tokens.url()),
            ("SASL_OAUTHBEARER_CLIENT_ID", CLIENT.to_owned()),
            ("SASL_OAUTHBEARER_CLIENT_SECRET", SECRET.to_owned()),
        ];
        command.envs(settings.map(|(name, value)| (format!("MILLSTREAM_KAFKA__{name}"), value)));
        command.stdout(Stdio::null()).stderr(std::fs::File::create(log).expect("a log"));
    });
    (process, Client::new(port))
}

fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).output();
    tried.is_ok_and(|output| output.status.success()) && Path::new(BUNDLE).exists()
}

#[test]
fn the_systems_authorities_are_found_without_a_setting() {
    if !has_namespaces() {
        skipped(&format!(
            "no mount namespaces, or no {BUNDLE}: the system's certificates cannot be replaced for a test"
        ));
        return;
    }
    let kafka = SecuredKafka::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let (mut process, client) = start(kafka, &kafka.authority.certificate(), folder.path(), &log);
    wait_until("the host is ready", Duration::from_secs(60), || {
        let ended = process.ended();
        assert_eq!(ended, None, "{}", std::fs::read_to_string(&log).unwrap_or_default());
        client.is_ready()
    });
    drop(process);

    let empty = folder.path().join("empty.crt");
    std::fs::write(&empty, "").expect("written");
    let (_process, client) = start(kafka, &empty, folder.path(), &log);
    let mut detail = String::new();
    wait_until("the host says which package is missing", Duration::from_secs(15), || {
        if client.is_listening() {
            detail = client.send("GET", "/readyz", &[], "").1["detail"].to_string();
        }
        detail.contains("ca-certificates") || detail.contains("https.ca.location")
    });
}
