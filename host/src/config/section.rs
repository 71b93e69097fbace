//! Reads one table of a configuration key by key, the user's layers over the defaults, and gathers what is wrong.
//!
//! Invariants: every key that a reader asks for becomes known; what is left when the section ends is refused. A getter
//! answers `None` only when it has reported a problem, so anyone who assembles a value of all its parts may use `?`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::node::{ConfigNode, NodeTable};
use crate::config::problem::ConfigProblem;
use crate::config::quantity::cut;
use crate::config::suggest::nearest;
use crate::config::value::{self, ReadResult};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueOrigin {
    Default,
    File,
    Environment,
}

/// A value in force, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EffectiveSetting {
    /// The table's path; empty at the top.
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: ConfigNode,
    pub(crate) origin: ValueOrigin,
}

/// What was read so far and what was wrong with it.
#[derive(Debug, Default)]
pub(crate) struct ReadReport {
    problems: RefCell<Vec<ConfigProblem>>,
    settings: RefCell<Vec<EffectiveSetting>>,
}

impl ReadReport {
    pub(crate) fn push(&self, at: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(ConfigProblem::new(at, message));
    }

    /// All problems, and all values in force.
    pub(crate) fn into_parts(self) -> (Vec<ConfigProblem>, Vec<EffectiveSetting>) {
        (self.problems.into_inner(), self.settings.into_inner())
    }
}

/// One table of one origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfigLayer<'a> {
    pub(crate) origin: ValueOrigin,
    pub(crate) table: &'a NodeTable,
}

/// The same table in every layer, the strongest first.
#[derive(Debug)]
pub(crate) struct ConfigSection<'a> {
    path: String,
    layers: Vec<ConfigLayer<'a>>,
    report: &'a ReadReport,
    known: RefCell<BTreeSet<String>>,
    /// The whole defaults, to find where a misplaced key belongs.
    defaults: &'a NodeTable,
}

impl<'a> ConfigSection<'a> {
    /// Reads the topmost table with `read`.
    pub(crate) fn root<T>(
        report: &'a ReadReport,
        layers: Vec<ConfigLayer<'a>>,
        defaults: &'a NodeTable,
        read: impl FnOnce(&Self) -> Option<T>,
    ) -> Option<T> {
        let root = Self { path: String::new(), layers, report, known: RefCell::default(), defaults };
        root.read_whole(read)
    }

