//! A broker with a listener of each kind by which people secure their clusters, and some with what goes wrong there.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use super::{Kafka, QUICK, java, run_broker};
use crate::certificates::{CertificateAuthority, KeyPair};
use crate::fault_proxy::FaultProxy;
use crate::process::free_port;
use crate::root;
use crate::token_endpoint::{AUDIENCE, ISSUER, TokenEndpoint, key_set};

pub const USER: &str = "millstream";
pub const PASSWORD: &str = "the-users-password";
/// The passphrase of the client's key.
pub const PASSPHRASE: &str = "the-keys-passphrase";

/// How clients reach it, and what is special there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// `SSL`.
    Tls,
    /// `SSL`, and clients show a certificate.
    ClientCertificate,
    /// `SASL_SSL` with SCRAM-SHA-512.
    ScramTls,
    /// `SASL_PLAINTEXT` with SCRAM-SHA-256.
    Scram,
    /// `SASL_SSL` with tokens that an endpoint issues.
    Bearer,
    /// `SSL` with a certificate that expired yesterday.
    Expired,
    /// `SSL` with the certificate of another machine.
    Elsewhere,
}

const LISTENERS: [Listener; 7] = [
    Listener::Tls,
    Listener::ClientCertificate,
    Listener::ScramTls,
    Listener::Scram,
    Listener::Bearer,
    Listener::Expired,
    Listener::Elsewhere,
];

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::ClientCertificate => "MTLS",
            Self::ScramTls => "SCRAMTLS",
            Self::Scram => "SCRAM",
            Self::Bearer => "BEARER",
            Self::Expired => "EXPIRED",
            Self::Elsewhere => "ELSEWHERE",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Tls | Self::ClientCertificate | Self::Expired | Self::Elsewhere => "SSL",
            Self::ScramTls | Self::Bearer => "SASL_SSL",
            Self::Scram => "SASL_PLAINTEXT",
        }
    }
}

/// A running broker; [`Deref`] gives its listener without any protection, for the tools of a test.
#[derive(Debug)]
pub struct SecuredKafka {
    pub authority: CertificateAuthority,
    /// Signs nothing that the broker has.
    pub stranger: CertificateAuthority,
    pub tokens: TokenEndpoint,
    kafka: Kafka,
    ports: Vec<(Listener, u16)>,
}

impl Deref for SecuredKafka {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

impl SecuredKafka {
    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SecuredKafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where a client's files are, by the names of docs/operations.md.
    pub fn client_files(&self) -> PathBuf {
        self.authority.folder().join("clients")
    }

    /// Adds a user of SCRAM-SHA-512.
    #[track_caller]
    pub fn add_user(&self, name: &str, password: &str) {
        let user = ["--entity-type", "users", "--entity-name", name];
        let credential = format!("SCRAM-SHA-512=[password={password}]");
        let arguments = [&["--alter"], &user[..], &["--add-config", credential.as_str()]].concat();
        self.kafka.tool("kafka.admin.ConfigCommand", &arguments);
    }

    /// The address of a listener.
    #[track_caller]
    pub fn address(&self, listener: Listener) -> String {
        let (_, port) = self.ports.iter().find(|(found, _)| *found == listener).expect("it has each of them");
        format!("127.0.0.1:{port}")
    }

