//! The file that keeps usage over restarts: lines of JSON that add up, written again when there are many more of them than
//! need be.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::ids::FunctionName;
use crate::telemetry::usage::UsageAmounts;
use crate::telemetry::usage::history::UsageHistory;

const FILE: &str = "usage.jsonl";
/// The file is written again when it has so many lines more than twice those that are needed.
const SLACK: usize = 1000;

#[derive(Debug, Serialize, Deserialize)]
struct JournalLine {
    /// Seconds since the Unix epoch.
    at: u64,
    function: FunctionName,
    #[serde(flatten)]
    amounts: UsageAmounts,
}

#[derive(Debug)]
pub(crate) struct UsageJournal {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl UsageJournal {
    /// Opens the file of `folder`, and gives what is in it. What cannot be read is left out: a line that was cut off by a
    /// power failure, or one of a later version.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, UsageHistory)> {
        fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let mut history = UsageHistory::default();
        match File::open(&path) {
            Ok(file) => {
                for line in BufReader::new(file).split(b'\n') {
                    if let Ok(JournalLine { at, function, amounts }) = serde_json::from_slice(&line?) {
                        history.add(&function, at, &amounts);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (file, lines) = write_anew(&path, &history)?;
        Ok((Self { path, file, lines }, history))
    }

    /// Appends what was used at `second`. `history` is what all of the file amounts to.
    pub(crate) fn append(
        &mut self,
        second: u64,
        used: &[(FunctionName, UsageAmounts)],
        history: &UsageHistory,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for (function, amounts) in used {
            write_line(&mut text, second, function, amounts)?;
        }
        self.file.write_all(&text)?;
        self.lines += used.len();
        if self.lines > 2 * history.buckets().len() + SLACK {
            (self.file, self.lines) = write_anew(&self.path, history)?;
        }
        Ok(())
    }

    /// Waits until the disk has it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn write_anew(path: &Path, history: &UsageHistory) -> io::Result<(File, usize)> {
    let buckets = history.buckets();
    let mut text = Vec::new();
    for (start, function, amounts) in &buckets {
        write_line(&mut text, *start, function, amounts)?;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&text)?;
    file.as_file().sync_data()?;
    let file = file.persist(path).map_err(|error| error.error)?;
    Ok((file, buckets.len()))
}

fn write_line(text: &mut Vec<u8>, at: u64, function: &FunctionName, amounts: &UsageAmounts) -> io::Result<()> {
    serde_json::to_writer(&mut *text, &JournalLine { at, function: function.clone(), amounts: *amounts })?;
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64) -> UsageAmounts {
        UsageAmounts { calls, cpu_ns: 3, ..UsageAmounts::default() }
    }

    fn total(history: &UsageHistory) -> u64 {
        history.period(0..u64::MAX - 7200, None).used.iter().map(|used| used.amounts.calls).sum()
    }

    #[test]
    fn usage_is_read_back_and_a_broken_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let name = FunctionName::new("mill").unwrap();
        let now = 1_700_000_000;
        let (mut journal, mut history) = UsageJournal::open(folder.path()).unwrap();
        for second in [now, now + 20, now + 90] {
            history.add(&name, second, &calls(2));
            journal.append(second, &[(name.clone(), calls(2))], &history).unwrap();
        }
        journal.file.write_all(b"{\"at\":17000000").unwrap();
        let (_, read) = UsageJournal::open(folder.path()).unwrap();
        assert_eq!((total(&read), read.buckets().len()), (6, 2));
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let name = FunctionName::new("mill").unwrap();
        let (mut journal, mut history) = UsageJournal::open(folder.path()).unwrap();
        for round in 0..5000 {
            let second = 1_700_000_000 + round;
            history.add(&name, second, &calls(1));
            journal.append(second, &[(name.clone(), calls(1))], &history).unwrap();
        }
        assert!(journal.lines < 2 * history.buckets().len() + SLACK + 2);
        let (_, read) = UsageJournal::open(folder.path()).unwrap();
        assert_eq!(total(&read), 5000);
    }
}
