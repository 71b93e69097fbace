//! Fixtures as they are written: `tests/*.json`, one case or a list of cases in each file.
//!
//! What is expected stays a slice of the file's text until it is compared, so that an update can replace just that and
//! leave the rest as its author wrote it.

mod event;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::local::LocalRecord;
use crate::cli::failure::VerbFailure;
use crate::cli::test::compare::ExpectedOutcome;
use crate::error_code::ErrorCode;

#[derive(Debug)]
pub(crate) struct FixtureFile {
    path: PathBuf,
    pub(crate) name: String,
    text: String,
}

/// Events in a row, and what is expected of each.
#[derive(Debug)]
pub(crate) struct FixtureCase {
    pub(crate) name: String,
    pub(crate) env: BTreeMap<String, String>,
    /// One after another, in the same sandbox where the manifest allows it.
    pub(crate) steps: Vec<FixtureStep>,
}

#[derive(Debug)]
pub(crate) struct FixtureStep {
    pub(crate) record: LocalRecord,
    /// 1 for the first.
    pub(crate) attempt: u32,
    /// What is to come out; nothing where the fixture does not say yet.
    pub(crate) expectation: Option<ExpectedOutcome>,
    /// Where the file says so, or where it could.
    pub(crate) place: ExpectationSource,
}

/// Where what is expected stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpectationSource {
    At(Range<usize>),
    /// Nowhere; it belongs behind this byte.
    After(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText<'a> {
    name: String,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    expect: Option<&'a RawValue>,
    #[serde(default)]
    unordered: bool,
    #[serde(default)]
    exact: bool,
    #[serde(borrow)]
    steps: Option<Vec<StepText<'a>>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(borrow)]
    expect: Option<&'a RawValue>,
    #[serde(default)]
    unordered: bool,
    #[serde(default)]
    exact: bool,
}

/// The fixtures of the function in `folder`, by name.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<FixtureFile>, VerbFailure> {
    let tests = folder.join("tests");
    let none = || {
        let what =
            format!("{} has no tests/*.json: write a case; docs/writing-a-function.md says how", folder.display());
        VerbFailure::new(ErrorCode::InvalidFixture, what)
    };
    let entries = match std::fs::read_dir(&tests) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        entries => entries.map_err(|error| unreadable(&tests, error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&tests, error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(FixtureFile::read(&path)?);
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    if files.is_empty() { Err(none()) } else { Ok(files) }
}

fn unreadable(path: &Path, error: std::io::Error) -> VerbFailure {
    VerbFailure::new(ErrorCode::InvalidFixture, format!("cannot read {}: {error}", path.display()))
}

impl FixtureFile {
    pub(crate) fn read(path: &Path) -> Result<Self, VerbFailure> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path: path.to_owned(), name, text })
    }

    pub(crate) fn cases(&self) -> Result<Vec<FixtureCase>, VerbFailure> {
        let written: Vec<CaseText<'_>> = match self.text.trim_start().starts_with('[') {
            true => serde_json::from_str(&self.text),
            false => serde_json::from_str(&self.text).map(|case| vec![case]),
        }
        .map_err(|error| self.wrong(&error.to_string()))?;
        written.into_iter().map(|case| self.case(case)).collect()
    }

    /// Replaces what is expected, each at its place.
    pub(crate) fn replace(&self, mut replacements: Vec<(ExpectationSource, String)>) -> Result<(), VerbFailure> {
        let start = |place: &ExpectationSource| match place {
            ExpectationSource::At(range) => range.start,
            ExpectationSource::After(end) => *end,
        };
        replacements.sort_by_key(|(place, _)| std::cmp::Reverse(start(place)));
        let mut text = self.text.clone();
        for (place, replacement) in replacements {
            let line = text[..start(&place)].rfind('\n').map_or(0, |end| end + 1);
            let indent: String = text[line..].chars().take_while(|letter| letter.is_ascii_whitespace()).collect();
            let replacement = replacement.replace('\n', &format!("\n{indent}"));
            match place {
                ExpectationSource::At(range) => text.replace_range(range, &replacement),
                ExpectationSource::After(end) => text.insert_str(end, &format!(",\n{indent}\"expect\": {replacement}")),
            }
        }
        std::fs::write(&self.path, text).map_err(|error| {
            VerbFailure::new(ErrorCode::InvalidFixture, format!("cannot write {}: {error}", self.path.display()))
        })
    }

    fn case(&self, case: CaseText<'_>) -> Result<FixtureCase, VerbFailure> {
        let CaseText { name, event, expect, unordered, exact, steps, env } = case;
        let steps = match (event, steps) {
            (Some(event), None) => vec![StepText { event, expect, unordered, exact }],
            (None, Some(steps)) if expect.is_none() && !steps.is_empty() => steps
                .into_iter()
                .map(|step| StepText { unordered: step.unordered || unordered, exact: step.exact || exact, ..step })
                .collect(),
            _ => {
                let what =
                    "give it one `event` with what to `expect`, or `steps`, each with an event and what to expect";
                return Err(self.wrong(&format!("case \"{name}\": {what}")));
            }
        };
        let steps = steps.iter().enumerate().map(|(index, step)| {
            self.step(step).map_err(|reason| {
                let number = if steps.len() > 1 { format!(", step {}", index + 1) } else { String::new() };
                self.wrong(&format!("case \"{name}\"{number}: {reason}"))
            })
        });
        Ok(FixtureCase { steps: steps.collect::<Result<_, _>>()?, name, env })
    }

    fn step(&self, step: &StepText<'_>) -> Result<FixtureStep, String> {
        let (record, attempt) = event::read(step.event.get()).map_err(|reason| format!("event: {reason}"))?;
        let expectation = step.expect.map(|text| ExpectedOutcome::read(text.get(), step.unordered, step.exact));
        let expectation = expectation.transpose().map_err(|reason| format!("expect: {reason}"))?;
        let place = match step.expect {
            Some(text) => ExpectationSource::At(self.range_of(text)),
            None => ExpectationSource::After(self.range_of(step.event).end),
        };
        Ok(FixtureStep { record, attempt, expectation, place })
    }

    /// Where a part of the text stands in it.
    fn range_of(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + part.get().len()
    }

    fn wrong(&self, reason: &str) -> VerbFailure {
        VerbFailure::new(ErrorCode::InvalidFixture, format!("{}: {reason}", self.path.display()))
    }
}
