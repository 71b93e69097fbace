//! The `[kafka]` tables: settings passed to librdkafka as they are, but for those that Millstream's promises rest on.

use std::collections::BTreeMap;

use crate::config::node::{ConfigNode, NodeTable};
use crate::config::section::ConfigSection;

/// Settings that Millstream sets itself, and why.
const OWNED: [(&str, &str); 21] = [
    ("enable.auto.commit", "offsets are committed only once their records are finished"),
    ("enable.auto.offset.store", "offsets are committed only once their records are finished"),
    ("auto.commit.interval.ms", "set delivery.commit_interval in the function's manifest"),
    ("auto.offset.reset", "set initial_offset in the function's manifest"),
    ("isolation.level", "functions always read committed records only"),
    ("enable.partition.eof", "the host needs it to know the end of a partition"),
    ("partition.assignment.strategy", "the host's rebalance is made for one strategy"),
    ("group.id", "the group is always millstream.<function>"),
    ("group.instance.id", "set delivery.membership in the function's manifest"),
    ("group.remote.assignor", "the host's rebalance is made for one protocol"),
    ("transactional.id", "it identifies a shard, so the host makes it"),
    ("transaction.timeout.ms", "exactly-once needs session, transaction and message timeout in this order"),
    ("session.timeout.ms", "exactly-once needs session, transaction and message timeout in this order"),
    ("message.timeout.ms", "exactly-once needs session, transaction and message timeout in this order"),
    ("delivery.timeout.ms", "exactly-once needs session, transaction and message timeout in this order"),
    ("enable.idempotence", "the producer is always idempotent"),
    ("acks", "an emission counts only when all replicas have it"),
    ("request.required.acks", "an emission counts only when all replicas have it"),
    ("message.max.bytes", "set limits.output in the function's manifest"),
    ("bootstrap.servers", "set kafka.bootstrap_servers in the host's configuration"),
    ("metadata.broker.list", "set kafka.bootstrap_servers in the host's configuration"),
];

/// What decides how and as whom the host connects, or runs code in it: never a function's choice.
const HOST_ONLY: [&str; 8] = ["security.", "sasl.", "ssl.", "ssl_", "https.", "plugin.", "enable.ssl.", "enable.sasl."];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionTable {
    Host,
    Function,
}

/// Reads every key of `section` that no one asked for as an option of librdkafka.
pub(crate) fn read(section: &ConfigSection<'_>, owner: OptionTable) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (key, (origin, node)) in section.other_entries() {
        for (name, value) in flatten(key, node) {
            match check(&name, value, owner) {
                Ok(value) => {
                    section.record(&name, ConfigNode::Text(value.clone()), origin);
                    options.insert(name, value);
                }
                Err(message) => section.refuse_from(origin, &name, message),
            }
        }
    }
    options
}

/// An unquoted `ssl.ca.location = …` is nested tables to TOML: joins their keys again.
fn flatten<'a>(key: &str, node: &'a ConfigNode) -> Vec<(String, &'a ConfigNode)> {
    let ConfigNode::Table(table) = node else { return vec![(key.to_owned(), node)] };
    flatten_table(key, table)
}

fn flatten_table<'a>(prefix: &str, table: &'a NodeTable) -> Vec<(String, &'a ConfigNode)> {
    table.iter().flat_map(|(key, node)| flatten(&format!("{prefix}.{key}"), node)).collect()
}

fn check(name: &str, value: &ConfigNode, owner: OptionTable) -> Result<String, String> {
    if name == "group.protocol" {
        return check_protocol(value, owner);
    }
    if let Some(reason) = owned_because(name) {
        return Err(format!("belongs to Millstream and cannot be set: {reason}"));
    }
    if owner == OptionTable::Function && HOST_ONLY.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("belongs to the host's connection: set it under [kafka] in the host's configuration".to_owned());
    }
    if name.contains('\0') {
        return Err("has a zero byte in its name: remove it".to_owned());
    }
    match value.scalar_text() {
        Some(text) if text.contains('\0') => Err("holds a zero byte: remove it".to_owned()),
        Some(text) => Ok(text),
        None => Err(format!("expected a text, a number or a boolean, found {}: give librdkafka's value", value.kind())),
    }
}

/// The one thing about a group that its function may choose.
fn check_protocol(value: &ConfigNode, owner: OptionTable) -> Result<String, String> {
    if owner == OptionTable::Host {
        return Err("is a function's choice: set it under [kafka] in the manifest".to_owned());
    }
    let known = value.scalar_text().filter(|text| ["classic", "consumer"].contains(&text.as_str()));
    known.ok_or_else(|| "expected \"classic\" (the default) or \"consumer\" (KIP-848)".to_owned())
}

fn owned_because(name: &str) -> Option<&'static str> {
    let exact = OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, reason)| *reason);
    exact.or_else(|| name.starts_with("group.").then_some("the host manages the group's members"))
}

/// Whether the value of the option `name` must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 6] = ["password", "secret", ".pem", "token", "sasl.jaas", "oauthbearer.config"];
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::from_toml;

    fn refusal(name: &str, owner: OptionTable) -> Option<String> {
        check(name, &ConfigNode::Integer(1), owner).err()
    }

    #[test]
    fn owned_keys_are_refused_with_the_reason() {
        for owned in
            ["enable.auto.commit", "auto.offset.reset", "isolation.level", "group.id", "group.new", "transactional.id"]
        {
            for owner in [OptionTable::Host, OptionTable::Function] {
                assert!(refusal(owned, owner).unwrap().contains("cannot be set"), "{owned}");
            }
        }
        assert_eq!(refusal("fetch.min.bytes", OptionTable::Function), None);
    }

    #[test]
    fn a_function_chooses_its_groups_protocol() {
        let chosen = |value: &str, owner| check("group.protocol", &ConfigNode::Text(value.to_owned()), owner);
        assert_eq!(chosen("consumer", OptionTable::Function).unwrap(), "consumer");
        assert!(chosen("kip-848", OptionTable::Function).unwrap_err().contains("classic"));
        assert!(chosen("consumer", OptionTable::Host).unwrap_err().contains("manifest"));
    }

    #[test]
    fn a_function_neither_changes_the_connection_nor_loads_code() {
        for key in ["ssl.engine.location", "sasl.kerberos.kinit.cmd", "plugin.library.paths", "security.protocol"] {
            assert!(refusal(key, OptionTable::Function).unwrap().contains("host"), "{key}");
            assert_eq!(refusal(key, OptionTable::Host), None);
        }
    }

    #[test]
    fn dotted_keys_need_no_quotation_marks() {
        let table = from_toml("ssl.ca.location = \"x\"\n\"fetch.min.bytes\" = 1").unwrap();
        let options: Vec<String> =
            table.iter().flat_map(|(key, node)| flatten(key, node)).map(|(name, _)| name).collect();
        assert_eq!(options, ["fetch.min.bytes", "ssl.ca.location"]);
    }

    #[test]
    fn secrets_are_recognised() {
        for secret in ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"] {
            assert!(is_secret(secret), "{secret}");
        }
        assert!(!is_secret("ssl.ca.location"));
    }
}
