//! The filters: dialects of CloudEvents Subscriptions 1.0.

use std::collections::BTreeMap;

use crate::config::node::{ConfigNode, NodeTable};
use crate::config::quantity::cut;
use crate::config::section::ConfigSection;
use crate::config::suggest::nearest;
use crate::config::value::{self, ReadResult};
use crate::model::function::EventFilter;

const DIALECTS: [&str; 6] = ["exact", "prefix", "suffix", "all", "any", "not"];

/// Filters within filters: bounded, so that evaluating one never exhausts a stack.
const DEEPEST: usize = 16;

pub(crate) fn read(root: &ConfigSection<'_>) -> Option<Vec<EventFilter>> {
    Some(root.optional("filters", |node| filter_list(node, DEEPEST))?.unwrap_or_default())
}

fn filter_list(node: &ConfigNode, depth: usize) -> ReadResult<Vec<EventFilter>> {
    let ConfigNode::List(elements) = node else {
        return Err(value::wrong_kind("a list of filters", node, "write [[filters]], or a list of tables"));
    };
    let numbered = elements.iter().enumerate();
    numbered.map(|(index, node)| filter(node, depth).map_err(|error| format!("[{index}] {error}"))).collect()
}

fn filter(node: &ConfigNode, depth: usize) -> ReadResult<EventFilter> {
    if depth == 0 {
        return Err(format!("is nested more than {DEEPEST} deep: write it flatter"));
    }
    let ConfigNode::Table(table) = node else {
        return Err(value::wrong_kind("a filter", node, "write a table such as { exact = { type = \"a\" } }"));
    };
    let (dialect, expression) = only_entry(table)?;
    let read = match dialect.as_str() {
        "exact" => attributes(expression).map(EventFilter::Exact),
        "prefix" => attributes(expression).map(EventFilter::Prefix),
        "suffix" => attributes(expression).map(EventFilter::Suffix),
        "all" => non_empty_list(expression, depth - 1).map(EventFilter::All),
        "any" => non_empty_list(expression, depth - 1).map(EventFilter::Any),
        "not" => filter(expression, depth - 1).map(|filter| EventFilter::Not(Box::new(filter))),
        unknown => return Err(unknown_dialect(unknown)),
    };
    read.map_err(|error| format!("{dialect}: {error}"))
}

fn only_entry(table: &NodeTable) -> ReadResult<(&String, &ConfigNode)> {
    let mut entries = table.iter();
    match (entries.next(), entries.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(format!("is empty: give it one of {}", DIALECTS.join(", "))),
        (Some(_), Some(_)) => Err("has several dialects: one filter has one; join several with \"all\"".to_owned()),
    }
}

fn non_empty_list(node: &ConfigNode, depth: usize) -> ReadResult<Vec<EventFilter>> {
    let filters = filter_list(node, depth)?;
    if filters.is_empty() { Err("is empty: give it at least one filter".to_owned()) } else { Ok(filters) }
}

fn attributes(node: &ConfigNode) -> ReadResult<BTreeMap<String, String>> {
    let ConfigNode::Table(table) = node else {
        return Err(value::wrong_kind("attributes", node, "write a table such as { type = \"a\" }"));
    };
    if table.is_empty() {
        return Err("is empty: name at least one attribute".to_owned());
    }
    table.iter().map(|(name, node)| attribute(name, node)).collect()
}

fn attribute(name: &str, node: &ConfigNode) -> ReadResult<(String, String)> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(format!("\"{}\" is not an attribute: CloudEvents names use a-z and 0-9 only", cut(name)));
    }
    match value::text(node) {
        Ok(text) if text.is_empty() => Err(format!("{name} is empty: give it the text to compare with")),
        Ok(text) => Ok((name.to_owned(), text)),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn unknown_dialect(unknown: &str) -> String {
    let meant = nearest(unknown, DIALECTS).map(|meant| format!(" (did you mean \"{meant}\"?)")).unwrap_or_default();
    format!("\"{}\" is not a filter dialect{meant}: choose one of {}", cut(unknown), DIALECTS.join(", "))
}
