//! Makes what came out what is expected.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::cli::test::case::CaseResult;
use crate::cli::test::compare::ExpectedOutcome;
use crate::cli::test::emitted;
use crate::cli::test::fixture::{ExpectationSource, FixtureCase};

/// What to write where, for the steps that are not as expected; the result counts as updated.
pub(crate) fn of(case: &FixtureCase, result: &mut CaseResult) -> Vec<(ExpectationSource, String)> {
    let mut updates = Vec::new();
    for (step, found) in case.steps.iter().zip(&result.steps) {
        if found.problems.is_empty() {
            continue;
        }
        let actual = emitted::expectation_of(&found.outcome);
        let written = match &step.expectation {
            Some(ExpectedOutcome::Emitted { emissions, exact: false, unordered: false }) => named(emissions, actual),
            _ => actual,
        };
        // A value that was read from JSON can be written as such.
        updates.push((step.place.clone(), serde_json::to_string_pretty(&AsWritten(&written)).unwrap_or_default()));
    }
    result.is_updated = !updates.is_empty();
    updates
}

/// Members in the order in which people write them: what is named comes before what it holds.
struct AsWritten<'a>(&'a Value);

impl Serialize for AsWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const ORDER: [&str; 4] = ["output", "key", "key_base64", "attributes"];
        match self.0 {
            Value::Array(emissions) => serializer.collect_seq(emissions.iter().map(AsWritten)),
            Value::Object(members) => {
                let first = ORDER.iter().filter_map(|name| members.get_key_value(*name));
                let rest = members.iter().filter(|(name, _)| !ORDER.contains(&name.as_str()));
                serializer.collect_map(first.chain(rest))
            }
            other => other.serialize(serializer),
        }
    }
}

/// Of as many emissions as before, only what was named before.
fn named(expected: &[Value], actual: Value) -> Value {
    match actual {
        Value::Array(actual) if actual.len() == expected.len() => {
            expected.iter().zip(actual).map(|(expected, actual)| restrict(expected, actual)).collect()
        }
        other => other,
    }
}

fn restrict(expected: &Value, actual: Value) -> Value {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(mut given)) => {
            let kept: Map<String, Value> = wanted
                .iter()
                .map(|(name, expected)| {
                    let actual = given.remove(name).unwrap_or(Value::Null);
                    (name.clone(), restrict(expected, actual))
                })
                .collect();
            Value::Object(kept)
        }
        (Value::Array(wanted), Value::Array(given)) if wanted.len() == given.len() => {
            wanted.iter().zip(given).map(|(expected, actual)| restrict(expected, actual)).collect()
        }
        (_, actual) => actual,
    }
}
