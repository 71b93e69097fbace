//! Names that users choose and digests that we compute, as newtypes: once one exists it is valid.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a function: `[a-z][a-z0-9-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct FunctionName(Arc<str>);

/// Why a text is not a function name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a function name: it must start with a lower-case letter, hold only a-z, 0-9 and \"-\", \
     and have at most 63 characters"
)]
pub(crate) struct InvalidName(String);

impl FunctionName {
    /// The longest name, in characters: a label of the domain name system.
    pub(crate) const MAX_LEN: usize = 63;

    pub(crate) fn new(name: &str) -> Result<Self, InvalidName> {
        let mut characters = name.bytes();
        let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase());
        let goes_on_well = characters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if starts_well && goes_on_well && name.len() <= Self::MAX_LEN {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName(name.chars().take(80).collect()))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The consumer group of the function's shards, on every host.
    pub(crate) fn group_id(&self) -> String {
        format!("millstream.{self}")
    }

    /// The group whose offsets say how far the shadow with this number is. No one joins it.
    pub(crate) fn shadow_group_id(&self, number: RevisionNumber) -> String {
        format!("millstream.{self}.shadow.{number}")
    }
}

impl TryFrom<String> for FunctionName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(&name)
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", &*self.0)
    }
}

/// The number of a function's revision: 1 for the first deploy, one more for each after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RevisionNumber(pub u64);

impl fmt::Display for RevisionNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The SHA-256 digest of a Wasm artifact, written `sha256:<64 hexadecimal digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ArtifactDigest([u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a digest: expected \"sha256:\" and 64 hexadecimal digits")]
pub(crate) struct InvalidDigest(String);

impl ArtifactDigest {
    /// The digest of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Only the hexadecimal digits: a safe file name and record key.
    pub(crate) fn hex(&self) -> String {
        use fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

impl TryFrom<String> for ArtifactDigest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        let invalid = || InvalidDigest(text.chars().take(80).collect());
        let hex = text.strip_prefix("sha256:").ok_or_else(invalid)?;
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(invalid());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(digest))
    }
}

impl From<ArtifactDigest> for String {
    fn from(digest: ArtifactDigest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for ArtifactDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "enrich-bid", "x1", &"a".repeat(63)] {
            assert!(FunctionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(FunctionName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_survive_their_text() {
        let digest = ArtifactDigest::of(b"millstream");
        assert_eq!(ArtifactDigest::try_from(digest.to_string()), Ok(digest));
        assert!(ArtifactDigest::try_from("sha256:12".to_owned()).is_err());
        assert!(ArtifactDigest::try_from(format!("sha256:{}", "é".repeat(32))).is_err());
    }
}
