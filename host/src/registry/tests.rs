//! The registry on a folder, with a cluster that only remembers what it was asked.

use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::config::manifest::from_toml;
use crate::config::offset_target::OffsetTarget;
use crate::error_code::ErrorCode;
use crate::kafka::admin::PartitionBounds;
use crate::model::function::{Manifest, ModuleShape, Revision};
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::model::position::TopicPartition;
use crate::registry::RegistryReadiness;
use crate::registry::catalogue_view::CatalogueWriter;
use crate::registry::cluster::{ClusterAdmin, ClusterError, OffsetMove, PartitionSelection};
use crate::registry::folder_log::FolderLog;
use crate::registry::inspect::{ModuleInspector, ModuleRefused};
use crate::registry::{
    ArtifactError, ChangeError, LiveExpectation, RegistryHandle, RegistryParts, ResetOrder, publication,
};

/// A revision of a function.
pub(crate) fn revision(name: &str, number: u64, module: &[u8]) -> Revision {
    Revision {
        number: RevisionNumber(number),
        digest: ArtifactDigest::of(module),
        module_bytes: module.len() as u64,
        shape: ModuleShape::MillstreamBatch,
        manifest: manifest(name, ""),
        deployed_at_ms: 0,
    }
}

/// A manifest with `more` keys.
pub(crate) fn manifest(name: &str, more: &str) -> Manifest {
    from_toml(&format!("name = \"{name}\"\ntopics = [\"in\"]\n{more}\n")).unwrap()
}

/// Takes every module but those that start with `bad`.
pub(crate) struct Trusting;

impl ModuleInspector for Trusting {
    fn check(&self, _: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ModuleShape, ModuleRefused>> {
        let is_bad = module.starts_with(b"bad");
        let reason = "it starts with \"bad\"".to_owned();
        let refused = || Err(ModuleRefused { code: ErrorCode::ModuleRefused, reason });
        Box::pin(async move { if is_bad { refused() } else { Ok(ModuleShape::MillstreamBatch) } })
    }
}

/// Returns whether the hosts of a function stand aside.
type AreAside = Box<dyn Fn(&FunctionName) -> bool + Send>;

/// Remembers what it was asked.
#[derive(Default)]
pub(crate) struct Remembering {
    asked: Mutex<Vec<String>>,
    /// Whether hosts were asked to step aside.
    aside: Mutex<Option<AreAside>>,
}

impl Remembering {
    fn note(&self, what: &str, name: &FunctionName) -> BoxFuture<'_, Result<(), ClusterError>> {
        self.asked.lock().push(format!("{what} {name}"));
        Box::pin(async { Ok(()) })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }
}

impl ClusterAdmin for Remembering {
    fn make_topics<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>> {
        self.note("topics", &manifest.name)
    }

    fn store_start_offsets<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), ClusterError>> {
        self.note("offsets", &manifest.name)
    }

    fn plan_moves<'a>(
        &'a self,
        manifest: &'a Manifest,
        order: &'a ResetOrder,
    ) -> BoxFuture<'a, Result<Vec<OffsetMove>, ClusterError>> {
        self.asked.lock().push(format!("plan {}", manifest.name));
        let OffsetTarget::Offset(offset) = order.to else {
            return Box::pin(async { Err(ClusterError::Selection("no offset".to_owned())) });
        };
        let to = PartitionBounds { partition: TopicPartition::new("in", 0), beginning: 0, end: 10, offset };
        Box::pin(async { Ok(vec![OffsetMove { to, from: Some(4) }]) })
    }

    fn move_offsets<'a>(
        &'a self,
        name: &'a FunctionName,
        _: &'a [OffsetMove],
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        let aside = self.aside.lock().as_ref().map(|is_aside| is_aside(name));
        assert_ne!(aside, Some(false), "the hosts were told first");
        self.note("move", name)
    }

    fn has_members<'a>(&'a self, _: &'a FunctionName) -> BoxFuture<'a, Result<bool, ClusterError>> {
        Box::pin(async { Ok(false) })
    }

    fn begin_shadow<'a>(
        &'a self,
        live: &'a Manifest,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        self.note(&format!("begin shadow {number} of"), &live.name)
    }

    fn end_shadow<'a>(
        &'a self,
        name: &'a FunctionName,
        number: RevisionNumber,
    ) -> BoxFuture<'a, Result<(), ClusterError>> {
        self.note(&format!("end shadow {number} of"), name)
    }

    fn delete_group<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Result<(), ClusterError>> {
        self.note("group", name)
    }
}

