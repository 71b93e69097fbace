//! An emission in structured content mode: `application/cloudevents+json`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millstream_flat::Emission;
use serde::ser::SerializeMap as _;
use serde_json::value::RawValue;

use crate::emit::attributes::{self, EmissionOrigin};
use crate::model::outcome::{FaultClass, GuestFault};

pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// Appends the JSON of an event to `out`.
pub(crate) fn write<'a>(
    out: &mut Vec<u8>,
    emission: &Emission<'a>,
    origin: &EmissionOrigin<'a>,
    stamp: &str,
) -> Result<(), GuestFault> {
    let required = attributes::required(emission, origin);
    let mut extensions = Vec::new();
    for (name, value) in emission.extensions() {
        if attributes::check_extension(name)? {
            extensions.push((name, value));
        }
    }
    let mut serializer = serde_json::Serializer::new(out);
    let written = (|| {
        let mut map = serde::Serializer::serialize_map(&mut serializer, None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &required.id)?;
        map.serialize_entry("source", required.source)?;
        map.serialize_entry("type", required.type_)?;
        let optional = [
            ("subject", emission.subject()),
            ("time", emission.time()),
            ("datacontenttype", emission.datacontenttype()),
            ("dataschema", emission.dataschema()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in extensions {
            map.serialize_entry(name, value)?;
        }
        origin.stamp(stamp).write_attributes(&mut map)?;
        match emission.data().map(|data| form(data, emission.datacontenttype())) {
            None => {}
            Some(DataForm::Json(json)) => map.serialize_entry("data", json)?,
            Some(DataForm::Text(text)) => map.serialize_entry("data", text)?,
            Some(DataForm::Bytes(bytes)) => map.serialize_entry("data_base64", &BASE64.encode(bytes))?,
        }
        map.end()
    })();
    written.map_err(|error: serde_json::Error| {
        GuestFault::new(FaultClass::InvalidAnswer, format!("structured event: {error}"))
    })
}

enum DataForm<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Bytes(&'a [u8]),
}

fn form<'a>(data: &'a [u8], content_type: Option<&str>) -> DataForm<'a> {
    let media_type = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    if is_json && let Ok(json) = serde_json::from_slice::<&RawValue>(data) {
        return DataForm::Json(json);
    }
    // Text stays readable only where a reader takes it for text again: JSON text would be taken for a JSON string.
    match std::str::from_utf8(data) {
        Ok(text) if media_type.starts_with("text/") => DataForm::Text(text),
        _ => DataForm::Bytes(data),
    }
}
