//! An event that a guest emitted, as `millstream test` compares and prints it.

use std::collections::BTreeMap;

use millstream_flat::Emission;

/// How attributes begin that only a host sets: it leaves those of guests out.
const MILLSTREAM: &str = "millstream";

/// An event that a guest emitted. A host fills in what the guest left open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalEmission {
    /// The name of the output.
    pub(crate) output: String,
    /// The key; that of the input record where the guest set none of its own.
    pub(crate) key: Option<Vec<u8>>,
    /// The context attributes that are set, by name: `id`, `source`, `type`, `subject` … and extensions.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Headers beside the attributes, in order.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) data: Option<Vec<u8>>,
}

impl LocalEmission {
    /// What a host would publish of `emission`, which the guest emitted for a record with the key `input_key`.
    pub(crate) fn of(emission: &Emission<'_>, input_key: Option<&[u8]>) -> Self {
        let attributes = emission.attributes().filter(|(name, _)| !name.starts_with(MILLSTREAM));
        Self {
            output: emission.output().to_owned(),
            key: emission.record_key(input_key).map(<[u8]>::to_vec),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: emission.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
            data: emission.data().map(<[u8]>::to_vec),
        }
    }
}