pub(crate) fn open(folder: &Path) -> (RegistryHandle, Arc<Remembering>) {
    let (publication, view) = publication();
    let log = Arc::new(FolderLog::open(&folder.join("registry"), publication).unwrap());
    let cluster = Arc::new(Remembering::default());
    let parts = RegistryParts {
        log,
        view,
        cluster: Arc::clone(&cluster) as Arc<dyn ClusterAdmin>,
        inspect: Arc::new(Trusting),
        cache_folder: folder.join("artifacts"),
    };
    (RegistryHandle::new(parts).unwrap(), cluster)
}

fn name(name: &str) -> FunctionName {
    FunctionName::new(name).unwrap()
}

const MODULE: Bytes = Bytes::from_static(b"module");

#[tokio::test]
async fn what_is_deployed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _) = open(folder.path());
    let first = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    assert!(first.created);
    let second = registry.deploy(manifest("mill", "concurrency = 3"), MODULE, None).await.unwrap();
    assert!(!second.created);
    assert_eq!(second.revision.number, RevisionNumber(2));
    drop(registry);

    let (registry, _) = open(folder.path());
    assert_eq!(registry.readiness(), RegistryReadiness::Ready);
    assert_eq!(registry.get(&name("mill")), Some(second.revision.clone()));
    assert_eq!(registry.artifact(&second.revision).await.unwrap(), MODULE);
    assert_eq!(registry.table().borrow().functions.len(), 1);
}

#[tokio::test]
async fn the_same_deploy_again_makes_no_revision() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let first = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    assert_eq!(cluster.asked(), ["topics mill", "offsets mill"]);
    let mut table = registry.table();
    table.mark_unchanged();
    let again = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    assert_eq!(again.revision, first.revision);
    assert!(!again.created);
    assert_eq!(cluster.asked(), ["topics mill"], "they may have been deleted since");
    assert!(!table.has_changed().unwrap());
}

#[tokio::test]
async fn a_redeploy_leaves_the_groups_offsets_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    cluster.asked();
    registry.deploy(manifest("mill", ""), Bytes::from_static(b"other"), None).await.unwrap();
    assert_eq!(cluster.asked(), ["topics mill"]);
}

#[tokio::test]
async fn of_two_changes_of_one_revision_the_second_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _) = open(folder.path());
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    let seen = Some(LiveExpectation::Revision(RevisionNumber(1)));
    let (one, other) = tokio::join!(
        registry.deploy(manifest("mill", "concurrency = 1"), MODULE, seen),
        registry.deploy(manifest("mill", "concurrency = 2"), MODULE, seen),
    );
    let lost = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(lost.as_slice(), [ChangeError::Precondition { live: Some(RevisionNumber(2)), .. }]), "{lost:?}");

    let missing = registry.deploy(manifest("new", ""), MODULE, Some(LiveExpectation::Exists)).await;
    assert!(matches!(missing, Err(ChangeError::Precondition { live: None, .. })));
}

#[tokio::test]
async fn an_earlier_revision_comes_back_as_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let mill = name("mill");
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    registry.deploy(manifest("mill", "concurrency = 3"), Bytes::from_static(b"other"), None).await.unwrap();
    cluster.asked();

    let back = registry.rollback(&mill, None, None).await.unwrap().revision;
    assert_eq!((back.number, back.digest), (RevisionNumber(3), ArtifactDigest::of(&MODULE)));
    assert_eq!(back.manifest, manifest("mill", ""));
    assert_eq!(cluster.asked(), ["topics mill"], "its place in the topics stays");
    let kept = registry.revisions(&mill).unwrap();
    assert_eq!(kept.iter().map(|stored| stored.restores).collect::<Vec<_>>(), [None, None, Some(RevisionNumber(1))]);

    let same = registry.rollback(&mill, Some(RevisionNumber(1)), None).await.unwrap().revision;
    assert_eq!(same.number, RevisionNumber(3), "it is what is live");
    let forth =
        registry.rollback(&mill, None, Some(LiveExpectation::Revision(RevisionNumber(3)))).await.unwrap().revision;
    assert_eq!((forth.number, forth.manifest.concurrency), (RevisionNumber(4), 3));

    let lost = registry.rollback(&mill, None, Some(LiveExpectation::Revision(RevisionNumber(3)))).await;
    assert!(matches!(lost, Err(ChangeError::Precondition { live: Some(RevisionNumber(4)), .. })), "{lost:?}");
    let never = registry.rollback(&mill, Some(RevisionNumber(9)), None).await.unwrap_err();
    assert!(never.to_string().contains("kept are 1, 2, 3, 4"), "{never}");
    assert!(matches!(registry.rollback(&name("none"), None, None).await, Err(ChangeError::NotFound(_))));

    let (registry, _) = open(folder.path());
    assert_eq!(registry.revisions(&mill).unwrap()[3].restores, Some(RevisionNumber(2)), "also after a restart");
}

