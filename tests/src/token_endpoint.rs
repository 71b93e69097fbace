//! The token endpoint of an OpenID provider on loopback, over HTTPS: it signs a token if the client's secret is right.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio_rustls::rustls;

use crate::certificates::KeyPair;

pub const ISSUER: &str = "https://login.test";
pub const AUDIENCE: &str = "kafka";
pub const CLIENT: &str = "millstream";
pub const SECRET: &str = "the-client-secret";
const KEY_ID: &str = "test-key";

/// Short enough that a test sees a client get a new one.
const LIFETIME: Duration = Duration::from_secs(20);

/// A running endpoint. It serves until the test process ends.
#[derive(Debug)]
pub struct TokenEndpoint {
    port: u16,
    issued: Arc<AtomicUsize>,
}

impl TokenEndpoint {
    /// Serves with the certificate `server`, and signs with the key of `signer`.
    #[track_caller]
    pub fn start(server: &KeyPair, signer: &KeyPair) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let issued = Arc::<AtomicUsize>::default();
        let (tls, key, count) = (Arc::new(tls_settings(server)), signer.key.clone(), issued.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (tls, key, count) = (tls.clone(), key.clone(), count.clone());
                // A client that does not trust the certificate breaks the connection, and some tests want that.
                std::thread::spawn(move || answer(stream, tls, &key, &count));
            }
        });
        Self { port, issued }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/oauth/token", self.port)
    }

    /// How many tokens it has issued.
    pub fn issued(&self) -> usize {
        self.issued.load(Ordering::Relaxed)
    }
}

/// The public half of the signer's key, as a JSON Web Key Set for a broker.
#[track_caller]
pub fn key_set(signer: &KeyPair) -> Value {
    let modulus = openssl(&["rsa", "-noout", "-modulus", "-in"], &signer.key, b"");
    let text = String::from_utf8(modulus).expect("text");
    let hex = text.trim().strip_prefix("Modulus=").expect("a modulus");
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
    // Every key that openssl makes has the exponent 65,537.
    json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "e": "AQAB",
        "n": URL_SAFE_NO_PAD.encode(bytes) }] })
}

fn tls_settings(server: &KeyPair) -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_file(&server.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&server.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.expect("versions of TLS").with_no_client_auth();
    builder.with_single_cert(vec![certificate], key).expect("key and certificate belong together")
}

fn answer(mut stream: TcpStream, tls: Arc<rustls::ServerConfig>, key: &Path, issued: &AtomicUsize) -> Option<()> {
    let mut session = rustls::ServerConnection::new(tls).ok()?;
    let mut stream = rustls::Stream::new(&mut session, &mut stream);
    let request = read_request(&mut stream)?;
    let basic = STANDARD.encode(format!("{CLIENT}:{SECRET}"));
    let (status, body) = if request.contains(&basic) {
        issued.fetch_add(1, Ordering::Relaxed);
        let token = sign(key);
        ("200 OK", json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs() }))
    } else {
        ("401 Unauthorized", json!({ "error": "invalid_client", "error_description": "unknown client or secret" }))
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// Head and body of a request.
fn read_request(stream: &mut impl std::io::Read) -> Option<String> {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

fn sign(key: &Path) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let head = encode(json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID }));
    let claims = encode(json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": CLIENT, "scope": "kafka", "iat": now, "exp": now + LIFETIME.as_secs(),
    }));
    let signed = format!("{head}.{claims}");
    let signature = openssl(&["dgst", "-sha256", "-binary", "-sign"], key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[track_caller]
fn openssl(arguments: &[&str], key: &Path, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).arg(key).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl, which `./run setup` installs");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?} failed");
    output.stdout
}
