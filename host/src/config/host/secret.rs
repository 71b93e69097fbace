//! Secrets: a configuration never holds one, but says where it is.

use std::collections::BTreeMap;

use crate::config::node::ConfigNode;
use crate::config::quantity::cut;
use crate::config::value::{self, ReadResult};

/// A secret, and where it was found, for messages.
pub(crate) struct SecretText {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// Reads what a reference leads to: `env:NAME` or `file:PATH`. `what` is what it should be, for messages.
pub(crate) fn read(node: &ConfigNode, variables: &BTreeMap<String, String>, what: &str) -> ReadResult<SecretText> {
    let reference = value::non_empty_text(node)?;
    if let Some(name) = reference.strip_prefix("env:") {
        let found = variables.get(name).filter(|value| !value.is_empty());
        let text = found.cloned().ok_or_else(|| format!("the variable {} is not set", cut(name)))?;
        return Ok(SecretText { place: format!("the variable {}", cut(name)), text });
    }
    if let Some(path) = reference.strip_prefix("file:") {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", cut(path)))?;
        return Ok(SecretText { place: format!("the file {}", cut(path)), text });
    }
    // The text may be the secret itself: it is not repeated.
    Err(format!("must not hold {what}: write \"env:NAME\" or \"file:PATH\", and where it is"))
}