#[tokio::test]
async fn a_first_revision_has_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _) = open(folder.path());
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    let refused = registry.rollback(&name("mill"), None, None).await;
    assert!(matches!(refused, Err(ChangeError::NoRevision { wanted: None, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_manifest_alone_makes_a_revision_of_the_live_module() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let none = registry.change_manifest(manifest("mill", ""), None).await;
    assert!(matches!(none, Err(ChangeError::NotFound(_))));
    let first = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap().revision;
    cluster.asked();
    let seen = Some(LiveExpectation::Revision(RevisionNumber(1)));
    let limits = "[limits]\nmemory = \"256MiB\"";
    let second = registry.change_manifest(manifest("mill", limits), seen).await.unwrap().revision;
    assert_eq!((second.number, second.digest, second.shape), (RevisionNumber(2), first.digest, first.shape));
    assert_eq!(second.manifest.limits.memory, 256 << 20);
    assert_eq!(cluster.asked(), ["topics mill"]);
    let again = registry.change_manifest(manifest("mill", limits), seen).await.unwrap().revision;
    assert_eq!(again.number, RevisionNumber(2), "it is what is live");
    let lost = registry.change_manifest(manifest("mill", ""), seen).await;
    assert!(matches!(lost, Err(ChangeError::Precondition { .. })), "{lost:?}");
}

#[tokio::test]
async fn a_paused_function_stays_so_until_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let mill = name("mill");
    assert!(matches!(registry.set_paused(&mill, true, None).await, Err(ChangeError::NotFound(_))));
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    cluster.asked();
    let is_paused = |registry: &RegistryHandle| registry.table().borrow().functions[&mill].paused;
    assert!(!is_paused(&registry));
    for _ in 0..2 {
        let revision = registry.set_paused(&mill, true, None).await.unwrap();
        assert_eq!(revision.number, RevisionNumber(1), "it is the same revision");
        assert!(is_paused(&registry));
    }
    registry.deploy(manifest("mill", "concurrency = 3"), MODULE, None).await.unwrap();
    registry.rollback(&mill, None, None).await.unwrap();
    assert!(is_paused(&registry), "a new revision does not wake it");
    drop(registry);

    let (registry, _) = open(folder.path());
    assert!(is_paused(&registry), "nor does a restart");
    let old = Some(LiveExpectation::Revision(RevisionNumber(1)));
    assert!(matches!(registry.set_paused(&mill, false, old).await, Err(ChangeError::Precondition { .. })));
    registry.set_paused(&mill, false, None).await.unwrap();
    assert!(!is_paused(&registry));
    assert_eq!(registry.revisions(&mill).unwrap().len(), 3, "nothing else has changed");
}

#[tokio::test]
async fn a_shadow_stays_beside_the_live_revision_until_it_is_promoted() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let mill = name("mill");
    let other = Bytes::from_static(b"other");
    let cast = |registry: &RegistryHandle, more: &str, ignore: &[&str]| {
        let ignore = ignore.iter().map(|name| (*name).to_owned()).collect();
        let (registry, manifest, other) = (registry.clone(), manifest("mill", more), other.clone());
        async move { registry.deploy_shadow(manifest, other, ignore, None).await }
    };
    assert!(
        matches!(cast(&registry, "", &[]).await, Err(ChangeError::NotFound(_))),
        "there is nothing to be beside of"
    );
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    assert!(matches!(registry.promote(&mill, None, None).await, Err(ChangeError::NoShadow(_))));
    assert!(matches!(registry.stop_shadow(&mill, None).await, Err(ChangeError::NoShadow(_))));
    cluster.asked();

    let shadow = cast(&registry, "", &["time"]).await.unwrap();
    assert_eq!((shadow.revision.number, shadow.created), (RevisionNumber(2), true));
    assert_eq!(cluster.asked(), ["begin shadow 2 of mill"], "no topic is made for what is not written");
    assert_eq!(registry.get(&mill).unwrap().number, RevisionNumber(1), "what is live stays so");
    let again = cast(&registry, "", &["time"]).await.unwrap();
    assert_eq!((again.revision.number, again.created), (RevisionNumber(2), false));
    let elsewhere = from_toml("name = \"mill\"\ntopics = [\"elsewhere\"]").unwrap();
    let refused = registry.deploy_shadow(elsewhere, other.clone(), Vec::new(), None).await;
    assert!(matches!(refused, Err(ChangeError::ShadowElsewhere(_))), "{refused:?}");
    assert_eq!(cluster.asked(), Vec::<String>::new());
    drop(registry);

    let (registry, cluster) = open(folder.path());
    let wanted = registry.table().borrow().functions[&mill].clone();
    let kept = wanted.shadow.expect("it is there after a restart");
    assert_eq!((kept.revision.number, wanted.revision.number), (RevisionNumber(2), RevisionNumber(1)));
    assert_eq!(registry.artifact(&kept.revision).await.unwrap(), other);
    let lost = registry.promote(&mill, None, Some(LiveExpectation::Revision(RevisionNumber(7)))).await;
    assert!(matches!(lost, Err(ChangeError::Precondition { .. })), "{lost:?}");
    let other_one = registry.promote(&mill, Some(RevisionNumber(9)), None).await;
    assert!(matches!(other_one, Err(ChangeError::NoShadow(_))), "{other_one:?}");
    let live =
        registry.promote(&mill, None, Some(LiveExpectation::Revision(RevisionNumber(1)))).await.unwrap().revision;
    assert_eq!((live.number, live.digest), (RevisionNumber(2), ArtifactDigest::of(&other)), "it keeps its number");
    assert_eq!(cluster.asked(), ["topics mill"], "its place in the topics stays");
    assert!(registry.shadow(&mill).is_none());

    // The third is a shadow, the fourth a deploy: promoted, the shadow is the fifth.
    assert_eq!(cast(&registry, "concurrency = 2", &[]).await.unwrap().revision.number, RevisionNumber(3));
    registry.deploy(manifest("mill", "concurrency = 3"), MODULE, None).await.unwrap();
    assert!(registry.shadow(&mill).is_some(), "a deploy leaves it alone");
    let live = registry.promote(&mill, None, None).await.unwrap().revision;
    assert_eq!((live.number, live.manifest.concurrency), (RevisionNumber(5), 2));
    assert_eq!(cast(&registry, "", &[]).await.unwrap().revision.number, RevisionNumber(6));
    registry.stop_shadow(&mill, None).await.unwrap();
    assert!(registry.shadow(&mill).is_none());
    let live = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap().revision;
    assert_eq!(live.number, RevisionNumber(7), "no number is given twice");
}

#[tokio::test]
async fn a_reset_sends_the_hosts_aside_and_calls_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let mill = name("mill");
    let order = |to| ResetOrder { selection: PartitionSelection::default(), to };
    let to_seven = || order(OffsetTarget::Offset(7));
    assert!(matches!(registry.reset(&mill, to_seven(), None).await, Err(ChangeError::NotFound(_))));
    registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    registry.set_paused(&mill, true, None).await.unwrap();
    let table = registry.table();
    let is_aside = move |name: &FunctionName| table.borrow().functions[name].aside_for().is_some();
    *cluster.aside.lock() = Some(Box::new(is_aside));
    cluster.asked();

    let moves = registry.reset(&mill, to_seven(), None).await.unwrap();
    assert_eq!((moves[0].from, moves[0].to.offset), (Some(4), 7));
    assert_eq!(cluster.asked(), ["plan mill", "plan mill", "move mill"]);
    let wanted = registry.table().borrow().functions[&mill].clone();
    assert!(wanted.paused && wanted.aside_until.is_none(), "they are called back, and the pause stays");

    let refused = registry.reset(&mill, order(OffsetTarget::Latest), None).await;
    assert!(matches!(refused, Err(ChangeError::Cluster(ClusterError::Selection(_)))), "{refused:?}");
    assert_eq!(cluster.asked(), ["plan mill"], "what can't be done disturbs nobody");
    assert!(registry.table().borrow().functions[&mill].aside_until.is_none());
    let old = Some(LiveExpectation::Revision(RevisionNumber(9)));
    assert!(matches!(registry.reset(&mill, to_seven(), old).await, Err(ChangeError::Precondition { .. })));
}

