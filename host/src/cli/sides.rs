//! What came of a record in two ways, as lines of a diff.

use std::io::Write;

use crate::api::views::{EventView, HeaderView, SideView};
use crate::cli::failure::VerbFailure;
use crate::cli::table::ColorChoice;
use crate::model::stamp;
use crate::terminal::escape_for_terminal;

/// Prints what only one of both sides has: of `expected` with a minus, of `got` with a plus.
pub(crate) fn print(
    expected: &SideView,
    got: &SideView,
    paint: ColorChoice,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    let (expected, got) = (lines(expected), lines(got));
    for line in expected.iter().filter(|line| !got.contains(line)) {
        writeln!(out, "  {}", paint.red(&format!("- {line}")))?;
    }
    for line in got.iter().filter(|line| !expected.contains(line)) {
        writeln!(out, "  {}", paint.green(&format!("+ {line}")))?;
    }
    Ok(())
}

/// A side as lines, to be compared: what both have is not a difference.
fn lines(side: &SideView) -> Vec<String> {
    if side.outcome != "emitted" {
        let message = side.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
        let line = format!("{}  {}", escape_for_terminal(&side.outcome), escape_for_terminal(message));
        return vec![line.trim_end().to_owned()];
    }
    if side.events.is_empty() {
        return vec!["no event".to_owned()];
    }
    side.events.iter().map(event).collect()
}

fn event(event: &EventView) -> String {
    let shown = |text: &Option<String>, base64: &Option<String>| {
        escape_for_terminal(text.as_deref().or(base64.as_deref()).unwrap_or("-")).into_owned()
    };
    let header = |header: &HeaderView| {
        // Their form is always the same, and their cause is in the line above.
        let is_shown = !["ce_specversion", stamp::CAUSE_HEADER].contains(&header.name.as_str());
        let name = escape_for_terminal(&header.name);
        is_shown.then(|| format!("{name}={}", shown(&header.value, &header.value_base64)))
    };
    let headers: Vec<String> = event.headers.iter().filter_map(header).collect();
    let (key, value) = (shown(&event.key, &event.key_base64), shown(&event.value, &event.value_base64));
    format!("{}  key={key}  {}  {value}", escape_for_terminal(&event.topic), headers.join(" "))
}
