//! `MILLSTREAM_<SECTION>__<KEY>` variables as a layer of the configuration.
//!
//! Only names with `__` and the few of the top level are read: service links of Kubernetes for a service that is called
//! `millstream` (`MILLSTREAM_PORT`, `MILLSTREAM_SERVICE_HOST` …) must not become settings. An empty value counts as
//! not set, since compose files pass those on. Of tables in tables there is one: `MILLSTREAM_API__TOKENS__<NAME>__<KEY>`.

use std::collections::BTreeMap;

use crate::config::node::{ConfigNode, NodeTable};

const PREFIX: &str = "MILLSTREAM_";
const TOP_LEVEL: [&str; 3] = ["LISTEN", "DATA_DIR", "INSECURE"];

pub(crate) fn read(variables: &BTreeMap<String, String>) -> NodeTable {
    let mut root = NodeTable::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let value = ConfigNode::Untyped(value.clone());
        if TOP_LEVEL.contains(&name) {
            root.insert(name.to_ascii_lowercase(), value);
        } else if let Some((section, key)) = name.split_once("__") {
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let (is_api, is_kafka) = (section == "api", section == "kafka");
            let section = table_in(&mut root, section);
            match key.strip_prefix("tokens__").and_then(|rest| rest.split_once("__")) {
                Some((token, key)) if is_api => {
                    let value = if key == "scopes" { list(value) } else { value };
                    let token = table_in(table_in(section, "tokens".to_owned()), token.to_owned());
                    token.insert(key.to_owned(), value);
                }
                _ if is_kafka => drop(section.insert(kafka_key(key), value)),
                _ => drop(section.insert(key, value)),
            }
        }
    }
    root
}

/// The table `name` of `table`; what stands there otherwise gives way.
fn table_in(table: &mut NodeTable, name: String) -> &mut NodeTable {
    let node = table.entry(name).or_insert_with(|| ConfigNode::Table(NodeTable::new()));
    if !matches!(node, ConfigNode::Table(_)) {
        *node = ConfigNode::Table(NodeTable::new());
    }
    match node {
        ConfigNode::Table(table) => table,
        _ => unreachable!("it was made a table"),
    }
}

/// The elements of a list, which a variable separates by commas.
fn list(value: ConfigNode) -> ConfigNode {
    let ConfigNode::Untyped(text) = value else { return value };
    let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
    ConfigNode::List(elements.map(|element| ConfigNode::Text(element.to_owned())).collect())
}

/// librdkafka's names have dots, which names of variables cannot have.
fn kafka_key(key: String) -> String {
    if key == "bootstrap_servers" { key } else { key.replace('_', ".") }
}
