//! Clusters as people secure them: everything a host does, through a listener of each kind, with the settings that
//! docs/operations.md shows.

use std::process::Command;

use millstream_tests::concurrency::{ConcurrencyLimit, ConcurrencyPermit};
use millstream_tests::host::{Host, HostOptions, binary};
use millstream_tests::kafka::secured::{Listener, PASSPHRASE, PASSWORD, SecuredKafka};
use millstream_tests::token_endpoint::SECRET;
use millstream_tests::{PROGRESS, kcat, oracle, root, unique, wait_until};

const RECORDS: usize = 500;

static LIMIT: ConcurrencyLimit = ConcurrencyLimit::new(2);

/// A host that reaches the broker through one of its listeners.
struct SecuredHost {
    kafka: &'static SecuredKafka,
    host: Host,
    name: String,
    _permit: ConcurrencyPermit,
}

/// The example under this heading of docs/operations.md, with the files and addresses of this test.
#[track_caller]
fn example(heading: &str, kafka: &SecuredKafka) -> String {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).expect("the page");
    let section = page.split(&format!("\n### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let block = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    block
        .replace("/etc/millstream/", &format!("{}/", kafka.client_files().display()))
        .replace("https://login.example.com/oauth/token", &kafka.tokens.url())
}

impl SecuredHost {
    #[track_caller]
    fn start(listener: Listener, heading: &str, more: &str, secrets: &[(&str, &str)]) -> Self {
        let permit = LIMIT.acquire();
        let kafka = SecuredKafka::shared();
        let name = unique("secured");
        let config = example(heading, kafka) + more;
        let options = HostOptions { config, ..HostOptions::new(&kafka.address(listener), &name) };
        let options = secrets.iter().fold(options, |options, (name, value)| options.with(name, value));
        let mut host = Host::launch(options, tempfile::tempdir().expect("a folder"));
        host.wait_until_ready();
        Self { kafka, host, name, _permit: permit }
    }

    #[track_caller]
    fn cli(&self, words: &[&str]) -> String {
        let command = Command::new(binary()).args(words).env("MILLSTREAM_HOST", self.host.client.base()).output();
        let output = command.expect("the binary runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Deploys, runs, and reads the outputs with a client of another make.
    #[track_caller]
    fn run_function(&self, what_for: &str, guarantee: &str) {
        let name = format!("{}-{what_for}", self.name);
        let (input, output) = (format!("{name}.in"), format!("{name}.out"));
        self.kafka.create_topic(&input, 2);
        let inputs = oracle::inputs(RECORDS, 20);
        kcat::produce(&self.kafka.bootstrap, &input, inputs.clone());
        let manifest = format!(
            "processing_guarantee = \"{guarantee}\"\nordering = \"key\"\ntopics = [\"{input}\"]\n\
             initial_offset = \"earliest\"\noutputs = {{ default = \"{output}\" }}\n"
        );
        self.host.client.deploy(&name, "uppercase", &manifest);
        // Asked of Kafka: the host's own lag is zero also while it does not know where a partition ends.
        wait_until("all is committed", PROGRESS, || {
            let partitions = self.kafka.group(&format!("millstream.{name}"));
            partitions.len() == 2 && partitions.iter().all(|partition| partition.committed == partition.end)
        });
        let findings = oracle::compare(&inputs, &kcat::read(&self.kafka.bootstrap, &output));
        assert_eq!(
            (findings.lost.len(), findings.repeated, findings.foreign.len(), findings.out_of_order.len()),
            (0, 0, 0, 0),
            "{guarantee}"
        );
    }

    /// What the tools do of which each opens a client of its own: dead letters, redrives, events, replays.
    #[track_caller]
    fn use_tools(&self) {
        let name = format!("{}-tools", self.name);
        let (input, output) = (format!("{name}.in"), format!("{name}.out"));
        self.kafka.create_topic(&input, 1);
        let manifest = format!(
            "topics = [\"{input}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{output}\" }}\n\
             [retry]\nmax_attempts = 1\n"
        );
        self.host.client.deploy(&name, "faults", &manifest);
        for value in ["ok:1", "trap", "ok:2"] {
            self.cli(&["publish", &input, "--data", value, "--key", "k"]);
        }
        self.host.client.wait_for_no_lag(&name, PROGRESS);
        assert_eq!(kcat::read(&self.kafka.bootstrap, &output).len(), 2);
        assert!(self.cli(&["list"]).contains(&name));
        let letters = self.cli(&["dlq", "list", &name]);
        assert!(letters.contains("trap"), "{letters}");
        let redriven = self.cli(&["dlq", "redrive", &name, "--all", "--json"]);
        assert!(redriven.contains("trap"), "{redriven}");
        let replay = self.cli(&["replay", &name, "--topic", &input, "--json"]);
        assert!(replay.contains("\"records\":3"), "{replay}");
    }

    /// Everything; then a host that finds all of it in the registry.
    #[track_caller]
    fn run(&mut self) {
        self.run_function("least", "at_least_once");
        self.run_function("exact", "exactly_once");
        self.use_tools();
        self.host.restart();
        self.host.wait_until_ready();
        for function in ["least", "exact", "tools"] {
            let name = format!("{}-{function}", self.name);
            wait_until(&format!("{name} runs again"), PROGRESS, || {
                self.host.client.status(&name)["state"] == "running"
            });
        }
    }
}

#[test]
fn over_tls() {
    SecuredHost::start(Listener::Tls, "TLS", "", &[]).run();
}

#[test]
fn over_tls_with_a_client_certificate() {
    let passphrase = [("MILLSTREAM_KAFKA__SSL_KEY_PASSWORD", PASSPHRASE)];
    SecuredHost::start(Listener::ClientCertificate, "Client certificates (mTLS)", "", &passphrase).run();
}

#[test]
fn over_tls_with_a_password() {
    let password = [("MILLSTREAM_KAFKA__SASL_PASSWORD", PASSWORD)];
    SecuredHost::start(Listener::ScramTls, "User and password (SCRAM) over TLS", "", &password).run();
}

#[test]
fn with_a_password_and_without_tls() {
    let password = [("MILLSTREAM_KAFKA__SASL_PASSWORD", PASSWORD)];
    SecuredHost::start(Listener::Scram, "User and password (SCRAM) without TLS", "", &password).run();
}

#[test]
fn with_tokens_that_are_renewed() {
    let secret = [("MILLSTREAM_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET", SECRET)];
    let mut secured = SecuredHost::start(Listener::Bearer, "Tokens (OAUTHBEARER, OIDC)", "", &secret);
    secured.run();
    let tokens = &secured.kafka.tokens;
    let issued = tokens.issued();
    // Each client asks by itself; with all of them at rest, more tokens are renewed ones.
    wait_until("the clients get new tokens before the old ones expire", PROGRESS, || tokens.issued() > issued + 3);
    secured.run_function("later", "at_least_once");
}
