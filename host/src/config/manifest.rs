//! A function's manifest as users write it, `millstream.toml` or the same in JSON.
//!
//! Text is read into [`Manifest`] in one step, which fills in every default of `default.toml` and refuses what is
//! unknown, out of range or contradictory; all problems are reported together. What comes out needs no further check.

mod contradictions;
mod emulation;
mod filters;
mod parts;
mod schedule;
mod topics;

use std::fmt;

use crate::config::kafka_options::{self, OptionTable};
use crate::config::node::{self, NodeTable};
use crate::config::problem::{ConfigProblem, write_all};
use crate::config::section::{ConfigLayer, ConfigSection, ReadReport, ValueOrigin};
use crate::config::value;
use crate::config::{defaults, node::ConfigNode};
use crate::model::function::{InitialOffset, Manifest, Ordering, ProcessingGuarantee};
use crate::model::ids::FunctionName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ManifestNotation {
    Toml,
    Json,
}

/// A manifest with what only those read who build and deploy it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProjectManifest {
    /// What the host runs by.
    pub(crate) manifest: Manifest,
    /// The module's path, relative to the manifest's folder.
    pub(crate) module: Option<String>,
    /// The shell command that makes the module.
    pub(crate) build: Option<String>,
}

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestError {
    problems: Vec<ConfigProblem>,
}

impl ManifestError {
    /// The problems, at least one.
    #[cfg(test)]
    pub(crate) fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_all(formatter, "the manifest", &self.problems)
    }
}

impl std::error::Error for ManifestError {}

/// Reads a manifest in TOML.
pub(crate) fn from_toml(text: &str) -> Result<Manifest, ManifestError> {
    read_project(text, ManifestNotation::Toml).map(|project| project.manifest)
}

/// Reads a manifest in JSON.
pub(crate) fn from_json(text: &str) -> Result<Manifest, ManifestError> {
    read_project(text, ManifestNotation::Json).map(|project| project.manifest)
}

/// Reads a manifest together with how its module is made.
pub(crate) fn read_project(text: &str, notation: ManifestNotation) -> Result<ProjectManifest, ManifestError> {
    let parsed = match notation {
        ManifestNotation::Toml => node::from_toml(text),
        ManifestNotation::Json => node::from_json(text),
    };
    let table = parsed.map_err(|message| ManifestError { problems: vec![ConfigProblem::new("", message)] })?;
    validate(&table)
}

fn validate(table: &NodeTable) -> Result<ProjectManifest, ManifestError> {
    let report = ReadReport::default();
    let layers = vec![
        ConfigLayer { origin: ValueOrigin::File, table },
        ConfigLayer { origin: ValueOrigin::Default, table: defaults::function() },
    ];
    let project = ConfigSection::root(&report, layers, defaults::function(), read_root);
    if let Some(project) = &project {
        contradictions::refuse(&project.manifest, &report);
    }
    let (problems, _) = report.into_parts();
    match project {
        Some(project) if problems.is_empty() => Ok(project),
        _ => Err(ManifestError { problems }),
    }
}

fn read_root(root: &ConfigSection<'_>) -> Option<ProjectManifest> {
    let name = root.get("name", |node| FunctionName::new(&value::text(node)?).map_err(|error| error.to_string()));
    let module = root.optional("module", value::non_empty_text);
    let build = root.optional("build", value::non_empty_text);
    let schedule = root.within("schedule", schedule::read);
    let topics = topics::read(root, schedule != Some(None));
    let initial_offset = root.get(
        "initial_offset",
        value::one_of(&[("earliest", InitialOffset::Earliest), ("latest", InitialOffset::Latest)]),
    );
    let ordering = root.get(
        "ordering",
        value::one_of(&[("none", Ordering::None), ("partition", Ordering::Partition), ("key", Ordering::Key)]),
    );
    let concurrency = root.get("concurrency", value::integer(1..=1024));
    let shards = root.get("shards", value::integer(1..=64));
    let processing_guarantee = root.get(
        "processing_guarantee",
        value::one_of(&[
            ("at_least_once", ProcessingGuarantee::AtLeastOnce),
            ("exactly_once", ProcessingGuarantee::ExactlyOnce),
        ]),
    );
    let dead_letter_topic = root.get("dead_letter_topic", |node| {
        let name = name.as_ref().map_or("name", FunctionName::as_str);
        value::topic(&ConfigNode::Text(value::text(node)?.replace("<name>", name)))
    });
    let filters = filters::read(root);
    let env = root.within("env", parts::read_env);
    let outputs = root.within("outputs", parts::read_outputs);
    let limits = root.within("limits", parts::read_limits);
    let logs = root.within("logs", parts::read_logs);
    let instances = root.within("instances", parts::read_instances);
    let retry = root.within("retry", parts::read_retry);
    let delivery = root.within("delivery", parts::read_delivery);
    let kafka = root.within("kafka", |section| Some(kafka_options::read(section, OptionTable::Function)));

    Some(ProjectManifest {
        manifest: Manifest {
            name: name?,
            topics: topics?,
            initial_offset: initial_offset?,
            ordering: ordering?,
            concurrency: concurrency?,
            shards: shards?,
            processing_guarantee: processing_guarantee?,
            dead_letter_topic: dead_letter_topic?,
            env: env?,
            outputs: outputs?,
            filters: filters?,
            limits: limits?,
            logs: logs?,
            instances: instances?,
            retry: retry?,
            delivery: delivery?,
            schedule: schedule?,
            kafka: kafka?,
        },
        module: module?,
        build: build?,
    })
}

#[cfg(test)]
mod tests;
