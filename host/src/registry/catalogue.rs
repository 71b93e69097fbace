//! Everything that the log says, folded: the newest record of each function.

use std::collections::BTreeMap;

use crate::model::function::SharedRevision;
use crate::model::function_table::FunctionTable;
use crate::model::ids::{ArtifactDigest, FunctionName};
use crate::registry::record::{FunctionRecord, RecordError};

pub(crate) use crate::registry::record::{ArtifactPlace, StoredRevision};

/// The state of the log up to an offset.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FunctionCatalogue {
    functions: BTreeMap<FunctionName, FunctionRecord>,
    /// Records that this host does not understand. It leaves them alone and runs nothing of them.
    unreadable: BTreeMap<FunctionName, RecordError>,
    /// The offset after the last record applied; 0 where the log has none.
    pub(crate) next_offset: i64,
}

impl FunctionCatalogue {
    /// Takes in one record of the log, or a tombstone. Keys that are not a function's name are not ours.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(name) = std::str::from_utf8(key).ok().and_then(|name| FunctionName::new(name).ok()) else {
            tracing::warn!(key = %String::from_utf8_lossy(key), "the registry holds a key that is not a function's name");
            return;
        };
        self.functions.remove(&name);
        self.unreadable.remove(&name);
        match value.map(FunctionRecord::decode) {
            None => {}
            Some(Ok(record)) => {
                self.functions.insert(name, record);
            }
            Some(Err(error)) => {
                tracing::error!(function = %name, %error, "this host cannot run the function");
                self.unreadable.insert(name, error);
            }
        }
    }

    pub(crate) fn get(&self, name: &FunctionName) -> Option<&FunctionRecord> {
        self.functions.get(name)
    }

    /// Why the record of `name` cannot be used, when it is there but cannot.
    pub(crate) fn unreadable(&self, name: &FunctionName) -> Option<&RecordError> {
        self.unreadable.get(name)
    }

    /// The live revisions by name.
    pub(crate) fn live(&self) -> impl Iterator<Item = &SharedRevision> {
        self.functions.values().map(|record| &record.live().revision)
    }

    /// Where the artifact `digest` lies, when a kept revision names it.
    pub(crate) fn artifact(&self, digest: ArtifactDigest) -> Option<ArtifactPlace> {
        self.artifacts().find(|(known, _)| *known == digest).map(|(_, place)| place)
    }

    /// The artifacts that kept revisions name, some perhaps more than once.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = (ArtifactDigest, ArtifactPlace)> {
        self.functions.values().flat_map(FunctionRecord::artifacts)
    }

    /// The artifacts that no one names any more once the record of `name` is `next`.
    pub(crate) fn forgotten(
        &self,
        name: &FunctionName,
        next: Option<&FunctionRecord>,
    ) -> BTreeMap<ArtifactDigest, ArtifactPlace> {
        let mut forgotten: BTreeMap<_, _> =
            self.functions.get(name).into_iter().flat_map(FunctionRecord::artifacts).collect();
        let others = self.functions.iter().filter(|(other, _)| *other != name).map(|(_, record)| record);
        for (digest, _) in others.chain(next).flat_map(FunctionRecord::artifacts) {
            forgotten.remove(&digest);
        }
        // A record that cannot be read may name any artifact.
        if self.unreadable.is_empty() { forgotten } else { BTreeMap::new() }
    }

    pub(crate) fn table(&self) -> FunctionTable {
        FunctionTable {
            functions: self.functions.iter().map(|(name, record)| (name.clone(), record.wanted())).collect(),
        }
    }
}