    #[track_caller]
    fn start() -> Self {
        let (authority, stranger) = (CertificateAuthority::new(), CertificateAuthority::new());
        let signer = authority.client("signer");
        let tokens = TokenEndpoint::start(&authority.server("login"), &signer);
        write_client_files(&authority);
        let folder = tempfile::tempdir().expect("a folder");
        let (plain, controller) = (free_port(), free_port());
        let ports: Vec<_> = LISTENERS.iter().map(|listener| (*listener, free_port())).collect();
        let template = fs::read_to_string(root().join("tests/kafka/server.properties")).expect("the settings");
        let settings = template
            .replace("@PORT@", &plain.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@DATA@", &folder.path().join("data").to_string_lossy());
        let key_set_file = folder.path().join("keys.json");
        fs::write(&key_set_file, key_set(&signer).to_string()).expect("written");
        let keys = format!("file://{}", key_set_file.display());
        let more = [addresses(plain, controller, &ports), certificates(&authority), scram(), bearer(&keys)];
        // Of two lines for a key the later one counts.
        fs::write(folder.path().join("server.properties"), settings + &more.concat()).expect("written");
        format_with_users(&folder.path().join("server.properties"));
        // Kafka takes keys only from where it was allowed to.
        let allowed: &'static str = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}").leak();
        let machine: &'static [&'static str] = [&QUICK[..], &[allowed]].concat().leak();
        let process = Mutex::new(run_broker(&folder, machine));
        let proxy = FaultProxy::start(free_port(), free_port());
        let kafka = Kafka { bootstrap: format!("127.0.0.1:{plain}"), proxy, process, machine, folder };
        Self { authority, stranger, tokens, kafka, ports }
    }
}

fn addresses(plain: u16, controller: u16, ports: &[(Listener, u16)]) -> String {
    let each = |one: fn(&str, Listener, u16) -> String, host: &str| {
        ports.iter().map(|(listener, port)| one(host, *listener, *port)).collect::<String>()
    };
    let address = |host: &str, listener: Listener, port: u16| format!(",{}://{host}:{port}", listener.name());
    let listeners = each(address, "127.0.0.1");
    // Another name than the one that clients begin with: the certificate stands for both.
    let advertised = each(address, "localhost");
    let protocols = each(|_, listener, _| format!(",{}:{}", listener.name(), listener.protocol()), "");
    format!(
        "\nlisteners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller}{listeners}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{plain}{advertised}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         inter.broker.listener.name=PLAINTEXT\n"
    )
}

fn certificates(authority: &CertificateAuthority) -> String {
    let broker = authority.server("broker");
    let (expired, elsewhere) = (authority.expired_server("expired"), authority.server_elsewhere("elsewhere"));
    let stores = LISTENERS.into_iter().filter(|listener| listener.protocol().ends_with("SSL")).map(|listener| {
        let pair = match listener {
            Listener::Expired => &expired,
            Listener::Elsewhere => &elsewhere,
            _ => &broker,
        };
        let prefix = format!("listener.name.{}", listener.name().to_lowercase());
        format!(
            "{prefix}.ssl.keystore.type=PEM\n{prefix}.ssl.keystore.location={}\n",
            key_store(authority, pair).display()
        )
    });
    stores.collect::<String>()
        + &format!(
            "listener.name.mtls.ssl.client.auth=required\nlistener.name.mtls.ssl.truststore.type=PEM\n\
             listener.name.mtls.ssl.truststore.location={}\n",
            authority.certificate().display()
        )
}

fn key_store(authority: &CertificateAuthority, pair: &KeyPair) -> PathBuf {
    let file = pair.key.with_extension("store.pem");
    let chain = fs::read_to_string(authority.certificate()).expect("a PEM file");
    fs::write(&file, pair.joined() + &chain).expect("written");
    file
}

fn scram() -> String {
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let of = |listener: &str, mechanism: &str| {
        let prefix = format!("listener.name.{listener}");
        let jaas = format!("{prefix}.{}.sasl.jaas.config={module}", mechanism.to_lowercase());
        format!("{prefix}.sasl.enabled.mechanisms={mechanism}\n{jaas}\n")
    };
    of("scramtls", "SCRAM-SHA-512") + &of("scram", "SCRAM-SHA-256")
}

fn bearer(keys: &str) -> String {
    let package = "org.apache.kafka.common.security.oauthbearer";
    format!(
        "listener.name.bearer.sasl.enabled.mechanisms=OAUTHBEARER\n\
         listener.name.bearer.oauthbearer.sasl.jaas.config={package}.OAuthBearerLoginModule required;\n\
         listener.name.bearer.oauthbearer.sasl.server.callback.handler.class={package}.OAuthBearerValidatorCallbackHandler\n\
         sasl.oauthbearer.jwks.endpoint.url={keys}\n\
         sasl.oauthbearer.expected.audience={AUDIENCE}\nsasl.oauthbearer.expected.issuer={ISSUER}\n"
    )
}

/// Formats the storage of the broker with these settings. Users of SCRAM are in it from its first start.
#[track_caller]
fn format_with_users(settings: &std::path::Path) {
    let mut command = java();
    command.args(["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c"]).arg(settings);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        command.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={PASSWORD}]"));
    }
    let formatted = command.output().expect("java can be started: `./run setup` installs it");
    assert!(formatted.status.success(), "Kafka's storage: {}", String::from_utf8_lossy(&formatted.stderr));
}

/// The files of a client, as it has them at home: its key has a passphrase.
#[track_caller]
fn write_client_files(authority: &CertificateAuthority) {
    let (folder, pair) = (authority.folder().join("clients"), authority.client("client"));
    fs::create_dir(&folder).expect("a folder");
    fs::copy(authority.certificate(), folder.join("kafka-ca.pem")).expect("copied");
    fs::copy(&pair.certificate, folder.join("client.pem")).expect("copied");
    let encrypted = std::process::Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", &format!("pass:{PASSPHRASE}"), "-in"])
        .arg(&pair.key)
        .arg("-out")
        .arg(folder.join("client.key"))
        .output()
        .expect("openssl, which `./run setup` installs");
    assert!(encrypted.status.success(), "{}", String::from_utf8_lossy(&encrypted.stderr));
}
