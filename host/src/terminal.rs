//! What a terminal may see: text that others chose is escaped, and colours follow one rule.

mod color;
mod escape;

pub(crate) use color::ColorChoice;
pub(crate) use escape::{escape_for_terminal, escape_json, escape_lines};
