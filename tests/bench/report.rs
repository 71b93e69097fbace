//! Tables for people: on the terminal and in docs/performance.md.

use std::fs;

use anyhow::{Context as _, ensure};
use millstream_tests::root;

use crate::contestant::Contestant;
use crate::machine;
use crate::plot;
use crate::stats::Spread;

/// One bar of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// Its name.
    pub label: String,
    /// Its length, and how far the runs lie apart.
    pub spread: Spread,
    /// Whether it is Millstream's.
    pub is_ours: bool,
}

/// What one measurement found.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name, as on the command line.
    pub name: &'static str,
    head: Vec<&'static str>,
    /// The table.
    pub rows: Vec<Vec<String>>,
    /// The plot; without bars there is none, and no peer was measured.
    pub bars: Vec<Bar>,
    /// What a bar's length means.
    pub unit: &'static str,
    /// Sentences below.
    pub notes: Vec<String>,
}

impl Section {
    /// An empty one.
    pub(crate) fn new(name: &'static str, head: &[&'static str]) -> Self {
        Self { name, head: head.into(), rows: Vec::new(), bars: Vec::new(), unit: "", notes: Vec::new() }
    }

    /// A table that reads well as it is, and as Markdown.
    pub(crate) fn table(&self) -> String {
        assert!(self.rows.iter().all(|row| row.len() == self.head.len()), "a row has other columns than the head");
        let head: Vec<String> = self.head.iter().map(|&name| name.to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default().max(2)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &[String]| {
            let pad = |(column, (cell, width)): (usize, (&String, &usize))| match column {
                0 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            };
            let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(pad).collect();
            format!("|{}|\n", cells.join("|"))
        };
        let rule = |(column, width): (usize, &usize)| match column {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        };
        let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
        let mut table = line(&head) + &format!("|{}|\n", rules.join("|"));
        table.extend(self.rows.iter().map(|row| line(row)));
        table
    }

    /// Puts table, notes and plot into docs/performance.md, between the marks of this measurement.
    pub(crate) fn write(&self, command: &str) -> anyhow::Result<()> {
        let page = root().join("docs/performance.md");
        let text = fs::read_to_string(&page).with_context(|| format!("{} can't be read", page.display()))?;
        let (begin, end) = (format!("<!-- {}: ", self.name), format!("<!-- end of {} -->", self.name));
        let start = text.find(&begin).and_then(|at| Some(at + text[at..].find('\n')? + 1));
        let (start, stop) = start.zip(text.find(&end)).context("docs/performance.md has lost its marks")?;
        ensure!(start <= stop, "docs/performance.md has its marks in the wrong order");
        let mut body = format!("\n{}\n{}\n\n", self.table(), self.notes.join("\n\n"));
        if self.bars.is_empty() {
            body.push_str(&format!("`{command}` on {}.\n\n", machine::alone()));
        } else {
            let plot = format!("performance/{}.svg", self.name);
            body.push_str(&format!("![{}]({plot})\n\n`{command}` on {}.\n\n", self.unit, machine::description()));
            fs::create_dir_all(root().join("docs/performance"))?;
            fs::write(root().join("docs").join(plot), plot::bars(self.unit, &self.bars))?;
        }
        fs::write(&page, format!("{}{body}{}", &text[..start], &text[stop..]))?;
        Ok(())
    }
}

/// A line of progress.
pub(crate) fn progress(line: &str) {
    eprintln!("· {line}");
}

/// Says loudly that a contestant does not take part, and keeps it for the notes.
pub(crate) fn skipped(notes: &mut Vec<String>, contestant: &Contestant, reason: &str) {
    let who = format!("{}, {}", contestant.name, contestant.guarantee.text());
    eprintln!("\n!!! SKIPPED: {who}: {reason}\n");
    notes.push(format!("**Not measured: {who}.** The host answered: {reason}"));
}

/// A whole number with commas.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped = [7.4, 999.6, 123_456.0, 1_234_567.0].map(thousands);
        assert_eq!(grouped, ["7", "1,000", "123,456", "1,234,567"]);
    }

    #[test]
    fn a_table_is_aligned_and_markdown() {
        let mut section = Section::new("x", &["", "rate"]);
        section.rows = vec![vec!["“we”".into(), "1".into()], vec!["they".into(), "10,000".into()]];
        let expected = "|      |   rate |\n|------|-------:|\n| “we” |      1 |\n| they | 10,000 |\n";
        assert_eq!(section.table(), expected);
    }
}
