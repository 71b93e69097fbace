//! The configuration in force, shown with the origin of each value.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::host::HostConfig;
use crate::config::kafka_options::is_secret;
use crate::config::node::ConfigNode;
use crate::config::section::{EffectiveSetting, ValueOrigin, variable_name};

impl HostConfig {
    /// As TOML that `--config` reads; the origins are comments.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in &self.settings {
            if setting.section != section {
                section = &setting.section;
                let _ = write!(text, "\n[{section}]\n");
            }
            let value = toml::Value::from(&self.shown(setting));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} = {value}  # {}", toml_key(&setting.key), origin_of(setting));
        }
        text
    }

    /// As one JSON object: path → value and origin.
    pub(crate) fn to_json(&self) -> Value {
        let entries = self.settings.iter().map(|setting| {
            let value = match self.shown(setting) {
                ConfigNode::Boolean(value) => json!(value),
                ConfigNode::Integer(value) => json!(value),
                ConfigNode::Float(value) => json!(value),
                other => json!(other.scalar_text()),
            };
            (path_of(setting), json!({ "value": value, "origin": origin_of(setting) }))
        });
        Value::Object(entries.collect())
    }

    /// The value to show: resolved where it was left to the host, hidden where it is secret.
    fn shown(&self, setting: &EffectiveSetting) -> ConfigNode {
        match (setting.section.as_str(), setting.key.as_str()) {
            ("", "data_dir") => ConfigNode::Text(self.data_dir.display().to_string()),
            ("kafka", key) if is_secret(key) => ConfigNode::Text("(hidden)".to_owned()),
            _ => setting.value.clone(),
        }
    }
}

fn origin_of(setting: &EffectiveSetting) -> String {
    match setting.origin {
        ValueOrigin::Default => "default".to_owned(),
        ValueOrigin::File => "file".to_owned(),
        ValueOrigin::Environment => variable_name(&path_of(setting)),
    }
}

fn path_of(setting: &EffectiveSetting) -> String {
    if setting.section.is_empty() { setting.key.clone() } else { format!("{}.{}", setting.section, setting.key) }
}

fn toml_key(key: &str) -> String {
    let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { key.to_owned() } else { toml::Value::from(key).to_string() }
}
