//! Connections that a secured cluster refuses, or that the host refuses: what went wrong, which setting, and what to do,
//! within seconds, in the log and in the host's readiness.

use std::time::Duration;

use millstream_tests::host::{Host, HostOptions};
use millstream_tests::kafka::secured::{Listener, PASSPHRASE, PASSWORD, SecuredKafka, USER};
use millstream_tests::token_endpoint::{CLIENT, SECRET};
use millstream_tests::{unique, wait_until};

/// A few seconds, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(15);

/// KafkaOptions of `[kafka]`.
type KafkaOptions = Vec<(&'static str, String)>;

struct ClientFiles {
    authority: String,
    stranger: String,
    certificate: String,
    key: String,
}

fn files(kafka: &SecuredKafka) -> ClientFiles {
    let file = |name: &str| kafka.client_files().join(name).display().to_string();
    ClientFiles {
        authority: file("kafka-ca.pem"),
        stranger: kafka.stranger.certificate().display().to_string(),
        certificate: file("client.pem"),
        key: file("client.key"),
    }
}

fn settings(settings: &[(&'static str, &str)]) -> KafkaOptions {
    settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn tls(authority: &str) -> KafkaOptions {
    settings(&[("security.protocol", "ssl"), ("ssl.ca.location", authority)])
}

fn scram(authority: &str, mechanism: &str, user: &str, password: &str) -> KafkaOptions {
    settings(&[
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", authority),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ])
}

fn bearer(kafka: &SecuredKafka, secret: &str, https: &[(&'static str, &str)]) -> KafkaOptions {
    let common = settings(&[
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", &files(kafka).authority),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.token.endpoint.url", &kafka.tokens.url()),
        ("sasl.oauthbearer.client.id", CLIENT),
        ("sasl.oauthbearer.client.secret", secret),
    ]);
    [common, settings(https)].concat()
}

#[track_caller]
fn launch(kafka: &SecuredKafka, listener: Listener, settings: &KafkaOptions) -> Host {
    let lines: String = settings.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")).collect();
    let config = format!("[kafka]\n{lines}");
    let options = HostOptions { config, ..HostOptions::new(&kafka.address(listener), &unique("refused")) };
    Host::launch(options, tempfile::tempdir().expect("a folder"))
}

/// The host keeps trying, and both its readiness and its log say these words.
#[track_caller]
fn assert_waits(kafka: &SecuredKafka, listener: Listener, settings: &KafkaOptions, words: &[&str]) {
    let mut host = launch(kafka, listener, settings);
    let mut detail = String::new();
    let all_in = |text: &str| words.iter().all(|word| text.contains(word));
    wait_until(&format!("{listener:?} {settings:?}: the readiness says {words:?}"), SOON, || {
        assert!(host.is_alive(), "{settings:?}: the host ended");
        if host.client.is_listening() {
            detail = host.client.send("GET", "/readyz", &[], "").1["detail"].to_string();
        }
        all_in(&detail)
    });
    let address = kafka.address(listener);
    assert!(detail.contains(&format!("kafka at {address} cannot be reached")), "{detail}");
    assert!(host.log().lines().any(|line| line.contains("WARN") && all_in(line)), "{words:?}: {}", host.log());
    if let Some((_, password)) = settings.iter().find(|(name, _)| *name == "sasl.password") {
        assert!(!host.log().contains(password), "the log holds the password");
    }
}

/// The host ends at once and says these words.
#[track_caller]
fn assert_ends(kafka: &SecuredKafka, listener: Listener, settings: &KafkaOptions, words: &[&str]) {
    let mut host = launch(kafka, listener, settings);
    let status = host.wait_for_end(SOON);
    let log = host.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("error[MS0401]") && words.iter().all(|word| log.contains(word)), "{words:?}: {log}");
}

#[test]
fn certificates_that_are_not_accepted_say_why() {
    let kafka = SecuredKafka::shared();
    let ClientFiles { authority, stranger, .. } = files(kafka);
    let unknown = ["certificate is not accepted", "certificate", "set ssl.ca.location"];
    assert_waits(kafka, Listener::Tls, &tls(&stranger), &unknown);
    // Without a setting, the system's authorities are asked, of which none signed it.
    let system = settings(&[("security.protocol", "ssl")]);
    assert_waits(kafka, Listener::Tls, &system, &[&unknown[..], &["ca-certificates"]].concat());
    assert_waits(kafka, Listener::Expired, &tls(&authority), &["certificate has expired", "renew"]);
    let mismatch = ["IP address mismatch", "kafka.bootstrap_servers", "advertised.listeners"];
    assert_waits(kafka, Listener::Elsewhere, &tls(&authority), &mismatch);
    let anonymous = ["bad certificate", "ssl.certificate.location", "ssl.key.location"];
    assert_waits(kafka, Listener::ClientCertificate, &tls(&authority), &anonymous);
    // One of an authority that the broker does not trust.
    let own = kafka.stranger.client("client");
    let foreign = [
        tls(&authority),
        settings(&[
            ("ssl.certificate.location", &own.certificate.display().to_string()),
            ("ssl.key.location", &own.key.display().to_string()),
        ]),
    ];
    assert_waits(kafka, Listener::ClientCertificate, &foreign.concat(), &["ssl.certificate.location", "trusts"]);
}

#[test]
fn users_that_are_not_accepted_say_why() {
    let kafka = SecuredKafka::shared();
    let authority = files(kafka).authority;
    let refused = ["invalid credentials", "sasl.username", "sasl.password"];
    assert_waits(kafka, Listener::ScramTls, &scram(&authority, "SCRAM-SHA-512", USER, "wrong-wrong"), &refused);
    assert_waits(kafka, Listener::ScramTls, &scram(&authority, "SCRAM-SHA-512", "stranger", PASSWORD), &refused);
    let unsupported = ["supported mechanisms: SCRAM-SHA-512", "set sasl.mechanism"];
    assert_waits(kafka, Listener::ScramTls, &scram(&authority, "SCRAM-SHA-256", USER, PASSWORD), &unsupported);
    let trusted = [("https.ca.location", authority.as_str())];
    let client = ["invalid_client", "sasl.oauthbearer.client.secret"];
    assert_waits(kafka, Listener::Bearer, &bearer(kafka, "wrong-wrong", &trusted), &client);
    let endpoint = ["unable to get local issuer certificate", "https.ca.location"];
    assert_waits(kafka, Listener::Bearer, &bearer(kafka, SECRET, &[]), &endpoint);
}

#[test]
fn a_listener_of_another_protocol_says_so() {
    let kafka = SecuredKafka::shared();
    let authority = files(kafka).authority;
    assert_waits(kafka, Listener::Tls, &KafkaOptions::new(), &["closed by peer", "security.protocol", "ssl for TLS"]);
    assert_waits(kafka, Listener::ScramTls, &tls(&authority), &["closed by peer", "security.protocol", "sasl_ssl"]);
    assert_waits(kafka, Listener::Scram, &tls(&authority), &["PLAINTEXT broker listener", "security.protocol"]);
}

#[test]
fn settings_that_no_client_takes_end_the_host() {
    let kafka = SecuredKafka::shared();
    let ClientFiles { authority, certificate, key, .. } = files(kafka);
    assert_ends(kafka, Listener::Tls, &tls("/nowhere/ca.pem"), &["ssl.ca.location must name a file"]);
    let pair = |passphrase: &str| {
        let own = settings(&[
            ("ssl.certificate.location", &certificate),
            ("ssl.key.location", &key),
            ("ssl.key.password", passphrase),
        ]);
        [tls(&authority), own].concat()
    };
    assert_ends(kafka, Listener::ClientCertificate, &pair("wrong"), &["ssl.key.location", "ssl.key.password"]);
    let mut with_the_passphrase = launch(kafka, Listener::ClientCertificate, &pair(PASSPHRASE));
    with_the_passphrase.wait_until_ready();
    // librdkafka's own default is Kerberos.
    let unnamed = settings(&[("security.protocol", "sasl_ssl"), ("ssl.ca.location", &authority)]);
    assert_ends(kafka, Listener::ScramTls, &unnamed, &["set sasl.mechanism", "no GSSAPI"]);
}

#[test]
fn a_host_that_waits_connects_once_the_cause_is_gone() {
    let kafka = SecuredKafka::shared();
    let authority = files(kafka).authority;
    let mut host = launch(kafka, Listener::ScramTls, &scram(&authority, "SCRAM-SHA-512", "late", "the-late-password"));
    wait_until("the host is refused", SOON, || host.log().contains("invalid credentials"));
    kafka.add_user("late", "the-late-password");
    host.wait_until_ready();
}
