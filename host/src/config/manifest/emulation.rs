//! Start delays of another platform: a profile's name or the delays themselves.

use crate::config::defaults;
use crate::config::node::{ConfigNode, NodeTable};
use crate::config::quantity::cut;
use crate::config::suggest::nearest;
use crate::config::value::{self, ReadResult};
use crate::model::function::StartEmulation;

pub(crate) fn read(node: &ConfigNode) -> ReadResult<Option<StartEmulation>> {
    if let ConfigNode::Table(table) = node {
        return delays(table).map(Some);
    }
    let profile = value::text(node)?;
    if profile == "none" {
        return Ok(None);
    }
    match defaults::emulation().get(&profile) {
        Some(ConfigNode::Table(table)) => delays(table).map(Some),
        _ => Err(unknown_profile(&profile)),
    }
}

fn delays(table: &NodeTable) -> ReadResult<StartEmulation> {
    if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "cold" | "hot")) {
        return Err(format!("has an unknown key \"{}\": it takes \"cold\" and \"hot\"", cut(unknown)));
    }
    let delay = |key: &str| match table.get(key) {
        Some(node) => value::duration_range(node).map_err(|error| format!("{key}: {error}")),
        None => Err(format!("lacks \"{key}\": write {{ cold = \"3s\", hot = \"200ms..300ms\" }}, or \"0ms\" for none")),
    };
    Ok(StartEmulation { cold: delay("cold")?, hot: delay("hot")? })
}

fn unknown_profile(profile: &str) -> String {
    let known: Vec<&str> = ["none"].into_iter().chain(defaults::emulation().keys().map(String::as_str)).collect();
    let meant = nearest(profile, known.iter().copied());
    let meant = meant.map(|meant| format!(" (did you mean \"{meant}\"?)")).unwrap_or_default();
    format!(
        "\"{}\" is unknown{meant}: choose {}, or write {{ cold = \"3s\", hot = \"200ms..300ms\" }}",
        cut(profile),
        known.join(", ")
    )
}
