//! One event that a function emits.

use crate::LayoutError;
use crate::bytes::{Cursor, patch_u32, put_bytes, put_optional_bytes, put_u32};
use crate::record::optional_text;

/// The output of an emission that names none.
const DEFAULT_OUTPUT: &str = "default";

/// The extension attribute that CloudEvents' binding for Kafka makes the record's key.
const PARTITION_KEY: &str = "partitionkey";

/// The key of an emitted record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EmissionKey<'a> {
    /// The key of the record that was handled.
    #[default]
    Inherit,
    /// No key.
    None,
    /// This key.
    Bytes(&'a [u8]),
}

/// What a function says of an event that it emits. What is not given is filled in by the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmissionFields<'a> {
    /// The output's name in the manifest; empty for `default`.
    pub output: &'a str,
    /// The record's key.
    pub key: EmissionKey<'a>,
    /// `id`.
    pub id: Option<&'a str>,
    /// `source`.
    pub source: Option<&'a str>,
    /// `type`.
    pub type_: Option<&'a str>,
    /// `subject`.
    pub subject: Option<&'a str>,
    /// `time`, RFC 3339.
    pub time: Option<&'a str>,
    /// `datacontenttype`.
    pub datacontenttype: Option<&'a str>,
    /// `dataschema`.
    pub dataschema: Option<&'a str>,
    /// Extension attributes.
    pub extensions: &'a [(&'a str, &'a str)],
    /// Kafka headers besides those of the event.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// The data; none makes a tombstone.
    pub data: Option<&'a [u8]>,
}

const KEY_INHERIT: u32 = 0;
const KEY_NONE: u32 = 1;
const KEY_BYTES: u32 = 2;

/// How many optional texts an emission has: id, source, type, subject, time, datacontenttype and dataschema.
const TEXTS: usize = 7;
/// What they are encoded as where none is given, as in most emissions.
const NO_TEXTS: [u8; 4 * TEXTS] = [0xff; 4 * TEXTS];

