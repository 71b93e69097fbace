//! The tree that TOML, JSON and environment variables have in common.

use std::collections::BTreeMap;

/// A table's entries by key.
pub(crate) type NodeTable = BTreeMap<String, ConfigNode>;

/// One value of a configuration, of whatever notation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConfigNode {
    /// JSON's `null`: as if the key were not there.
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A text whose type is what the key asks for: the value of an environment variable.
    Untyped(String),
    List(Vec<ConfigNode>),
    Table(NodeTable),
}

impl ConfigNode {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Untyped(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// A number, boolean or text as text; nothing for the rest.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(value) | Self::Untyped(value) => Some(value.clone()),
            Self::Null | Self::List(_) | Self::Table(_) => None,
        }
    }
}

/// Reads a TOML document; the error is the parser's, with line and column.
pub(crate) fn from_toml(text: &str) -> Result<NodeTable, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    Ok(table.into_iter().map(|(key, value)| (key, value.into())).collect())
}

/// Reads a JSON object; the error is the parser's, with line and column.
pub(crate) fn from_json(text: &str) -> Result<NodeTable, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(object.into_iter().map(|(key, value)| (key, value.into())).collect())
}

impl From<toml::Value> for ConfigNode {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(number) => Self::Integer(number),
            toml::Value::Float(number) => Self::Float(number),
            toml::Value::Boolean(boolean) => Self::Boolean(boolean),
            toml::Value::Datetime(date) => Self::Text(date.to_string()),
            toml::Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            toml::Value::Table(table) => {
                Self::Table(table.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

impl From<serde_json::Value> for ConfigNode {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(boolean) => Self::Boolean(boolean),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Integer)
            }
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(object) => {
                Self::Table(object.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

impl From<&ConfigNode> for toml::Value {
    fn from(node: &ConfigNode) -> Self {
        match node {
            ConfigNode::Null => Self::String(String::new()),
            ConfigNode::Boolean(boolean) => Self::Boolean(*boolean),
            ConfigNode::Integer(number) => Self::Integer(*number),
            ConfigNode::Float(number) => Self::Float(*number),
            ConfigNode::Text(text) | ConfigNode::Untyped(text) => Self::String(text.clone()),
            ConfigNode::List(list) => Self::Array(list.iter().map(Self::from).collect()),
            ConfigNode::Table(table) => {
                Self::Table(table.iter().map(|(key, node)| (key.clone(), Self::from(node))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_json_make_the_same_tree() {
        let toml = from_toml("a = 1\nb = [true, 1.5]\n[c]\nd = \"x\"").unwrap();
        let json = from_json(r#"{"a": 1, "b": [true, 1.5], "c": {"d": "x"}}"#).unwrap();
        assert_eq!(toml, json);
    }

    #[test]
    fn syntax_errors_tell_the_place() {
        assert!(from_toml("a = 1\nb =").unwrap_err().contains("line 2"));
        assert!(from_json("{\"a\": 1,\n}").unwrap_err().contains("line 2"));
        assert!(from_json("[]").is_err());
    }
}
