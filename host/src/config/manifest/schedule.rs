//! The clock as a trigger: `[schedule]`.

use crate::config::section::ConfigSection;
use crate::config::timetable::CronTimetable;
use crate::config::value;
use crate::model::schedule::{CronSchedule, MissedPolicy};

/// Reads `[schedule]`: nothing inside where there is none.
pub(crate) fn read(schedule: &ConfigSection<'_>) -> Option<Option<CronSchedule>> {
    let cron = schedule.optional("cron", value::non_empty_text);
    let time_zone = schedule.get("time_zone", value::non_empty_text);
    let missed = schedule.get(
        "missed",
        value::one_of(&[("skip", MissedPolicy::Skip), ("latest", MissedPolicy::Latest), ("all", MissedPolicy::All)]),
    );
    let (cron, time_zone, missed) = (cron?, time_zone?, missed?);
    let Some(cron) = cron else { return Some(None) };
    if let Err(reason) = CronTimetable::parse(&cron, &time_zone) {
        let key = if CronTimetable::parse(&cron, "UTC").is_err() { "cron" } else { "time_zone" };
        schedule.refuse(key, format!("cannot be used: {reason}"));
        return None;
    }
    Some(Some(CronSchedule { cron, time_zone, missed }))
}