    /// Reads the table `key` with `read`.
    pub(crate) fn within<T>(&self, key: &str, read: impl FnOnce(&ConfigSection<'a>) -> Option<T>) -> Option<T> {
        let mut layers = Vec::with_capacity(self.layers.len());
        for (origin, node) in self.every_layer_of(key) {
            match node {
                ConfigNode::Table(table) => layers.push(ConfigLayer { origin, table }),
                other => self.refuse_from(
                    origin,
                    key,
                    value::wrong_kind("a table", other, "see the configuration reference"),
                ),
            }
        }
        self.subsection(key, layers).read_whole(read)
    }

    /// Reads the table `key` of a map of tables, in every layer, with the defaults of every such table below.
    pub(crate) fn within_named<T>(
        &self,
        key: &str,
        defaults: Option<&'a NodeTable>,
        read: impl FnOnce(&ConfigSection<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut layers = Vec::new();
        for (origin, node) in self.every_layer_of(key) {
            match node {
                ConfigNode::Table(table) => layers.push(ConfigLayer { origin, table }),
                other => {
                    let advice = "see the configuration reference";
                    self.refuse_from(origin, key, value::wrong_kind("a table", other, advice));
                    return None;
                }
            }
        }
        layers.extend(defaults.map(|table| ConfigLayer { origin: ValueOrigin::Default, table }));
        self.subsection(key, layers).read_whole(read)
    }

    /// Reads a table that stands in a map of tables: `table` with the defaults of every such table below.
    pub(crate) fn within_entry<'b, T>(
        &'b self,
        key: &str,
        table: &'b NodeTable,
        defaults: Option<&'b NodeTable>,
        read: impl FnOnce(&ConfigSection<'b>) -> Option<T>,
    ) -> Option<T> {
        let user = ConfigLayer { origin: ValueOrigin::File, table };
        let defaults = defaults.map(|table| ConfigLayer { origin: ValueOrigin::Default, table });
        self.subsection(key, [user].into_iter().chain(defaults).collect()).read_whole(read)
    }

    /// The value of `key`, which the user or the defaults give.
    pub(crate) fn get<T>(&self, key: &str, read: impl Fn(&ConfigNode) -> ReadResult<T>) -> Option<T> {
        let value = self.optional(key, read)?;
        if value.is_none() {
            self.refuse(key, "is missing: it has no default, so write it");
        }
        value
    }

    /// The value of `key`, if anyone gives one; the outer `None` is a problem.
    pub(crate) fn optional<T>(&self, key: &str, read: impl Fn(&ConfigNode) -> ReadResult<T>) -> Option<Option<T>> {
        let layers = self.every_layer_of(key);
        let (Some((origin, node)), Some((_, weakest))) = (layers.first().copied(), layers.last()) else {
            return Some(None);
        };
        match read(node) {
            Ok(value) => {
                self.record(key, typed_like(node, weakest), origin);
                Some(Some(value))
            }
            Err(message) => {
                self.refuse_from(origin, key, message);
                None
            }
        }
    }

    /// The entries of this table that no reader asked for: for tables whose keys the user chooses.
    pub(crate) fn other_entries(&self) -> BTreeMap<&'a str, (ValueOrigin, &'a ConfigNode)> {
        let mut entries = BTreeMap::new();
        for layer in self.layers.iter().filter(|layer| layer.origin != ValueOrigin::Default) {
            for (key, node) in layer.table.iter().filter(|(key, _)| !self.known.borrow().contains(*key)) {
                entries.entry(key.as_str()).or_insert((layer.origin, node));
            }
        }
        self.known.borrow_mut().extend(entries.keys().map(|key| (*key).to_owned()));
        entries
    }

    /// The default table `key` of this table.
    pub(crate) fn default_table(&self, key: &str) -> Option<&'a NodeTable> {
        let defaults = self.layers.iter().find(|layer| layer.origin == ValueOrigin::Default)?;
        match defaults.table.get(key) {
            Some(ConfigNode::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// Notes that `key` is in force.
    pub(crate) fn record(&self, key: &str, value: ConfigNode, origin: ValueOrigin) {
        let (section, key) = (self.path.clone(), key.to_owned());
        self.report.settings.borrow_mut().push(EffectiveSetting { section, key, value, origin });
    }

    /// Says what is wrong with `key`.
    pub(crate) fn refuse(&self, key: &str, message: impl Into<String>) {
        self.report.push(self.path_of(key), message);
    }

    /// Says what is wrong with the value that `origin` gave to `key`.
    pub(crate) fn refuse_from(&self, origin: ValueOrigin, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        match origin {
            ValueOrigin::Environment => self.report.push(variable_name(&path), message),
            ValueOrigin::Default | ValueOrigin::File => self.report.push(path, message),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { cut(key) } else { format!("{}.{}", self.path, cut(key)) }
    }

    fn subsection<'b>(&self, key: &str, layers: Vec<ConfigLayer<'b>>) -> ConfigSection<'b>
    where
        'a: 'b,
    {
        let (report, defaults) = (self.report, self.defaults);
        ConfigSection { path: self.path_of(key), layers, report, known: RefCell::default(), defaults }
    }

    fn read_whole<T>(self, read: impl FnOnce(&Self) -> Option<T>) -> Option<T> {
        let value = read(&self);
        self.refuse_unknown_keys();
        value
    }

    fn every_layer_of(&self, key: &str) -> Vec<(ValueOrigin, &'a ConfigNode)> {
        self.known.borrow_mut().insert(key.to_owned());
        let nodes = self.layers.iter().filter_map(|layer| Some((layer.origin, layer.table.get(key)?)));
        nodes.filter(|(_, node)| **node != ConfigNode::Null).collect()
    }

    fn refuse_unknown_keys(&self) {
        let known = self.known.borrow();
        for layer in self.layers.iter().filter(|layer| layer.origin != ValueOrigin::Default) {
            for key in layer.table.keys().filter(|key| !known.contains(*key)) {
                self.refuse_from(layer.origin, key, self.advice_on_unknown(key, &known));
            }
        }
    }

    fn advice_on_unknown(&self, key: &str, known: &BTreeSet<String>) -> String {
        if let Some(meant) = nearest(key, known.iter().map(String::as_str)) {
            return format!("is unknown: did you mean \"{meant}\"?");
        }
        if let Some(place) = place_of(self.defaults, key) {
            return format!("is unknown here: did you mean {place}?");
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        format!("is unknown: known here are {}", known.join(", "))
    }
}

/// A variable's text as the type that the default has; its reader has accepted it.
fn typed_like(node: &ConfigNode, default: &ConfigNode) -> ConfigNode {
    let ConfigNode::Untyped(text) = node else { return node.clone() };
    let typed = match default {
        ConfigNode::Boolean(_) => text.trim().parse().ok().map(ConfigNode::Boolean),
        ConfigNode::Integer(_) => text.trim().parse().ok().map(ConfigNode::Integer),
        ConfigNode::Float(_) => text.trim().parse().ok().map(ConfigNode::Float),
        _ => None,
    };
    typed.unwrap_or_else(|| ConfigNode::Text(text.clone()))
}

/// The environment variable of the key at `path`.
pub(crate) fn variable_name(path: &str) -> String {
    if let Some(token) = path.strip_prefix("api.tokens.") {
        return format!("MILLSTREAM_API__TOKENS__{}", token.replace('.', "__")).to_ascii_uppercase();
    }
    let (section, key) = path.split_once('.').map_or(("", path), |(section, key)| (section, key));
    let separator = if section.is_empty() { "" } else { "__" };
    format!("MILLSTREAM_{section}{separator}{key}").replace('.', "_").to_ascii_uppercase()
}

/// Where `key` belongs by `defaults`: at the top or in one of its tables.
fn place_of(defaults: &NodeTable, key: &str) -> Option<String> {
    if defaults.contains_key(key) {
        return Some(format!("\"{key}\" at the top, before the first table"));
    }
    defaults.iter().find_map(|(section, node)| match node {
        ConfigNode::Table(table) if table.contains_key(key) => Some(format!("\"{section}.{key}\"")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::from_toml;

    fn problems_of(text: &str, read: impl FnOnce(&ConfigSection<'_>) -> Option<()>) -> Vec<String> {
        let (user, defaults) =
            (from_toml(text).unwrap(), from_toml("size = \"1B\"\n[limits]\nmemory = \"1B\"").unwrap());
        let report = ReadReport::default();
        let user = ConfigLayer { origin: ValueOrigin::File, table: &user };
        let defaults_layer = ConfigLayer { origin: ValueOrigin::Default, table: &defaults };
        let _ = ConfigSection::root(&report, vec![user, defaults_layer], &defaults, read);
        report.into_parts().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_keys_are_refused_with_the_key_that_was_meant() {
        let problems = problems_of("siez = \"2B\"\nmemory = \"3B\"\ncolour = 1", |root| {
            root.within("limits", |limits| limits.get("memory", value::text))?;
            root.get("size", value::text).map(|_| ())
        });
        assert_eq!(
            problems,
            [
                "colour: is unknown: known here are limits, size",
                "memory: is unknown here: did you mean \"limits.memory\"?",
                "siez: is unknown: did you mean \"size\"?",
            ]
        );
    }

    #[test]
    fn a_key_without_value_or_default_is_missing() {
        let problems = problems_of("", |root| root.get("name", value::text).map(|_| ()));
        assert_eq!(problems, ["name: is missing: it has no default, so write it"]);
    }

    #[test]
    fn variables_are_named_after_section_and_key() {
        assert_eq!(variable_name("listen"), "MILLSTREAM_LISTEN");
        assert_eq!(variable_name("limits.upload"), "MILLSTREAM_LIMITS__UPLOAD");
        assert_eq!(variable_name("kafka.ssl.ca.location"), "MILLSTREAM_KAFKA__SSL_CA_LOCATION");
        assert_eq!(variable_name("api.tokens.ci.scopes"), "MILLSTREAM_API__TOKENS__CI__SCOPES");
    }
}