#[tokio::test]
async fn of_two_first_deploys_that_want_to_be_the_first_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _) = open(folder.path());
    let absent = Some(LiveExpectation::Absent);
    let (one, other) = tokio::join!(
        registry.deploy(manifest("mill", "concurrency = 1"), MODULE, absent),
        registry.deploy(manifest("mill", "concurrency = 2"), MODULE, absent),
    );
    let lost = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(lost.as_slice(), [ChangeError::Precondition { live: Some(RevisionNumber(1)), .. }]), "{lost:?}");
}

#[tokio::test]
async fn a_deleted_function_is_gone_with_its_group_and_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let deployed = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap();
    registry.deploy(manifest("twin", ""), MODULE, None).await.unwrap();
    let stored = folder.path().join("registry/artifacts").join(deployed.revision.digest.hex());

    cluster.asked();
    registry.delete(&name("mill"), None).await.unwrap();
    assert_eq!(cluster.asked(), ["group mill"]);
    assert_eq!(registry.get(&name("mill")), None);
    assert!(stored.exists(), "the twin has the same module");

    registry.delete(&name("twin"), None).await.unwrap();
    assert!(!stored.exists());
    assert!(matches!(registry.delete(&name("twin"), None).await, Err(ChangeError::NotFound(_))));

    let (registry, _) = open(folder.path());
    assert!(registry.list().is_empty());
}