pub(crate) fn write(out: &mut Vec<u8>, fields: &EmissionFields<'_>) {
    let start = out.len();
    put_u32(out, 0);
    let (kind, key) = match fields.key {
        EmissionKey::Inherit => (KEY_INHERIT, &[][..]),
        EmissionKey::None => (KEY_NONE, &[][..]),
        EmissionKey::Bytes(key) => (KEY_BYTES, key),
    };
    put_u32(out, kind);
    put_bytes(out, fields.output.as_bytes());
    put_bytes(out, key);
    put_optional_bytes(out, fields.data);
    let texts = [
        fields.id,
        fields.source,
        fields.type_,
        fields.subject,
        fields.time,
        fields.datacontenttype,
        fields.dataschema,
    ];
    if texts.iter().all(Option::is_none) {
        out.extend_from_slice(&NO_TEXTS);
    } else {
        texts.iter().for_each(|text| put_optional_bytes(out, text.map(str::as_bytes)));
    }
    put_u32(out, fields.extensions.len() as u32);
    for (name, value) in fields.extensions {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    put_u32(out, fields.headers.len() as u32);
    for (name, value) in fields.headers {
        put_bytes(out, name.as_bytes());
        put_optional_bytes(out, *value);
    }
    let size = (out.len() - start) as u32;
    patch_u32(out, start, size);
}

/// An emission, checked.
#[derive(Debug, Clone, Copy)]
pub struct Emission<'a> {
    output: &'a str,
    key: EmissionKey<'a>,
    data: Option<&'a [u8]>,
    /// Checked as a whole, and read as text where one of them is asked for.
    texts: [Option<&'a [u8]>; TEXTS],
    extensions: &'a [u8],
    headers: &'a [u8],
}

impl<'a> Emission<'a> {
    /// Reads the emission at `outer` and moves behind it. Without `check`, its texts were checked before.
    pub(crate) fn read(outer: &mut Cursor<'a>, check: bool) -> Result<Self, LayoutError> {
        let at = outer.at();
        let size = outer.u32("the size of an emission")?;
        let rest = (size as usize).checked_sub(4);
        let rest = rest.ok_or(LayoutError::Impossible { what: "the size of an emission", at })?;
        let mut cursor = Cursor::new(outer.take(rest, "an emission")?);
        let kind = cursor.u32("the kind of key")?;
        let output = cursor.text("output")?;
        let key = cursor.bytes("key")?;
        let key = match kind {
            KEY_INHERIT => EmissionKey::Inherit,
            KEY_NONE => EmissionKey::None,
            KEY_BYTES => EmissionKey::Bytes(key),
            _ => return Err(LayoutError::Impossible { what: "the kind of key", at: 0 }),
        };
        let data = cursor.optional_bytes("data")?;
        let pass_text = |cursor: &mut Cursor<'a>, what| match check {
            true => cursor.text(what).map(str::as_bytes),
            false => cursor.bytes(what),
        };
        let mut texts = [None; TEXTS];
        if !cursor.skip(&NO_TEXTS) {
            for text in &mut texts {
                *text = match check {
                    true => optional_text(&mut cursor, "attribute")?.map(str::as_bytes),
                    false => cursor.optional_bytes("attribute")?,
                };
            }
        }
        let count = cursor.u32("extensions")?;
        let extensions = cursor.rest();
        for _ in 0..count {
            pass_text(&mut cursor, "an extension's name")?;
            pass_text(&mut cursor, "an extension's value")?;
        }
        let extensions = &extensions[..extensions.len() - cursor.rest().len()];
        let count = cursor.u32("headers")?;
        let headers = cursor.rest();
        for _ in 0..count {
            pass_text(&mut cursor, "a header's name")?;
            cursor.optional_bytes("a header's value")?;
        }
        if !cursor.is_at_end() {
            return Err(LayoutError::Impossible { what: "the size of an emission", at });
        }
        Ok(Self { output, key, data, texts, extensions, headers })
    }

    /// The optional text at `index`.
    fn text(&self, index: usize) -> Option<&'a str> {
        // Checked when it was read.
        std::str::from_utf8(self.texts[index]?).ok()
    }

    /// The output's name: `default` where the function gave none.
    pub fn output(&self) -> &'a str {
        if self.output.is_empty() { DEFAULT_OUTPUT } else { self.output }
    }

    /// The record's key.
    pub fn key(&self) -> EmissionKey<'a> {
        self.key
    }

    /// The key of the record that is written, where the record that was handled has the key `inherited`: without one of its
    /// own an event has the one that its `partitionkey` says.
    pub fn record_key<'b>(&self, inherited: Option<&'b [u8]>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self.key {
            EmissionKey::Bytes(key) => Some(key),
            EmissionKey::None => None,
            EmissionKey::Inherit => {
                let partition_key = self.extensions().find(|(name, _)| *name == PARTITION_KEY);
                partition_key.map(|(_, value)| value.as_bytes()).or(inherited)
            }
        }
    }

    /// The data; none makes a tombstone.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.data
    }

    /// `id`.
    pub fn id(&self) -> Option<&'a str> {
        self.text(0)
    }

    /// `source`.
    pub fn source(&self) -> Option<&'a str> {
        self.text(1)
    }

    /// `type`.
    pub fn type_(&self) -> Option<&'a str> {
        self.text(2)
    }

    /// `subject`.
    pub fn subject(&self) -> Option<&'a str> {
        self.text(3)
    }

    /// `time`, RFC 3339.
    pub fn time(&self) -> Option<&'a str> {
        self.text(4)
    }

    /// `datacontenttype`.
    pub fn datacontenttype(&self) -> Option<&'a str> {
        self.text(5)
    }

    /// `dataschema`.
    pub fn dataschema(&self) -> Option<&'a str> {
        self.text(6)
    }

    /// Extension attributes in order.
    pub fn extensions(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor::new(self.extensions);
        // Checked when it was read: a failure can only be the end.
        std::iter::from_fn(move || Some((cursor.text("extension").ok()?, cursor.text("extension").ok()?)))
    }

    /// The attributes that CloudEvents itself names, as far as they were given.
    pub fn core_attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let names = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];
        let emission = *self;
        names.into_iter().enumerate().filter_map(move |(index, name)| Some((name, emission.text(index)?)))
    }

    /// All attributes that were given: those of CloudEvents itself, then the extensions.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.core_attributes().chain(self.extensions())
    }

    /// Kafka headers in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.headers);
        std::iter::from_fn(move || Some((cursor.text("header").ok()?, cursor.optional_bytes("header").ok()?)))
    }
}
