//! Remedies for connections that fail. librdkafka reports the cause only as text: OpenSSL's, the broker's, the token
//! endpoint's or its own.

/// Parts of a message, in lower case, and the remedy. The first match counts.
const REMEDIES: [(&[&str], &str); 18] = [
    (
        &["hostname mismatch", "ip address mismatch"],
        "the broker's certificate is for another name: use a name that it holds in kafka.bootstrap_servers and in the \
         brokers' advertised.listeners, or reissue it",
    ),
    (&["certificate has expired"], "renew the broker's certificate, and check this machine's clock"),
    (&["certificate is not yet valid"], "check this machine's clock, and the broker's certificate"),
    (
        &["failed to acquire sasl oauthbearer token", "failed to retrieve oidc token"],
        "check sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and, for an \
         https endpoint with a private authority, https.ca.location in [kafka] of the host's configuration",
    ),
    (
        &["certificate verify failed", "failed to verify broker certificate"],
        "see that the broker's certificate is for the name in kafka.bootstrap_servers or advertised.listeners, that it has not \
         expired, and that ssl.ca.location in [kafka] of the host's configuration names the authority that signed it; for a \
         public authority, leave that out and install the system's package ca-certificates",
    ),
    (
        &["certificate is not accepted"],
        "set ssl.ca.location in [kafka] of the host's configuration to the authority that signed the brokers' certificates; \
         for a public one, leave it out and install the system's package ca-certificates",
    ),
    (
        &["certificate required", "bad certificate", "unknown ca", "certificate unknown", "handshake failure"],
        "the broker wants a certificate of an authority that it trusts: set ssl.certificate.location and ssl.key.location in \
         [kafka] of the host's configuration",
    ),
    (
        &["unsupported sasl mechanism", "not enabled in the server", "no provider for sasl mechanism"],
        "set sasl.mechanism in [kafka] of the host's configuration to one that the listener takes: PLAIN, SCRAM-SHA-256, \
         SCRAM-SHA-512 or OAUTHBEARER; this build has no GSSAPI (Kerberos)",
    ),
    (
        &["invalid credentials", "authentication failed", "authentication error", "sasl authentication"],
        "check sasl.username, sasl.password and sasl.mechanism in [kafka] of the host's configuration, and that the user \
         exists for that mechanism",
    ),
    (
        &[
            "wrong version number",
            "packet length too long",
            "connecting to a ssl listener",
            "plaintext broker listener",
        ],
        "security.protocol in [kafka] of the host's configuration and the port in kafka.bootstrap_servers do not belong \
         together: ssl or sasl_ssl for a listener with TLS, plaintext or sasl_plaintext for one without",
    ),
    (
        &["might require sasl authentication", "connecting to a sasl listener"],
        "set security.protocol in [kafka] of the host's configuration to sasl_ssl or sasl_plaintext, and sasl.mechanism",
    ),
    (
        &["ssl.ca.location failed", "ssl.ca.pem"],
        "ssl.ca.location must name a file with certificates in PEM that this process may read",
    ),
    (
        &["ssl.certificate.location failed"],
        "ssl.certificate.location must name a file with a certificate in PEM that this process may read",
    ),
    (
        &["ssl.key.location failed"],
        "ssl.key.location must name a file with a key in PEM that this process may read, and ssl.key.password must be its \
         passphrase, if it has one",
    ),
    (
        &["connection closed by peer"],
        "the broker stops, or its listener wants another security.protocol than [kafka] of the host's configuration has: \
         ssl for TLS, sasl_plaintext or sasl_ssl for users",
    ),
    (
        &["connection refused", "network is unreachable", "no route to host", "timed out", "connection setup"],
        "check kafka.bootstrap_servers, and that the brokers run and can be reached from here",
    ),
    (&["failed to resolve"], "check the names in kafka.bootstrap_servers and in the brokers' advertised.listeners"),
    (
        &["https.ca.location"],
        "https.ca.location must be \"probe\", or name a file with certificates in PEM that this process may read",
    ),
];

/// The remedy for librdkafka's message, if one is known.
pub(crate) fn remedy(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let fits = |words: &[&str]| words.iter().any(|words| text.contains(words));
    REMEDIES.iter().find(|(words, _)| fits(words)).map(|(_, remedy)| *remedy)
}

/// The message with its remedy.
pub(crate) fn with_remedy(text: &str) -> String {
    match remedy(text) {
        Some(remedy) => format!("{text}; {remedy}"),
        None => text.to_owned(),
    }
}

/// Why a client cannot connect, if this log line says so, without the name of librdkafka's thread.
pub(crate) fn cause(facility: &str, line: &str) -> Option<String> {
    if !["FAIL", "ERROR", "OIDC"].contains(&facility) {
        return None;
    }
    let text = line.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(line, |(_, text)| text);
    // The rest differs each time.
    let text = text.split_once(" (after ").map_or(text, |(text, _)| text);
    Some(text.to_owned())
}

/// Whether the broker's certificate was rejected for a reason that librdkafka leaves out.
pub(crate) fn is_about_a_certificate(cause: &str) -> bool {
    cause.contains("certificate verify failed")
}

/// Such a cause with the reason in place of librdkafka's guess.
pub(crate) fn with_certificate_fault(cause: &str, fault: &str) -> String {
    let address = cause.split_once(": ").map_or("kafka", |(address, _)| address);
    format!("{address}: the broker's certificate is not accepted: {fault}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(line: &str, setting: &str) {
        let remedy = remedy(line).unwrap_or_else(|| panic!("no remedy: {line}"));
        assert!(remedy.contains(setting), "{line}: {remedy}");
    }

    #[test]
    fn a_cause_names_the_setting() {
        let verify = "ssl://a:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: \
                      broker certificate could not be verified, verify that ssl.ca.location is correctly configured";
        names(verify, "ssl.ca.location");
        let with = |fault: &str| with_certificate_fault(verify, fault);
        assert!(is_about_a_certificate(verify));
        assert_eq!(with("x"), "ssl://a:1/bootstrap: the broker's certificate is not accepted: x");
        names(&with("unable to get local issuer certificate"), "ssl.ca.location");
        names(&with("certificate has expired"), "renew");
        names(&with("IP address mismatch"), "kafka.bootstrap_servers");
        names(
            "SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
            "ssl.certificate",
        );
        names(
            "SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL \
             mechanism SCRAM-SHA-512",
            "sasl.password",
        );
        names("Failed to resolve 'nowhere:9092': Name or service not known", "bootstrap_servers");
    }

    #[test]
    fn a_cause_is_a_line_about_a_connection() {
        let line = "[thrd:ssl://a:1/bootstrap]: ssl://a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused \
                    (after 3ms in state CONNECT)";
        let text = cause("FAIL", line).unwrap();
        assert_eq!(text, "ssl://a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        assert!(with_remedy(&text).contains("Connection refused; check kafka.bootstrap_servers"), "{text}");
        assert_eq!(cause("REQTMOUT", line), None);
        assert_eq!(cause("FAIL", "something else").as_deref(), Some("something else"));
    }
}
