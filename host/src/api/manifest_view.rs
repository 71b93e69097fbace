//! A manifest as JSON in the notation of users: but for secrets, deploying what is shown here changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::quantity::{format_duration, format_size};
use crate::model::function::{FunctionOutput, Manifest, StartEmulation, TopicSelection};

/// The manifest with every default filled in.
pub(crate) fn json(manifest: &Manifest) -> Value {
    let Manifest { limits, logs, instances, retry, delivery, .. } = manifest;
    let mut view = json!({
        "name": manifest.name,
        "initial_offset": manifest.initial_offset,
        "ordering": manifest.ordering,
        "concurrency": manifest.concurrency,
        "shards": manifest.shards,
        "processing_guarantee": manifest.processing_guarantee,
        "dead_letter_topic": manifest.dead_letter_topic,
        "env": manifest.env,
        "outputs": manifest.outputs.iter().map(|(name, output)| (name.clone(), self::output(output))).collect::<Map<_, _>>(),
        "limits": {
            "memory": format_size(limits.memory),
            "timeout": format_duration(limits.timeout),
            "output": format_size(limits.output),
            "logs": format_size(limits.logs),
            "table_elements": limits.table_elements,
        },
        "logs": { "level": logs.level, "rate": logs.rate },
        "instances": {
            "keep_warm": format_duration(instances.keep_warm),
            "min": instances.min,
            "emulate": instances.emulate.as_ref().map_or_else(|| json!("none"), emulation),
        },
        "retry": {
            "max_attempts": retry.max_attempts,
            "backoff": format_duration(retry.backoff),
            "backoff_max": format_duration(retry.backoff_max),
        },
        "delivery": {
            "batch_size": delivery.batch_size,
            "batch_window": format_duration(delivery.batch_window),
            "commit_interval": format_duration(delivery.commit_interval),
            "drain_timeout": format_duration(delivery.drain_timeout),
            "in_flight": delivery.in_flight,
            "pending": format_size(delivery.pending),
            "membership": delivery.membership,
        },
        "kafka": kafka(&manifest.kafka),
    });
    match &manifest.topics {
        TopicSelection::Named(topics) if topics.is_empty() => {}
        TopicSelection::Named(topics) => view["topics"] = json!(topics),
        TopicSelection::Pattern(pattern) => view["topics_pattern"] = json!(pattern),
    }
    if let Some(schedule) = &manifest.schedule {
        view["schedule"] = json!(schedule);
    }
    if let Some(isolation) = instances.isolation {
        view["instances"]["isolation"] = json!(isolation);
    }
    if !manifest.filters.is_empty() {
        view["filters"] = json!(manifest.filters);
    }
    view
}

fn output(output: &FunctionOutput) -> Value {
    let mut view = json!({ "topic": output.topic, "format": output.format });
    if let Some(compression) = output.compression {
        view["compression"] = json!(compression);
    }
    view
}

fn emulation(emulation: &StartEmulation) -> Value {
    let range = |(shortest, longest): (Duration, Duration)| {
        format!("{}..{}", format_duration(shortest), format_duration(longest))
    };
    json!({ "cold": range(emulation.cold), "hot": range(emulation.hot) })
}

/// Options without those that may hold a secret: anyone who may read functions need not know the broker's passwords.
fn kafka(options: &BTreeMap<String, String>) -> Value {
    let is_secret = |key: &str| ["password", "secret", "token", "key.pem"].iter().any(|word| key.contains(word));
    let shown = options.iter().map(|(key, value)| {
        let value = if is_secret(key) { "********" } else { value };
        (key.clone(), Value::from(value))
    });
    shown.collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::manifest::{from_json, from_toml};

    #[test]
    fn what_is_shown_can_be_deployed_again() {
        let text = r#"
            name = "enrich-bid"
            topics_pattern = "placed\\..*"
            initial_offset = "earliest"
            ordering = "key"
            concurrency = 3
            env = { REGION = "eu" }
            filters = [{ any = [{ exact = { type = "a" } }, { not = { prefix = { source = "/x" } } }] }]
            [outputs]
            default = "bids.enriched"
            rejected = { topic = "bids.rejected", format = "structured", compression = "lz4" }
            [limits]
            memory = "130MiB"
            timeout = "1500ms"
            output = "12345B"
            [instances]
            emulate = { cold = "3s", hot = "200ms..300ms" }
            [delivery]
            batch_window = "2ms"
            pending = "1GiB"
            [schedule]
            cron = "0 0 7 * * MON"
            time_zone = "Europe/Berlin"
            missed = "latest"
            [kafka]
            "fetch.wait.max.ms" = 5
        "#;
        let manifest = from_toml(text).unwrap();
        assert_eq!(from_json(&json(&manifest).to_string()), Ok(manifest));

        for plain in ["topics = [\"in\"]", "[schedule]\ncron = \"0 0 7 * * *\""] {
            let plain = from_toml(&format!("name = \"plain\"\n{plain}")).unwrap();
            assert_eq!(from_json(&json(&plain).to_string()), Ok(plain));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let options = BTreeMap::from([("sasl.password".to_owned(), "hush".to_owned())]);
        assert!(!kafka(&options).to_string().contains("hush"));
    }
}
