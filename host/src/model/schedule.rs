//! The clock as a trigger. Each time that is due becomes a record of a topic of the function's own, a *tick*: with it come
//! retries, dead letters, offsets and exactly once, as for any other record.

use serde::{Deserialize, Serialize};

use crate::model::ids::FunctionName;

/// When a function runs by the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CronSchedule {
    /// Second, minute, hour, day, month, day of the week; checked.
    pub(crate) cron: String,
    /// The IANA time zone that the fields are meant in; checked.
    pub(crate) time_zone: String,
    /// What becomes of times at which no host was there.
    pub(crate) missed: MissedPolicy,
}

/// What becomes of times at which no host was there, or the function was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissedPolicy {
    Skip,
    /// The last of them is made up for.
    Latest,
    /// All of them are made up for.
    All,
}

/// The topic of a function's ticks.
pub(crate) fn tick_topic(name: &FunctionName) -> String {
    format!("{name}.ticks")
}

/// The type of the event that a tick is.
pub(crate) const TICK_TYPE: &str = "dev.millstream.tick";
