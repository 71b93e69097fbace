//! The tables of a manifest, one reader each.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::manifest::emulation;
use crate::config::node::{ConfigNode, NodeTable};
use crate::config::quantity::LONGEST;
use crate::config::section::ConfigSection;
use crate::config::value;
use crate::model::function::{
    Compression, DeliveryPolicy, EventFormat, FunctionLimits, FunctionOutput, GroupMembership, InstancePolicy,
    Isolation, LogLevel, LogLimits, RetryPolicy,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) fn read_env(env: &ConfigSection<'_>) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (name, (_, node)) in env.other_entries() {
        match (check_variable_name(name), value::text(node)) {
            (Ok(()), Ok(text)) if text.contains('\0') => env.refuse(name, "holds a zero byte: remove it"),
            (Ok(()), Ok(text)) => {
                variables.insert(name.to_owned(), text);
            }
            (Err(message), _) | (_, Err(message)) => env.refuse(name, message),
        }
    }
    Some(variables)
}

fn check_variable_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("is not a name of an environment variable: it is empty or holds \"=\" or a zero byte".to_owned());
    }
    Ok(())
}

pub(crate) fn read_outputs(section: &ConfigSection<'_>) -> Option<BTreeMap<String, FunctionOutput>> {
    // Defaults that every output shares stand under the name "*".
    let defaults = section.default_table("*");
    let entries = section.other_entries();
    let outputs: Vec<Option<(String, FunctionOutput)>> =
        entries.into_iter().map(|(name, (_, node))| read_output(section, name, node, defaults)).collect();
    outputs.into_iter().collect()
}

fn read_output(
    section: &ConfigSection<'_>,
    name: &str,
    node: &ConfigNode,
    defaults: Option<&NodeTable>,
) -> Option<(String, FunctionOutput)> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 100 || !name.bytes().all(is_allowed) {
        section.refuse(
            name,
            "is not an output name: use 1 to 100 of the characters a-z, A-Z, 0-9, \".\", \"_\" and \"-\"",
        );
        return None;
    }
    let long_form = match node {
        ConfigNode::Table(table) => table.clone(),
        ConfigNode::Text(_) => NodeTable::from([("topic".to_owned(), node.clone())]),
        other => {
            section.refuse(name, value::wrong_kind("a topic", other, "write \"topic\" or { topic = \"topic\" }"));
            return None;
        }
    };
    let output = section.within_entry(name, &long_form, defaults, |output| {
        let topic = output.get("topic", value::topic);
        let format = output.get(
            "format",
            value::one_of(&[
                ("binary", EventFormat::Binary),
                ("structured", EventFormat::Structured),
                ("raw", EventFormat::Raw),
            ]),
        );
        let compression = output.optional(
            "compression",
            value::one_of(&[
                ("none", Compression::None),
                ("gzip", Compression::Gzip),
                ("snappy", Compression::Snappy),
                ("lz4", Compression::Lz4),
                ("zstd", Compression::Zstd),
            ]),
        );
        Some(FunctionOutput { topic: topic?, format: format?, compression: compression? })
    })?;
    Some((name.to_owned(), output))
}

pub(crate) fn read_limits(limits: &ConfigSection<'_>) -> Option<FunctionLimits> {
    let memory = limits.get("memory", value::size(64 * KIB..=4 * GIB));
    let timeout = limits.get("timeout", value::duration(MILLISECOND..=LONGEST));
    let output = limits.get("output", value::size(1..=512 * MIB));
    let logs = limits.get("logs", value::size(0..=64 * MIB));
    let table_elements = limits.get("table_elements", value::integer(0..=10_000_000));
    Some(FunctionLimits {
        memory: memory?,
        timeout: timeout?,
        output: output?,
        logs: logs?,
        table_elements: table_elements?,
    })
}

pub(crate) fn read_logs(logs: &ConfigSection<'_>) -> Option<LogLimits> {
    let level = logs.get(
        "level",
        value::one_of(&[
            ("trace", LogLevel::Trace),
            ("debug", LogLevel::Debug),
            ("info", LogLevel::Info),
            ("warn", LogLevel::Warn),
            ("error", LogLevel::Error),
            ("critical", LogLevel::Critical),
        ]),
    );
    let rate = logs.get("rate", value::integer(0..=1_000_000));
    Some(LogLimits { level: level?, rate: rate? })
}

pub(crate) fn read_instances(instances: &ConfigSection<'_>) -> Option<InstancePolicy> {
    let isolation = instances.optional(
        "isolation",
        value::one_of(&[("shared", Isolation::Shared), ("batch", Isolation::Batch), ("record", Isolation::Record)]),
    );
    let keep_warm = instances.get("keep_warm", value::duration(Duration::ZERO..=LONGEST));
    let min = instances.get("min", value::integer(0..=65_536));
    let emulate = instances.get("emulate", emulation::read);
    Some(InstancePolicy { isolation: isolation?, keep_warm: keep_warm?, min: min?, emulate: emulate? })
}

pub(crate) fn read_retry(retry: &ConfigSection<'_>) -> Option<RetryPolicy> {
    let max_attempts = retry.get("max_attempts", value::integer(1..=1_000_000));
    let backoff = retry.get("backoff", value::duration(Duration::ZERO..=LONGEST));
    let backoff_max = retry.get("backoff_max", value::duration(Duration::ZERO..=LONGEST));
    Some(RetryPolicy { max_attempts: max_attempts?, backoff: backoff?, backoff_max: backoff_max? })
}

pub(crate) fn read_delivery(delivery: &ConfigSection<'_>) -> Option<DeliveryPolicy> {
    let batch_size = delivery.get("batch_size", value::integer(1..=65_536));
    let batch_window = delivery.get("batch_window", value::duration(Duration::ZERO..=Duration::from_secs(60)));
    let commit_interval = delivery.get("commit_interval", value::duration(MILLISECOND..=Duration::from_secs(60)));
    let drain_timeout = delivery.get("drain_timeout", value::duration(Duration::ZERO..=LONGEST));
    let in_flight = delivery.get("in_flight", value::integer(1..=1_000_000));
    let pending = delivery.get("pending", value::size(64 * KIB..=4 * GIB));
    let membership = delivery.get(
        "membership",
        value::one_of(&[("dynamic", GroupMembership::Dynamic), ("static", GroupMembership::Static)]),
    );
    Some(DeliveryPolicy {
        batch_size: batch_size?,
        batch_window: batch_window?,
        commit_interval: commit_interval?,
        drain_timeout: drain_timeout?,
        in_flight: in_flight?,
        pending: pending?,
        membership: membership?,
    })
}
