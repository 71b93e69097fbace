//! Aligned tables. Cells are escaped here: what stands in them was chosen elsewhere.

use std::io::{self, Write};

use crate::model::status::FunctionState;
use crate::terminal::escape_for_terminal;

pub(crate) use crate::terminal::ColorChoice;

/// `text` in the colour of a state.
pub(crate) fn paint_state(paint: ColorChoice, state: FunctionState, text: &str) -> String {
    match state {
        FunctionState::Running => paint.green(text),
        FunctionState::Starting | FunctionState::Paused => paint.yellow(text),
        FunctionState::Stalled | FunctionState::Failed => paint.red(text),
    }
}

/// The name that JSON has for a value of an enumeration, such as `running`.
pub(crate) fn json_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellAlign {
    Left,
    Right,
    /// To the left, and coloured as a state.
    State,
}

/// Writes `rows` below `columns`, each column as wide as its widest cell.
pub(crate) fn write<const N: usize>(
    out: &mut dyn Write,
    paint: ColorChoice,
    columns: [(&str, CellAlign); N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| cell_text(cell))).collect();
    let width_of = |index: usize, title: &str| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.chain([title.chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(|(index, (title, _))| width_of(index, title)).collect();
    let titles = columns.map(|(title, _)| title.to_owned());
    write_row(out, ColorChoice::Plain, &columns, &widths, &titles)?;
    rows.iter().try_for_each(|row| write_row(out, paint, &columns, &widths, row))
}

/// A time of so many milliseconds, in its two largest units: `850ms`, `12s`, `3m5s`, `2h10m`, `4d3h`.
pub(crate) fn age(milliseconds: u64) -> String {
    // Rounded up: what is less than a second after all is nearly one.
    let seconds = milliseconds.div_ceil(1000);
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        _ if milliseconds < 1000 => format!("{milliseconds}ms"),
        ..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A cell is one line without tabs, whatever stands in it.
fn cell_text(cell: &str) -> String {
    escape_for_terminal(cell).into_owned()
}

fn write_row<const N: usize>(
    out: &mut dyn Write,
    paint: ColorChoice,
    columns: &[(&str, CellAlign); N],
    widths: &[usize],
    cells: &[String; N],
) -> io::Result<()> {
    let aligned = columns.iter().zip(widths).zip(cells).map(|(((_, align), width), cell)| match align {
        CellAlign::Left => format!("{cell:<width$}"),
        CellAlign::Right => format!("{cell:>width$}"),
        // Padded first: colours take no place.
        CellAlign::State => match serde_json::from_value(cell.as_str().into()) {
            Ok(state) => paint_state(paint, state, &format!("{cell:<width$}")),
            Err(_) => format!("{cell:<width$}"),
        },
    });
    let line = aligned.collect::<Vec<_>>().join("  ");
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(paint: ColorChoice) -> String {
        let mut out = Vec::new();
        let columns = [("NAME", CellAlign::Left), ("STATE", CellAlign::State), ("LAG", CellAlign::Right)];
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        write(&mut out, paint, columns, &[row(["a", "running", "5"]), row(["longer", "failed", "1000"])]).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(ColorChoice::Plain),
            "NAME    STATE     LAG\n\
             a       running     5\n\
             longer  failed   1000\n"
        );
    }

    #[test]
    fn ages_are_as_long_as_they_must_be() {
        let ages = [0, 850, 1000, 62_500, 3_600_000, 7_830_000, 356_400_000].map(age);
        assert_eq!(ages, ["0ms", "850ms", "1s", "1m3s", "1h", "2h10m", "4d3h"]);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = table(ColorChoice::Colored);
        assert!(coloured.contains("\x1b[32mrunning\x1b[0m     5\n"));
        assert!(coloured.contains("\x1b[31mfailed \x1b[0m  1000\n"));
        let plain = ["\x1b[32m", "\x1b[31m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, table(ColorChoice::Plain));
    }

    #[test]
    fn cells_stay_in_their_row() {
        let mut out = Vec::new();
        let row = ["a\nb\t\u{1b}[2J".to_owned()];
        write(&mut out, ColorChoice::Plain, [("NAME", CellAlign::Left)], &[row]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME\na\\nb\\t\\u{1b}[2J\n");
    }
}
