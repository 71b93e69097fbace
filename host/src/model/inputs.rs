//! The topics from which a function gets its records, also those that do not exist yet.

use regex_lite::Regex;

use crate::model::function::{Manifest, TopicSelection};

#[derive(Debug)]
pub(crate) struct InputTopics {
    named: Vec<String>,
    matching: Option<Regex>,
}

impl InputTopics {
    /// Those of `manifest`. Fails only for a pattern that no manifest is accepted with.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, regex_lite::Error> {
        let matching = match &manifest.topics {
            TopicSelection::Named(_) => None,
            TopicSelection::Pattern(pattern) => Some(whole_name(pattern)?),
        };
        Ok(Self { named: manifest.named_inputs(), matching })
    }

    pub(crate) fn has(&self, topic: &str) -> bool {
        self.named.iter().any(|named| named == topic)
            || self.matching.as_ref().is_some_and(|pattern| pattern.is_match(topic))
    }
}

/// The regular expression that matches exactly the names that `pattern` means.
pub(crate) fn whole_name(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::tests_support::revision;
    use crate::model::schedule::{CronSchedule, MissedPolicy};

    #[test]
    fn names_and_patterns_and_ticks_are_inputs() {
        let mut manifest = revision().manifest.clone();
        let has = |manifest: &Manifest, topic: &str| InputTopics::of(manifest).unwrap().has(topic);
        assert!(has(&manifest, "in") && !has(&manifest, "inn"));
        manifest.topics = TopicSelection::Pattern("i.|j".into());
        assert!(has(&manifest, "in") && has(&manifest, "j") && !has(&manifest, "inn") && !has(&manifest, "jj"));
        assert!(!has(&manifest, "test.ticks"));
        manifest.schedule =
            Some(CronSchedule { cron: "0 0 0 * * *".into(), time_zone: "UTC".into(), missed: MissedPolicy::Skip });
        assert!(has(&manifest, "test.ticks") && has(&manifest, "in"));
    }
}
