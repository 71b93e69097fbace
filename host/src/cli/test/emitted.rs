//! What came out of a function, as JSON: the form in which it is expected, compared, shown and written into fixtures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::app::local::LocalOutcome;
use crate::app::local::emission::LocalEmission;
use crate::cloudevents::structured::is_json;

/// An emission. `output` and `attributes` are always there.
pub(crate) fn json_of(emission: &LocalEmission) -> Value {
    let mut object = Map::new();
    object.insert("output".to_owned(), json!(emission.output));
    insert_bytes(&mut object, "key", emission.key.as_deref());
    object.insert("attributes".to_owned(), json!(emission.attributes));
    if !emission.headers.is_empty() {
        let headers = emission.headers.iter().map(|(name, value)| {
            let value = value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned());
            (name.clone(), json!(value))
        });
        object.insert("headers".to_owned(), Value::Object(headers.collect()));
    }
    match declared_json(emission) {
        Some(data) => {
            object.insert("data".to_owned(), data);
        }
        None => insert_bytes(&mut object, "data", emission.data.as_deref()),
    }
    Value::Object(object)
}

/// An outcome in the form of an expectation that it fulfils.
pub(crate) fn expectation_of(outcome: &LocalOutcome) -> Value {
    match outcome {
        LocalOutcome::Filtered => json!({ "filtered": true }),
        LocalOutcome::Emitted(emissions) => emissions.iter().map(json_of).collect(),
        LocalOutcome::Failed(fault) => {
            let mut object = Map::new();
            object.insert("failure".to_owned(), json!(fault.class.as_str()));
            // The lines after the first say where, which the next build changes.
            object.insert("message".to_owned(), json!(fault.message.lines().next().unwrap_or_default()));
            if let Some(after) = fault.retry_after {
                object.insert("retry_after_ms".to_owned(), json!(after.as_millis() as u64));
            }
            Value::Object(object)
        }
    }
}

/// The data as JSON where the guest says that it is, or where it is an object or a list all the same.
fn declared_json(emission: &LocalEmission) -> Option<Value> {
    let data = emission.data.as_deref()?;
    let declared = emission.attributes.get("datacontenttype");
    let looks_so = matches!(data.first(), Some(b'{' | b'['));
    let may_be = declared.map_or(looks_so, |media_type| is_json(Some(media_type)));
    if may_be { serde_json::from_slice(data).ok() } else { None }
}

/// Bytes as text where they are one, else as `<name>_base64`; nothing for none.
fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return };
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), json!(text)),
        Err(_) => object.insert(format!("{name}_base64"), json!(BASE64.encode(bytes))),
    };
}
