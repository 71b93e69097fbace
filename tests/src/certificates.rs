//! A certificate authority of a test's own, made with openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The names that a broker on loopback answers to.
const LOOPBACK: &str = "IP:127.0.0.1,DNS:localhost";

/// An authority with the certificates that it signed, as PEM files in one folder.
#[derive(Debug)]
pub struct CertificateAuthority {
    folder: TempDir,
}

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl KeyPair {
    /// Key and certificate one after the other, as Kafka's PEM key stores have them.
    #[track_caller]
    pub fn joined(&self) -> String {
        [&self.key, &self.certificate].map(|file| std::fs::read_to_string(file).expect("a PEM file")).concat()
    }
}

impl CertificateAuthority {
    #[track_caller]
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a folder") };
        let KeyPair { certificate, key } = authority.pair("ca");
        openssl(&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test authority"])
            .with("-keyout", &key)
            .with("-out", &certificate)
            .run();
        authority
    }

    /// Its own certificate: what clients trust.
    pub fn certificate(&self) -> PathBuf {
        self.pair("ca").certificate
    }

    /// Where all of its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for a server on loopback.
    #[track_caller]
    pub fn server(&self, name: &str) -> KeyPair {
        self.sign(name, LOOPBACK, "2")
    }

    /// One for another machine.
    #[track_caller]
    pub fn server_elsewhere(&self, name: &str) -> KeyPair {
        self.sign(name, "DNS:kafka.elsewhere.test", "2")
    }

    /// One that expired yesterday.
    #[track_caller]
    pub fn expired_server(&self, name: &str) -> KeyPair {
        self.sign(name, LOOPBACK, "-1")
    }

    /// A certificate for a client of that name.
    #[track_caller]
    pub fn client(&self, name: &str) -> KeyPair {
        self.sign(name, &format!("DNS:{name}"), "2")
    }

    #[track_caller]
    fn sign(&self, name: &str, alternatives: &str, days: &str) -> KeyPair {
        let pair = self.pair(name);
        let (request, extensions) = (self.file(name, "csr"), self.file(name, "ext"));
        openssl(&["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/CN={name}")])
            .with("-keyout", &pair.key)
            .with("-out", &request)
            .run();
        let text = format!("subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\n");
        std::fs::write(&extensions, text).expect("written");
        let authority = self.pair("ca");
        openssl(&["x509", "-req", "-CAcreateserial", "-days", days])
            .with("-in", &request)
            .with("-CA", &authority.certificate)
            .with("-CAkey", &authority.key)
            .with("-extfile", &extensions)
            .with("-out", &pair.certificate)
            .run();
        pair
    }

    fn pair(&self, name: &str) -> KeyPair {
        KeyPair { certificate: self.file(name, "pem"), key: self.file(name, "key") }
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{extension}"))
    }
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        Self::new()
    }
}

struct Openssl(Command);

fn openssl(arguments: &[&str]) -> Openssl {
    let mut command = Command::new("openssl");
    command.args(arguments);
    Openssl(command)
}

impl Openssl {
    fn with(mut self, option: &str, file: &Path) -> Self {
        self.0.arg(option).arg(file);
        self
    }

    #[track_caller]
    fn run(mut self) {
        let output = self.0.output().expect("openssl, which `./run setup` installs");
        assert!(output.status.success(), "{:?}: {}", self.0, String::from_utf8_lossy(&output.stderr));
    }
}
