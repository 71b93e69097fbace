//! One function under development: its folder, its last build, and the revision that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::api::views::DeployedView;
use crate::cli::dev::snapshot::FolderSnapshot;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::read_answer;
use crate::cli::host_client::HostClient;
use crate::cli::project::ManifestFile;
use crate::cli::table::{ColorChoice, json_name};
use crate::cli::{build, deploy, progress, project};
use crate::error_code::ErrorCode;
use crate::model::function::{Manifest, TopicSelection};
use crate::model::ids::RevisionNumber;
use crate::model::status::{FunctionState, FunctionStatus};
use crate::terminal::escape_for_terminal;

/// How long a revision may take until it runs. A group's first member waits three seconds for others.
const RUNS_WITHIN: Duration = Duration::from_secs(30);
/// How often a file may change during builds that make nothing new.
const RESTLESS_AFTER: u32 = 3;
/// How many changed files are named.
const NAMED: usize = 3;

pub(crate) struct DevProject {
    folder: PathBuf,
    module: Option<PathBuf>,
    /// The files of the last build.
    built: Option<FolderSnapshot>,
    /// Files that changed while a build ran that made nothing new, and how often that was in a row.
    restless: BTreeMap<PathBuf, u32>,
    live: Option<LiveFunction>,
    paint: ColorChoice,
}

struct LiveFunction {
    name: String,
    revision: RevisionNumber,
}

impl DevProject {
    /// The project in `folder`, which has a manifest; it may be wrong still.
    pub(crate) fn open(folder: &Path) -> Result<Self, VerbFailure> {
        let has_manifest = ["millstream.toml", "millstream.json"].iter().any(|name| folder.join(name).is_file());
        if !has_manifest {
            let detail = format!("{} has no millstream.toml", folder.display());
            return Err(VerbFailure::new(ErrorCode::NoProject, detail));
        }
        let paint = ColorChoice::for_stderr();
        Ok(Self { folder: folder.to_owned(), module: None, built: None, restless: BTreeMap::new(), live: None, paint })
    }