#[tokio::test]
async fn refused_deploys_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, cluster) = open(folder.path());
    let bad = registry.deploy(manifest("mill", ""), Bytes::from_static(b"bad"), None).await;
    assert!(matches!(bad, Err(ChangeError::Module(_))));
    assert!(registry.list().is_empty());
    assert!(cluster.asked().is_empty());
}

#[tokio::test]
async fn damaged_copies_are_fetched_again_and_damaged_artifacts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _) = open(folder.path());
    let revision = registry.deploy(manifest("mill", ""), MODULE, None).await.unwrap().revision;
    let copy = folder.path().join("artifacts").join(revision.digest.hex());
    std::fs::write(&copy, b"rotten").unwrap();
    assert_eq!(registry.artifact(&revision).await.unwrap(), MODULE);
    assert_eq!(std::fs::read(&copy).unwrap(), MODULE);

    std::fs::write(&copy, b"rotten").unwrap();
    std::fs::write(folder.path().join("registry/artifacts").join(revision.digest.hex()), b"rotten").unwrap();
    assert!(matches!(registry.artifact(&revision).await, Err(ArtifactError::Damaged(_))));
}

#[tokio::test]
async fn records_of_a_later_version_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("registry/functions/mill.json");
    std::fs::create_dir_all(record.parent().unwrap()).unwrap();
    std::fs::write(&record, br#"{"version":99}"#).unwrap();
    let (registry, _) = open(folder.path());
    assert!(registry.list().is_empty());
    let refused = registry.deploy(manifest("mill", ""), MODULE, None).await;
    assert!(matches!(refused, Err(ChangeError::Record { .. })));
    assert!(matches!(registry.delete(&name("mill"), None).await, Err(ChangeError::Record { .. })));
    assert_eq!(std::fs::read(&record).unwrap(), br#"{"version":99}"#);
}

/// A registry whose log no one has read, for as long as its first half lives.
pub(crate) fn unread(folder: &Path) -> (CatalogueWriter, RegistryHandle) {
    let (unread, view) = publication();
    let (elsewhere, _) = publication();
    let parts = RegistryParts {
        log: Arc::new(FolderLog::open(&folder.join("unread"), elsewhere).unwrap()),
        view,
        cluster: Arc::new(Remembering::default()),
        inspect: Arc::new(Trusting),
        cache_folder: folder.join("cache"),
    };
    (unread, RegistryHandle::new(parts).unwrap())
}

#[tokio::test]
async fn nothing_is_changed_before_the_registry_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_unread, registry) = unread(folder.path());
    assert_ne!(registry.readiness(), RegistryReadiness::Ready);
    assert!(matches!(registry.deploy(manifest("mill", ""), MODULE, None).await, Err(ChangeError::NotReady(_))));
}
