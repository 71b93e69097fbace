//! The record that `millstream invoke` runs a module on.

use std::io::Read;

use reqwest::blocking::RequestBuilder;

use crate::app::local::LocalRecord;
use crate::cli::failure::VerbFailure;
use crate::cloudevents::structured;
use crate::error_code::ErrorCode;

/// The record, as the command line gives it.
#[derive(Debug, clap::Args)]
pub(crate) struct InputArguments {
    /// The record's value: a text, @FILE, or @- for stdin
    #[arg(long, value_name = "TEXT", required_unless_present = "event", conflicts_with = "event")]
    data: Option<String>,
    /// A CloudEvent in structured JSON: a file, or - for stdin
    #[arg(long, value_name = "FILE")]
    event: Option<String>,
    /// The record's key [default: an event's `partitionkey`]
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
}

/// The same, all optional.
#[derive(Debug, clap::Args)]
pub(crate) struct OptionalInput {
    /// The record's value: a text, @FILE, or @- for stdin
    #[arg(long, value_name = "TEXT", conflicts_with = "event")]
    data: Option<String>,
    /// A CloudEvent in structured JSON: a file, or - for stdin
    #[arg(long, value_name = "FILE")]
    event: Option<String>,
    /// The record's key [default: an event's `partitionkey`]
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
}

impl OptionalInput {
    /// Makes the record, if one was given.
    pub(crate) fn record(&self) -> Result<Option<LocalRecord>, VerbFailure> {
        if self.data.is_none() && self.event.is_none() {
            return Ok(None);
        }
        let (data, event, key) = (self.data.clone(), self.event.clone(), self.key.clone());
        Ok(Some(InputArguments { data, event, key }.record()?.to_local()))
    }
}

/// A record as Kafka would give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputRecord {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    /// Its headers, which say what the value is.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

impl InputRecord {
    pub(crate) fn to_local(&self) -> LocalRecord {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
        let headers = self.headers.iter().map(header).collect();
        LocalRecord { topic: None, key: self.key.clone(), value: Some(self.value.clone()), headers }
    }
}

impl InputArguments {
    #[cfg(test)]
    pub(crate) fn of_data(data: &str, key: Option<&str>) -> Self {
        Self { data: Some(data.to_owned()), event: None, key: key.map(str::to_owned) }
    }

    /// Makes the record, reading files and stdin as asked.
    pub(crate) fn record(&self) -> Result<InputRecord, VerbFailure> {
        let key = self.key.clone().map(String::into_bytes);
        match (&self.event, &self.data) {
            (Some(place), _) => event(read(place)?, key),
            (None, Some(data)) => {
                let value = data.strip_prefix('@').map_or_else(|| Ok(data.clone().into_bytes()), read)?;
                Ok(InputRecord { key, value, headers: Vec::new() })
            }
            // The command line asks for one or the other.
            (None, None) => Err(VerbFailure::new(ErrorCode::InvalidEvent, "neither --data nor --event was given")),
        }
    }
}

/// `request` with the record in it, as a host takes events.
pub(crate) fn body(request: RequestBuilder, record: &InputRecord) -> RequestBuilder {
    let key = record.key.as_deref().map(String::from_utf8_lossy);
    let request = record.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.query(&key.map(|key| ("key", key)).as_slice()).body(record.value.clone())
}

/// A record that holds a CloudEvent in its JSON format. The bytes stay as they are; only what they say is checked.
fn event(value: Vec<u8>, key: Option<Vec<u8>>) -> Result<InputRecord, VerbFailure> {
    let event =
        structured::read(&value).map_err(|error| VerbFailure::new(ErrorCode::InvalidEvent, error.to_string()))?;
    let partition_key = event.extensions.into_iter().find(|(name, _)| name == "partitionkey");
    let key = key.or_else(|| partition_key.map(|(_, key)| key.into_bytes()));
    Ok(InputRecord { key, value, headers: vec![("content-type", "application/cloudevents+json")] })
}

/// Reads the file `place`, or stdin when it is `-`.
fn read(place: &str) -> Result<Vec<u8>, VerbFailure> {
    let mut bytes = Vec::new();
    let result = match place {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        path => std::fs::read(path),
    };
    result.map_err(|error| VerbFailure::new(ErrorCode::InvalidEvent, format!("cannot read {place}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/me","type":"bid", "partitionkey":"lot-7",
        "data":{"b":1,"a":2}}"#;

    fn arguments(data: Option<&str>, event: Option<&str>, key: Option<&str>) -> InputArguments {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        InputArguments { data: owned(data), event: owned(event), key: owned(key) }
    }

    #[test]
    fn data_is_the_value_of_a_plain_record() {
        let record = arguments(Some("hello"), None, Some("k")).record().unwrap();
        assert_eq!(record, InputRecord { key: Some(b"k".to_vec()), value: b"hello".to_vec(), headers: vec![] });
    }

    #[test]
    fn a_file_gives_its_bytes_untouched() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), EVENT).unwrap();
        let path = file.path().to_str().unwrap();
        let plain = arguments(Some(&format!("@{path}")), None, None).record().unwrap();
        assert_eq!((plain.value.as_slice(), plain.key), (EVENT.as_bytes(), None));
        let event = arguments(None, Some(path), None).record().unwrap();
        assert_eq!((event.value.as_slice(), event.key.as_deref()), (EVENT.as_bytes(), Some(&b"lot-7"[..])));
        assert_eq!(event.headers, [("content-type", "application/cloudevents+json")]);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for wrong in ["", "{}", "[]", r#"{"specversion":"1.0","id":"","source":"/me","type":"bid"}"#] {
            assert!(event(wrong.as_bytes().to_vec(), None).is_err(), "{wrong}");
        }
        assert!(arguments(None, Some("no/such/file"), None).record().is_err());
    }
}