    /// The name under which it runs.
    pub(crate) fn name(&self) -> Option<&str> {
        self.live.as_ref().map(|live| live.name.as_str())
    }

    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.snapshot().folders().to_vec()
    }

    fn snapshot(&self) -> FolderSnapshot {
        FolderSnapshot::of(&self.folder, self.module.as_deref())
    }

    /// The files that changed since the last build, if any did; before the first build none are named.
    pub(crate) fn changes(&self) -> Option<Vec<PathBuf>> {
        let now = self.snapshot();
        let Some(built) = &self.built else { return Some(Vec::new()) };
        let is_watched = |path: &&Path| self.restless.get(*path).is_none_or(|times| *times < RESTLESS_AFTER);
        let changed: Vec<_> = built.differences(&now).into_iter().filter(is_watched).map(Path::to_owned).collect();
        Some(changed).filter(|changed| !changed.is_empty())
    }

    pub(crate) fn report_changes(&self, changed: &[PathBuf]) {
        let name = |path: &PathBuf| path.strip_prefix(&self.folder).unwrap_or(path).display().to_string();
        let mut names: Vec<_> = changed.iter().take(NAMED).map(name).collect();
        if changed.len() > NAMED {
            names.push(format!("{} more", changed.len() - NAMED));
        }
        if !names.is_empty() {
            self.report(&format!("changed: {}", names.join(", ")));
        }
    }

    /// Builds and deploys, reports the result, and returns the topics in which the events appear.
    pub(crate) fn rebuild(&mut self, client: &HostClient, others: &[String], stop: &CancellationToken) -> Vec<String> {
        // Before the build: what changes while it runs is built after it.
        self.built = Some(self.snapshot());
        match self.try_rebuild(client, others, stop) {
            Ok(topics) => topics,
            // The build was stopped with everything else.
            Err(_) if stop.is_cancelled() => Vec::new(),
            Err(failure) => {
                failure.report();
                let runs = self.live.as_ref().map(|live| format!("revision {} keeps running", live.revision));
                let next = runs.unwrap_or_else(|| "nothing runs yet".to_owned());
                self.report(&self.paint.yellow(&format!("{next}; waiting for a change")));
                Vec::new()
            }
        }
    }

    fn try_rebuild(
        &mut self,
        client: &HostClient,
        others: &[String],
        stop: &CancellationToken,
    ) -> Result<Vec<String>, VerbFailure> {
        let manifest = project::read_folder(&self.folder)?;
        let name = manifest.project.manifest.name.to_string();
        if others.contains(&name) {
            let detail = format!("{} has the name of another folder's function: {name}", self.folder.display());
            return Err(VerbFailure::new(ErrorCode::InvalidManifest, detail));
        }
        self.leave_out_the_module(&manifest);
        let start = Instant::now();
        let path = build::build_folder_until(&self.folder, &manifest, &|| stop.is_cancelled())?;
        let took = start.elapsed();
        let deployed: DeployedView = read_answer(deploy::upload(client, &manifest, &path, Some(RUNS_WITHIN))?)?;
        let revision = deployed.revision;
        let is_new = self.live.as_ref().is_none_or(|live| live.name != name || live.revision != revision);
        let before = self.live.replace(LiveFunction { name: name.clone(), revision });
        if let Some(before) = before.filter(|before| before.name != name) {
            client.change(&["v1", "functions", &before.name], |http, url| http.delete(url))?;
            self.report(&format!("{} is deleted: the manifest has another name", before.name));
        }
        if is_new {
            self.report_live(client, &manifest.project.manifest, &deployed, took);
        } else {
            self.report(&format!("nothing new: revision {revision} keeps running"));
        }
        self.note_restless(is_new);
        Ok(topics_of(&manifest.project.manifest))
    }

    /// A log in the folder, or a file that each build writes, would lead to builds without end.
    fn note_restless(&mut self, is_new: bool) {
        let now = self.snapshot();
        let meanwhile: Vec<PathBuf> = match &self.built {
            Some(built) if !is_new => built.differences(&now).into_iter().map(Path::to_owned).collect(),
            _ => Vec::new(),
        };
        self.restless.retain(|path, times| *times >= RESTLESS_AFTER || meanwhile.contains(path));
        for path in meanwhile {
            let times = self.restless.entry(path.clone()).or_default();
            *times += 1;
            if *times == RESTLESS_AFTER {
                let name = path.strip_prefix(&self.folder).unwrap_or(&path).display();
                self.report(&format!(
                    "{name} changes during each build without a new result: it is ignored from now on"
                ));
            }
        }
    }

    /// What the build makes must not lead to a build.
    fn leave_out_the_module(&mut self, manifest: &ManifestFile) {
        let module = project::module_path(&self.folder, &manifest.project).ok();
        if self.module != module {
            self.module = module;
            self.built = Some(self.snapshot());
        }
    }

    fn report_live(&self, client: &HostClient, manifest: &Manifest, deployed: &DeployedView, took: Duration) {
        let name = manifest.name.as_str();
        let DeployedView { revision, state, .. } = deployed;
        let built = format!("built in {:.1} s", took.as_secs_f64());
        if *state != FunctionState::Running {
            let status = client.get(&["v1", "functions", name, "status"]).and_then(read_answer::<FunctionStatus>);
            let reason = status.ok().and_then(|status| status.reason);
            let reason = reason.unwrap_or_else(|| "see `millstream status`".to_owned());
            let (state, reason) = (json_name(state), escape_for_terminal(&reason));
            return self.report(&self.paint.red(&format!("revision {revision} is {state}: {reason} ({built})")));
        }
        let topics = match &manifest.topics {
            TopicSelection::Named(topics) => topics.join(", "),
            TopicSelection::Pattern(pattern) => pattern.clone(),
        };
        let outputs: Vec<&str> = manifest.outputs.values().map(|output| output.topic.as_str()).collect();
        let way = if outputs.is_empty() { topics } else { format!("{topics} → {}", outputs.join(", ")) };
        self.report(&format!("{} {way} ({built})", self.paint.green(&format!("revision {revision} runs:"))));
    }

    fn report(&self, what: &str) {
        let folder = self.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.name().map(str::to_owned).or(folder).unwrap_or_else(|| self.folder.display().to_string());
        progress::report(format_args!("{} {what}", self.paint.dim(&format!("{name}:"))));
    }
}

/// The topics in which the events and dead letters of a function appear.
fn topics_of(manifest: &Manifest) -> Vec<String> {
    let outputs = manifest.outputs.values().map(|output| output.topic.clone());
    outputs.chain([manifest.dead_letter_topic.clone()]).collect()
}
