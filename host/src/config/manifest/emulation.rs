//! Start delays of another platform: a profile's name or the delays themselves.

use crate::config::defaults;
use crate::config::node::{Node, Table};
use crate::config::quantity::cut;
use crate::config::suggest::nearest;
use crate::config::value::{self, Read};
use crate::model::function::Emulation;

/// Reads `instances.emulate`.
pub(super) fn read(node: &Node) -> Read<Option<Emulation>> {
    if let Node::Table(table) = node {
        return delays(table).map(Some);
    }
    let profile = value::text(node)?;
    if profile == "none" {
        return Ok(None);
    }
    match defaults::emulation().get(&profile) {
        Some(Node::Table(table)) => delays(table).map(Some),
        _ => Err(unknown_profile(&profile)),
    }
}

fn delays(table: &Table) -> Read<Emulation> {
    if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "cold" | "hot")) {
        return Err(format!("has an unknown key \"{}\": it takes \"cold\" and \"hot\"", cut(unknown)));
    }
    let delay = |key: &str| match table.get(key) {
        Some(node) => value::duration_range(node).map_err(|error| format!("{key}: {error}")),
        None => Err(format!("lacks \"{key}\": write {{ cold = \"3s\", hot = \"200ms..300ms\" }}, or \"0ms\" for none")),
    };
    Ok(Emulation { cold: delay("cold")?, hot: delay("hot")? })
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
