//! Compares what came out with what is expected.
//!
//! An expectation names what it cares for: members that it does not name may be anything, unless it is `exact`. Lists
//! have as many elements as they name. `null` stands for what is not there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::app::local::LocalOutcome;
use crate::cli::test::emitted;
use crate::model::outcome::FaultClass;

/// What is to become of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExpectedOutcome {
    /// A filter keeps it away.
    Filtered,
    Emitted {
        emissions: Vec<Value>,
        unordered: bool,
        /// Whether nothing else may be in them.
        exact: bool,
    },
    Failed {
        class: String,
        /// A part of the message.
        message: Option<String>,
        /// The wait that the guest asks for.
        retry_after_ms: Option<u64>,
    },
}

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaseMismatch {
    /// What: `emission 1: data.amount`.
    pub(crate) at: String,
    /// What was expected there, if anything.
    pub(crate) expected: Option<String>,
    /// What was there, if anything.
    pub(crate) actual: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ExpectationText {
    Emitted(Vec<Value>),
    Other(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailureText {
    failure: FaultClass,
    message: Option<String>,
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilteredText {
    filtered: bool,
}

/// Only to find what is misspelt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read matters")]
struct EmissionText {
    output: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    attributes: Option<BTreeMap<String, Option<String>>>,
    headers: Option<BTreeMap<String, Option<String>>>,
    data: Option<Value>,
    data_base64: Option<String>,
}

impl ExpectedOutcome {
    /// Reads what a fixture expects.
    pub(crate) fn read(text: &str, unordered: bool, exact: bool) -> Result<Self, String> {
        let told = |error: serde_json::Error| error.to_string();
        match serde_json::from_str(text).map_err(told)? {
            ExpectationText::Emitted(emissions) => {
                for (index, emission) in emissions.iter().enumerate() {
                    serde_json::from_value::<EmissionText>(emission.clone())
                        .map_err(|error| format!("emission {}: {error}", index + 1))?;
                }
                Ok(Self::Emitted { emissions, unordered, exact })
            }
            ExpectationText::Other(other) if other.get("failure").is_some() => {
                let FailureText { failure, message, retry_after_ms } = serde_json::from_value(other).map_err(told)?;
                Ok(Self::Failed { class: failure.as_str().to_owned(), message, retry_after_ms })
            }
            ExpectationText::Other(other) if other.get("filtered").is_some() => {
                match serde_json::from_value(other).map_err(told)? {
                    FilteredText { filtered: true } => Ok(Self::Filtered),
                    FilteredText { filtered: false } => Err("write the list of events that it emits".to_owned()),
                }
            }
            ExpectationText::Other(_) => Err("write a list of events that it emits, {\"failure\": \"reject\"} with a \
                 \"message\", or {\"filtered\": true}"
                .to_owned()),
        }
    }
}

/// What is not as expected.
pub(crate) fn compare(expectation: &ExpectedOutcome, outcome: &LocalOutcome) -> Vec<CaseMismatch> {
    match (expectation, outcome) {
        (ExpectedOutcome::Filtered, LocalOutcome::Filtered) => Vec::new(),
        (ExpectedOutcome::Emitted { emissions, unordered, exact }, LocalOutcome::Emitted(emitted)) => {
            let emitted: Vec<Value> = emitted.iter().map(emitted::json_of).collect();
            match unordered {
                true => compare_any_order(emissions, &emitted, *exact),
                false => compare_in_order(emissions, &emitted, *exact),
            }
        }
        (ExpectedOutcome::Failed { class, message, retry_after_ms }, LocalOutcome::Failed(fault)) => {
            let mut problems = Vec::new();
            let mut check = |at: &str, is_so: bool, expected: String, actual: String| {
                if !is_so {
                    problems.push(CaseMismatch { at: at.to_owned(), expected: Some(expected), actual: Some(actual) });
                }
            };
            let is_class = fault.class.as_str() == class;
            check("failure", is_class, class.clone(), format!("{}: {}", fault.class, fault.message));
            if let (true, Some(message)) = (is_class, message) {
                check("message", fault.message.contains(message), format!("…{message}…"), fault.message.clone());
            }
            if let Some(expected) = retry_after_ms {
                let actual = fault.retry_after.map(|after| after.as_millis() as u64);
                let told = actual.map_or_else(|| "none".to_owned(), |actual| actual.to_string());
                check("retry_after_ms", actual == Some(*expected), expected.to_string(), told);
            }
            problems
        }
        (expectation, outcome) => {
            vec![CaseMismatch {
                at: "outcome".to_owned(),
                expected: Some(name(expectation)),
                actual: Some(tell(outcome)),
            }]
        }
    }
}

fn name(expectation: &ExpectedOutcome) -> String {
    match expectation {
        ExpectedOutcome::Filtered => "filtered".to_owned(),
        ExpectedOutcome::Emitted { emissions, .. } => format!("{} emitted", emissions.len()),
        ExpectedOutcome::Failed { class, message, .. } => match message {
            Some(message) => format!("{class}: …{message}…"),
            None => class.clone(),
        },
    }
}

fn tell(outcome: &LocalOutcome) -> String {
    match outcome {
        LocalOutcome::Filtered => "filtered".to_owned(),
        LocalOutcome::Emitted(emissions) => format!("{} emitted", emissions.len()),
        LocalOutcome::Failed(fault) => fault.to_string(),
    }
}

fn compare_in_order(expected: &[Value], actual: &[Value], exact: bool) -> Vec<CaseMismatch> {
    let mut problems = Vec::new();
    for index in 0..expected.len().max(actual.len()) {
        let at = format!("emission {}", index + 1);
        match (expected.get(index), actual.get(index)) {
            (Some(expected), Some(actual)) => problems.extend(compare_emission(&at, expected, actual, exact)),
            (expected, actual) => problems.push(lonely(at, expected, actual)),
        }
    }
    problems
}

/// Gives each expected emission one that fits it, if that can be done for all; then reports those that are left, each
/// beside the one that fits it best.
fn compare_any_order(expected: &[Value], actual: &[Value], exact: bool) -> Vec<CaseMismatch> {
    let compared = |wanted: usize, given: usize| {
        compare_emission(&format!("emission {}", wanted + 1), &expected[wanted], &actual[given], exact)
    };
    let fits: Vec<Vec<bool>> = (0..expected.len())
        .map(|wanted| (0..actual.len()).map(|given| compared(wanted, given).is_empty()).collect())
        .collect();
    let mut taken_by: Vec<Option<usize>> = vec![None; actual.len()];
    let missed: Vec<usize> = (0..expected.len())
        .filter(|wanted| !find_one(*wanted, &fits, &mut vec![false; actual.len()], &mut taken_by))
        .collect();
    let mut left: Vec<usize> = (0..actual.len()).filter(|given| taken_by[*given].is_none()).collect();
    let mut problems = Vec::new();
    for wanted in missed {
        let nearest = (0..left.len()).min_by_key(|index| compared(wanted, left[*index]).len());
        match nearest {
            Some(index) => problems.extend(compared(wanted, left.remove(index))),
            None => problems.push(lonely(format!("emission {}", wanted + 1), Some(&expected[wanted]), None)),
        }
    }
    problems.extend(left.into_iter().map(|given| lonely("another".to_owned(), None, Some(&actual[given]))));
    problems
}

/// Finds a place for `wanted`, moving others where that helps.
fn find_one(wanted: usize, fits: &[Vec<bool>], seen: &mut [bool], taken_by: &mut [Option<usize>]) -> bool {
    for given in 0..seen.len() {
        if fits[wanted][given] && !std::mem::replace(&mut seen[given], true) {
            let is_free = match taken_by[given] {
                None => true,
                Some(other) => find_one(other, fits, seen, taken_by),
            };
            if is_free {
                taken_by[given] = Some(wanted);
                return true;
            }
        }
    }
    false
}

fn lonely(at: String, expected: Option<&Value>, actual: Option<&Value>) -> CaseMismatch {
    let text = |value: &Value| value.to_string();
    CaseMismatch { at, expected: expected.map(text), actual: actual.map(text) }
}

/// An emission's own members are never more than those that are named, with `exact` neither those within.
fn compare_emission(at: &str, expected: &Value, actual: &Value, exact: bool) -> Vec<CaseMismatch> {
    let mut problems = Vec::new();
    differ(&format!("{at}: "), "", expected, actual, exact, &mut problems);
    problems
}

fn differ(at: &str, path: &str, expected: &Value, actual: &Value, exact: bool, problems: &mut Vec<CaseMismatch>) {
    let (expected, actual) = (expected, actual);
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(given)) => {
            for (name, expected) in wanted {
                let actual = given.get(name).unwrap_or(&Value::Null);
                differ(at, &join(path, name), expected, actual, exact, problems);
            }
            if exact {
                for (name, actual) in given.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                    let at = format!("{at}{}", join(path, name));
                    problems.push(CaseMismatch { at, expected: None, actual: Some(actual.to_string()) });
                }
            }
        }
        (Value::Array(wanted), Value::Array(given)) if wanted.len() == given.len() => {
            for (index, (expected, actual)) in wanted.iter().zip(given).enumerate() {
                differ(at, &format!("{path}[{index}]"), expected, actual, exact, problems);
            }
        }
        _ if is_same(expected, actual) => {}
        _ => {
            let text = |value: &Value| (!value.is_null()).then(|| value.to_string());
            problems.push(CaseMismatch { at: format!("{at}{path}"), expected: text(expected), actual: text(actual) });
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// 5 and 5.0 are the same number.
fn is_same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(expected), Value::Number(actual)) => expected == actual || expected.as_f64() == actual.as_f64(),
        // Data that is not a declared JSON is text; a fixture may write either.
        (Value::String(text), other) | (other, Value::String(text)) if !other.is_string() && !other.is_null() => {
            serde_json::from_str::<Value>(text).is_ok_and(|parsed| parsed == *other)
        }
        _ => expected == actual,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(expected: Value, actual: Value, unordered: bool, exact: bool) -> Vec<String> {
        let (Value::Array(expected), Value::Array(actual)) = (expected, actual) else { panic!("lists") };
        let found = match unordered {
            true => compare_any_order(&expected, &actual, exact),
            false => compare_in_order(&expected, &actual, exact),
        };
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        found.into_iter().map(|one| format!("{} {} {}", one.at, text(one.expected), text(one.actual))).collect()
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let actual = json!([{ "output": "default", "attributes": { "type": "a" }, "data": { "x": 1, "y": [1, { "z": 2, "q": 3 }] } }]);
        for fits in [json!([{}]), json!([{ "data": { "y": [1.0, { "z": 2 }] }, "attributes": { "subject": null } }])] {
            assert_eq!(problems(fits, actual.clone(), false, false), Vec::<String>::new());
        }
        let wrong = json!([{ "data": { "x": 2, "y": [1], "w": 0 } }]);
        let expected =
            ["emission 1: data.w 0 -", "emission 1: data.x 2 1", "emission 1: data.y [1] [1,{\"q\":3,\"z\":2}]"];
        assert_eq!(problems(wrong, actual, false, false), expected);
    }

    #[test]
    fn exact_means_nothing_else() {
        let actual = json!([{ "output": "default", "attributes": { "type": "a" } }]);
        assert!(problems(actual.clone(), actual.clone(), false, true).is_empty());
        let found = problems(json!([{ "output": "default", "attributes": {} }]), actual, false, true);
        assert_eq!(found, ["emission 1: attributes.type - \"a\""]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        let found = problems(json!([{ "key": "a" }, { "key": "b" }]), json!([{ "key": "a" }]), false, false);
        assert_eq!(found, ["emission 2 {\"key\":\"b\"} -"]);
        let found = problems(json!([]), json!([{ "key": "a" }]), false, false);
        assert_eq!(found, ["emission 1 - {\"key\":\"a\"}"]);
    }

    #[test]
    fn in_any_order_all_find_their_place_if_there_is_one() {
        // The first fits both, the second only the first: one has to move.
        let expected = json!([{}, { "key": "a" }]);
        assert!(problems(expected.clone(), json!([{ "key": "a" }, { "key": "b" }]), true, false).is_empty());
        let found = problems(expected, json!([{ "key": "c" }, { "key": "b" }]), true, false);
        assert_eq!(found, ["emission 2: key \"a\" \"b\""]);
        let found = problems(json!([{ "key": "a" }]), json!([{ "key": "b" }, { "key": "a" }]), true, false);
        assert_eq!(found, ["another - {\"key\":\"b\"}"]);
    }

    #[test]
    fn what_cannot_be_expected_is_refused() {
        for (text, expected) in [
            ("{}", "write a list"),
            ("3", "write a list"),
            (r#"[{"outptu":"x"}]"#, "emission 1: unknown field `outptu`"),
            (r#"{"failure":"rejct"}"#, "unknown variant `rejct`"),
            (r#"{"failure":"reject","mesage":""}"#, "unknown field `mesage`"),
            (r#"{"filtered":false}"#, "write the list"),
        ] {
            let reason = ExpectedOutcome::read(text, false, false).unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }
}
