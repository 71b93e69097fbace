//! A function's record: its newest revisions and where their artifacts lie, as versioned JSON.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::model::function::Revision;
use crate::model::function_table::DesiredState;
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::shadow::ShadowRevision;

/// How many revisions a record keeps at most.
pub(crate) const KEPT_REVISIONS: usize = 10;
/// Kafka takes no record above 1 MB by default; older revisions give way to a large manifest.
const MAX_RECORD_BYTES: usize = 512 * 1024;
/// The version of the JSON below. A host refuses to touch records of a version that it does not know.
const VERSION: u32 = 3;
/// The version before, and of every record that never had a shadow since its live revision: its hosts would lose one.
const WITHOUT_SHADOW: u32 = 2;
/// The first version, and of every record that has no course either: its hosts know none, and would run a paused function.
const WITHOUT_COURSE: u32 = 1;

/// What the registry keeps of one function. There is at least one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunctionRecord {
    /// Oldest first; the last one is live.
    revisions: Vec<StoredRevision>,
    course: DesiredCourse,
    shadow: Option<StoredShadow>,
    /// The highest number that a revision of the function was ever given: that of a shadow that is gone, perhaps.
    given: RevisionNumber,
}

/// A revision that runs beside the live one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredShadow {
    pub(crate) stored: StoredRevision,
    /// Attributes and headers in which a difference does not count.
    pub(crate) ignore: Vec<String>,
}

/// What is wanted of a function beside its revision. A new revision leaves it as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DesiredCourse {
    /// Whether it takes nothing of its partitions.
    #[serde(default)]
    pub(crate) paused: bool,
    /// A reset that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reset: Option<PendingReset>,
}

/// A reset that is under way: the function's group is to be empty meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingReset {
    /// Distinguishes it from every other.
    pub(crate) id: u64,
    /// When the hosts continue, even if it never ends: milliseconds since the Unix epoch.
    pub(crate) until_ms: u64,
}

/// A revision and where its artifact lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredRevision {
    pub(crate) revision: Arc<Revision>,
    /// Where to find the module.
    pub(crate) artifact: ArtifactPlace,
    /// The revision whose manifest and module this one has again, when it was made by rolling back.
    pub(crate) restores: Option<RevisionNumber>,
}

/// Where an artifact lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ArtifactPlace {
    Chunks {
        /// The offset of the first chunk. The others follow it.
        start: i64,
        count: u32,
    },
    /// In a file named by its digest.
    File,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// Made by a later Millstream.
    #[error("its record has version {0}, this host knows {VERSION}: use a host of the version that deployed it")]
    Version(u32),
    #[error("its record cannot be read: {0}")]
    Invalid(String),
    /// The manifest alone is too large.
    #[error("its record would have {0} bytes, at most {MAX_RECORD_BYTES} are kept: make the manifest smaller")]
    TooLarge(usize),
}

impl FunctionRecord {
    pub(crate) fn live(&self) -> &StoredRevision {
        // Neither `with` nor `decode` makes a record without one.
        &self.revisions[self.revisions.len() - 1]
    }

    /// The kept revisions, oldest first; the last one is live.
    pub(crate) fn revisions(&self) -> &[StoredRevision] {
        &self.revisions
    }

    /// The kept revision with this number.
    pub(crate) fn find(&self, number: RevisionNumber) -> Option<&StoredRevision> {
        self.revisions.iter().find(|stored| stored.revision.number == number)
    }

    /// The revision that was live before the live one, when it is kept.
    pub(crate) fn previous(&self) -> Option<&StoredRevision> {
        self.revisions.iter().rev().nth(1)
    }

    /// What is wanted beside the live revision.
    pub(crate) fn course(&self) -> DesiredCourse {
        self.course
    }

    /// The JSON of this record on another course.
    pub(crate) fn on_course(&self, course: DesiredCourse) -> Vec<u8> {
        Self { course, ..self.clone() }.encode()
    }

    pub(crate) fn wanted(&self) -> DesiredState {
        let DesiredCourse { paused, reset } = self.course;
        let aside_until = reset.map(|reset| UNIX_EPOCH + Duration::from_millis(reset.until_ms));
        let shadow = self.shadow.as_ref().map(|shadow| ShadowRevision {
            revision: Arc::clone(&shadow.stored.revision),
            ignore: shadow.ignore.clone().into(),
            beside: self.revisions.iter().map(|stored| Arc::clone(&stored.revision)).collect(),
        });
        DesiredState { revision: Arc::clone(&self.live().revision), paused, aside_until, shadow }
    }

    /// The revision that runs beside the live one.
    pub(crate) fn shadow(&self) -> Option<&StoredShadow> {
        self.shadow.as_ref()
    }

    /// The record with this shadow, or without one, and its JSON.
    pub(crate) fn shadowed_by(&self, shadow: Option<StoredShadow>) -> Result<(Self, Vec<u8>), RecordError> {
        let number = shadow.as_ref().map_or(self.given, |shadow| shadow.stored.revision.number);
        Self { shadow, given: number.max(self.given), ..self.clone() }.fitting()
    }

