//! `MILLSTREAM_<SECTION>__<KEY>` variables as a layer of the configuration.
//!
//! Only names with `__` and the few of the top level are read: service links of Kubernetes for a service that is called
//! `millstream` (`MILLSTREAM_PORT`, `MILLSTREAM_SERVICE_HOST` …) must not become settings. An empty value counts as
//! not set, since compose files pass those on.

use std::collections::BTreeMap;

use crate::config::node::{Node, Table};

const PREFIX: &str = "MILLSTREAM_";
const TOP_LEVEL: [&str; 3] = ["LISTEN", "DATA_DIR", "INSECURE"];

/// The settings among `variables`.
pub(super) fn read(variables: &BTreeMap<String, String>) -> Table {
    let mut root = Table::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let value = Node::Untyped(value.clone());
        if TOP_LEVEL.contains(&name) {
            root.insert(name.to_ascii_lowercase(), value);
        } else if let Some((section, key)) = name.split_once("__") {
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let key = if section == "kafka" { kafka_key(key) } else { key };
            if let Node::Table(table) = root.entry(section).or_insert_with(|| Node::Table(Table::new())) {
                table.insert(key, value);
            }
        }
    }
    root
}

/// librdkafka's names have dots, which names of variables cannot have.
fn kafka_key(key: String) -> String {
    if key == "bootstrap_servers" { key } else { key.replace('_', ".") }
}
