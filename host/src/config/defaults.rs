//! The one source of every default: `default.toml`, which is also where the reference comes from.

use std::sync::LazyLock;

use crate::config::node::{ConfigNode, NodeTable, from_toml};

/// The text, with the comments that document each key.
pub(crate) const TEXT: &str = include_str!("../default.toml");

static TREE: LazyLock<NodeTable> =
    LazyLock::new(|| from_toml(TEXT).expect("default.toml is part of the program and read by its tests"));

/// The defaults of the host's configuration.
pub(crate) fn host() -> &'static NodeTable {
    table("host")
}

/// The defaults of a manifest.
pub(crate) fn function() -> &'static NodeTable {
    table("function")
}

/// The start delays of other platforms.
pub(crate) fn emulation() -> &'static NodeTable {
    table("emulation")
}

fn table(name: &str) -> &'static NodeTable {
    static EMPTY: NodeTable = NodeTable::new();
    match TREE.get(name) {
        Some(ConfigNode::Table(table)) => table,
        _ => &EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_there() {
        for part in [host(), function(), emulation()] {
            assert!(!part.is_empty());
        }
    }
}