    /// The record after `next` went live, as short as it must be to be kept, and its JSON.
    pub(crate) fn with(previous: Option<&Self>, next: StoredRevision) -> Result<(Self, Vec<u8>), RecordError> {
        let (mut revisions, course, shadow, given) = match previous.cloned() {
            Some(Self { revisions, course, shadow, given }) => (revisions, course, shadow, given),
            None => (Vec::new(), DesiredCourse::default(), None, next.revision.number),
        };
        let given = given.max(next.revision.number);
        revisions.push(next);
        let surplus = revisions.len().saturating_sub(KEPT_REVISIONS);
        revisions.drain(..surplus);
        Self { revisions, course, shadow, given }.fitting()
    }

    /// The record without the revisions for which there is no room, and its JSON.
    fn fitting(mut self) -> Result<(Self, Vec<u8>), RecordError> {
        loop {
            let json = self.encode();
            if json.len() <= MAX_RECORD_BYTES {
                return Ok((self, json));
            }
            if self.revisions.len() == 1 {
                return Err(RecordError::TooLarge(json.len()));
            }
            self.revisions.remove(0);
        }
    }

    /// The number of the revision that comes after `previous`.
    pub(crate) fn next_number(previous: Option<&Self>) -> RevisionNumber {
        RevisionNumber(previous.map_or(0, |record| record.given.0) + 1)
    }

