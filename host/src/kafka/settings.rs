//! How every client of this host reaches Kafka: the one place where a librdkafka configuration starts.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::model::batch_bytes::BatchBytes;

/// librdkafka's own size of batches, in bytes.
const USUAL_BATCH: u32 = 1_000_000;

/// The brokers and the user's own librdkafka settings.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    /// The brokers to ask first, separated by commas.
    pub(crate) bootstrap_servers: String,
    /// Passed to librdkafka as they are. They may hold secrets.
    pub(crate) options: BTreeMap<String, String>,
    /// Whether the cluster is librdkafka's mock, which leaves a request for topic ids unanswered until it times out.
    pub(crate) is_embedded: bool,
}

impl ClientSettings {
    /// A configuration to which the caller adds what its kind of client needs. The caller's keys win over the user's.
    pub(crate) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "millstream");
        for (key, value) in &self.options {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        let authorities = system_authorities();
        for key in self.unset_authorities() {
            config.set(key, &authorities);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// The settings that need the system's trusted authorities, because the user names no others. OpenSSL is linked
    /// statically, and would look in the folder that it was built in.
    fn unset_authorities(&self) -> impl Iterator<Item = &'static str> {
        let is_set = |key: &str| self.options.contains_key(key);
        let protocol = self.options.get("security.protocol").map(|protocol| protocol.trim().to_lowercase());
        let has_tls = protocol.is_some_and(|protocol| protocol.ends_with("ssl"));
        let has_endpoint = is_set("sasl.oauthbearer.method");
        let brokers = (has_tls && !is_set("ssl.ca.location") && !is_set("ssl.ca.pem")).then_some("ssl.ca.location");
        let endpoint =
            (has_endpoint && !is_set("https.ca.location") && !is_set("https.ca.pem")).then_some("https.ca.location");
        brokers.into_iter().chain(endpoint)
    }

    /// The size of batches that fits topics which take `bytes`; nothing when the client's own does.
    pub(crate) fn batch_size(&self, bytes: Option<BatchBytes>) -> Option<BatchBytes> {
        let own = self.options.get("batch.size").and_then(|size| size.trim().parse().ok()).unwrap_or(USUAL_BATCH);
        bytes.filter(|bytes| bytes.get() < own)
    }
}

/// The system's trusted authorities: those that the environment names for OpenSSL, or those that librdkafka finds in the
/// places where distributions keep them.
fn system_authorities() -> String {
    let named = std::env::var("SSL_CERT_FILE").ok().filter(|file| std::path::Path::new(file).is_file());
    named.unwrap_or_else(|| "probe".to_owned())
}

/// Names the options without their values: one of them may be a password.
impl fmt::Debug for ClientSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.options.keys().collect();
        formatter
            .debug_struct("ClientSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("options", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_get_smaller_where_topics_want_it_and_never_larger() {
        let mut settings =
            ClientSettings { bootstrap_servers: String::new(), options: BTreeMap::new(), is_embedded: false };
        let (small, usual) = (Some(BatchBytes::within(20_000)), Some(BatchBytes::within(1_048_588)));
        assert_eq!(
            (settings.batch_size(small), settings.batch_size(usual), settings.batch_size(None)),
            (small, None, None)
        );
        settings.options.insert("batch.size".to_owned(), "4000000".to_owned());
        assert_eq!((settings.batch_size(small), settings.batch_size(usual)), (small, usual));
        settings.options.insert("batch.size".to_owned(), "1000".to_owned());
        assert_eq!((settings.batch_size(small), settings.batch_size(usual)), (None, None));
    }

    #[test]
    fn the_systems_authorities_are_trusted_unless_others_are_named() {
        let trusted = |options: &[(&str, &str)]| {
            let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ClientSettings { bootstrap_servers: String::new(), options, is_embedded: false }
                .unset_authorities()
                .collect::<Vec<_>>()
        };
        assert_eq!(trusted(&[]), [""; 0]);
        assert_eq!(trusted(&[("security.protocol", "sasl_plaintext")]), [""; 0]);
        assert_eq!(trusted(&[("security.protocol", "SASL_SSL")]), ["ssl.ca.location"]);
        assert_eq!(trusted(&[("security.protocol", "ssl"), ("ssl.ca.location", "a.pem")]), [""; 0]);
        assert_eq!(trusted(&[("security.protocol", "ssl"), ("ssl.ca.pem", "-----BEGIN")]), [""; 0]);
        assert_eq!(trusted(&[("sasl.oauthbearer.method", "oidc")]), ["https.ca.location"]);
        assert_eq!(trusted(&[("sasl.oauthbearer.method", "oidc"), ("https.ca.pem", "-----BEGIN")]), [""; 0]);
    }

    #[test]
    fn the_users_options_reach_the_client_and_secrets_stay_out_of_logs() {
        let settings = ClientSettings {
            bootstrap_servers: "kafka:9092".to_owned(),
            options: BTreeMap::from([
                ("sasl.password".to_owned(), "hush".to_owned()),
                ("client.id".to_owned(), "mine".to_owned()),
            ]),
            is_embedded: false,
        };
        let config = settings.base();
        assert_eq!(config.get("sasl.password"), Some("hush"));
        assert_eq!(config.get("client.id"), Some("mine"));
        assert_eq!(config.get("bootstrap.servers"), Some("kafka:9092"));
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
