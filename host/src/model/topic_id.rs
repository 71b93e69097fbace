//! The identity that Kafka gives each topic at its creation: what distinguishes a topic from another of the same name.

/// A topic's identity. No two topics of a cluster ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicId([u8; 16]);

impl TopicId {
    /// What brokers that know no identities say.
    const UNKNOWN: [u8; 16] = [0; 16];

    /// The identity of these bytes; none where they say that it is not known.
    pub(crate) fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != Self::UNKNOWN).then_some(Self(bytes))
    }

    /// Its bytes, most significant first; [`Self::new`] reads them, and those of nothing, back.
    pub(crate) fn to_bytes(id: Option<Self>) -> [u8; 16] {
        id.map_or(Self::UNKNOWN, |id| id.0)
    }
}