    /// The kept artifacts, some perhaps twice.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = (ArtifactDigest, ArtifactPlace)> {
        let shadow = self.shadow.iter().map(|shadow| &shadow.stored);
        self.revisions.iter().chain(shadow).map(|stored| (stored.revision.digest, stored.artifact))
    }

    pub(crate) fn decode(json: &[u8]) -> Result<Self, RecordError> {
        let invalid = |error: serde_json::Error| RecordError::Invalid(error.to_string());
        let VersionedRecord { version } = serde_json::from_slice(json).map_err(invalid)?;
        if !(WITHOUT_COURSE..=VERSION).contains(&version) {
            return Err(RecordError::Version(version));
        }
        let stored: OnWire = serde_json::from_slice(json).map_err(invalid)?;
        let Some(live) = stored.revisions.last().map(|entry| entry.revision.number) else {
            return Err(RecordError::Invalid("it holds no revision".to_owned()));
        };
        let shadow = stored.shadow.map(|shadow| StoredShadow { stored: shadow.entry.into(), ignore: shadow.ignore });
        Ok(Self {
            course: stored.course,
            shadow,
            given: stored.given.unwrap_or(live),
            revisions: stored.revisions.into_iter().map(StoredRevision::from).collect(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let entry = |stored: &StoredRevision| {
            serde_json::json!({
                "revision": stored.revision.as_ref(),
                "artifact": stored.artifact,
                "restores": stored.restores,
            })
        };
        let revisions: Vec<_> = self.revisions.iter().map(entry).collect();
        let mut record = serde_json::json!({ "version": WITHOUT_COURSE, "revisions": revisions });
        if self.course != DesiredCourse::default() {
            record["version"] = WITHOUT_SHADOW.into();
            record["course"] = serde_json::json!(self.course);
        }
        if self.shadow.is_some() || self.given > self.live().revision.number {
            record["version"] = VERSION.into();
            record["given"] = serde_json::json!(self.given);
            record["shadow"] = match &self.shadow {
                Some(StoredShadow { stored, ignore }) => {
                    serde_json::json!({ "entry": entry(stored), "ignore": ignore })
                }
                None => serde_json::Value::Null,
            };
        }
        record.to_string().into_bytes()
    }
}

#[derive(Deserialize)]
struct VersionedRecord {
    version: u32,
}

#[derive(Deserialize)]
struct OnWire {
    revisions: Vec<EntryOnWire>,
    #[serde(default)]
    course: DesiredCourse,
    #[serde(default)]
    shadow: Option<ShadowOnWire>,
    #[serde(default)]
    given: Option<RevisionNumber>,
}

#[derive(Deserialize)]
struct EntryOnWire {
    revision: Revision,
    artifact: ArtifactPlace,
    #[serde(default)]
    restores: Option<RevisionNumber>,
}

#[derive(Deserialize)]
struct ShadowOnWire {
    entry: EntryOnWire,
    ignore: Vec<String>,
}

impl From<EntryOnWire> for StoredRevision {
    fn from(EntryOnWire { revision, artifact, restores }: EntryOnWire) -> Self {
        Self { revision: Arc::new(revision), artifact, restores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tests::revision;

    fn stored(number: u64) -> StoredRevision {
        let revision = revision("thing", number, b"module");
        StoredRevision {
            revision: Arc::new(revision),
            artifact: ArtifactPlace::Chunks { start: 7, count: 2 },
            restores: Some(RevisionNumber(1)).filter(|_| number > 1),
        }
    }

    #[test]
    fn a_record_survives_its_json() {
        let (first, _) = FunctionRecord::with(None, stored(1)).unwrap();
        let (second, json) = FunctionRecord::with(Some(&first), stored(2)).unwrap();
        assert_eq!(FunctionRecord::decode(&json), Ok(second.clone()));
        assert_eq!(FunctionRecord::next_number(Some(&second)), RevisionNumber(3));
        assert_eq!(second.previous(), first.find(RevisionNumber(1)));
        assert_eq!((first.previous(), second.find(RevisionNumber(3))), (None, None));
    }

    #[test]
    fn records_of_the_first_hosts_know_no_rollbacks() {
        let (_, json) = FunctionRecord::with(None, stored(2)).unwrap();
        let mut older: serde_json::Value = serde_json::from_slice(&json).unwrap();
        older["revisions"][0].as_object_mut().unwrap().remove("restores");
        let record = FunctionRecord::decode(older.to_string().as_bytes()).unwrap();
        assert_eq!(record.live().restores, None);
    }

    #[test]
    fn a_course_survives_its_json_and_every_new_revision() {
        let (first, plain) = FunctionRecord::with(None, stored(1)).unwrap();
        let reset = Some(PendingReset { id: 7, until_ms: 1000 });
        let json = first.on_course(DesiredCourse { paused: true, reset });
        let paused = FunctionRecord::decode(&json).unwrap();
        let (second, json) = FunctionRecord::with(Some(&paused), stored(2)).unwrap();
        assert_eq!(second.course(), DesiredCourse { paused: true, reset });
        assert_eq!(FunctionRecord::decode(&json), Ok(second.clone()));
        assert!(second.wanted().paused && second.wanted().aside_for().is_none(), "it is over since 1970");

        let version = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap()["version"].clone();
        assert_eq!((version(&plain), version(&json)), (1.into(), 2.into()), "hosts that know no course keep away");
        assert_eq!(version(&second.on_course(DesiredCourse::default())), 1);
    }

    #[test]
    fn a_shadow_survives_its_json_and_its_number_is_never_given_again() {
        let version = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap()["version"].clone();
        let (first, _) = FunctionRecord::with(None, stored(1)).unwrap();
        let shadow = StoredShadow { stored: stored(2), ignore: vec!["time".to_owned()] };
        let (shadowed, json) = first.shadowed_by(Some(shadow.clone())).unwrap();
        assert_eq!(FunctionRecord::decode(&json), Ok(shadowed.clone()));
        assert_eq!((version(&json), shadowed.live().revision.number), (3.into(), RevisionNumber(1)));
        let wanted = shadowed.wanted().shadow.unwrap();
        assert_eq!((wanted.revision.number, &wanted.ignore[..]), (RevisionNumber(2), &["time".to_owned()][..]));
        assert_eq!(shadowed.artifacts().count(), 2, "its module is kept too");

        let (third, _) = FunctionRecord::with(Some(&shadowed), stored(3)).unwrap();
        assert_eq!(third.shadow(), Some(&shadow), "a deploy leaves it alone");
        let (gone, json) = shadowed.shadowed_by(None).unwrap();
        assert_eq!(FunctionRecord::decode(&json), Ok(gone.clone()));
        assert_eq!((gone.shadow(), FunctionRecord::next_number(Some(&gone))), (None, RevisionNumber(3)));
        let (later, json) = FunctionRecord::with(Some(&gone), stored(3)).unwrap();
        assert_eq!((version(&json), later.shadow()), (1.into(), None), "any host may have it again");
    }

    #[test]
    fn only_the_newest_revisions_are_kept() {
        let mut record = None;
        for number in 1..=13 {
            record = Some(FunctionRecord::with(record.as_ref(), stored(number)).unwrap().0);
        }
        let record = record.unwrap();
        assert_eq!(record.revisions.len(), KEPT_REVISIONS);
        assert_eq!(record.revisions[0].revision.number, RevisionNumber(4));
        assert_eq!(record.live().revision.number, RevisionNumber(13));
    }

    #[test]
    fn large_manifests_push_older_revisions_out() {
        let large = |number| {
            let mut revision = revision("thing", number, b"module");
            revision.manifest.env.insert("LARGE".to_owned(), "x".repeat(300 * 1024));
            StoredRevision { revision: Arc::new(revision), artifact: ArtifactPlace::File, restores: None }
        };
        let (first, _) = FunctionRecord::with(None, large(1)).unwrap();
        let (second, json) = FunctionRecord::with(Some(&first), large(2)).unwrap();
        assert_eq!(second.revisions.len(), 1);
        assert!(json.len() <= MAX_RECORD_BYTES);
    }

    #[test]
    fn other_versions_and_garbage_are_refused() {
        assert_eq!(FunctionRecord::decode(br#"{"version":9}"#), Err(RecordError::Version(9)));
        assert!(matches!(FunctionRecord::decode(b"{"), Err(RecordError::Invalid(_))));
        assert!(matches!(FunctionRecord::decode(br#"{"version":1,"revisions":[]}"#), Err(RecordError::Invalid(_))));
    }
}
