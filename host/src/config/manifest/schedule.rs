//! The clock as a trigger: `[schedule]`.

use crate::config::section::Section;
use crate::config::timetable::Timetable;
use crate::config::value;
use crate::model::schedule::{Missed, Schedule};

/// Reads `[schedule]`: nothing inside where there is none.
pub(super) fn read(schedule: &Section<'_>) -> Option<Option<Schedule>> {
    let cron = schedule.optional("cron", value::non_empty_text);
    let time_zone = schedule.get("time_zone", value::non_empty_text);
    let missed = schedule
        .get("missed", value::one_of(&[("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)]));
    let (cron, time_zone, missed) = (cron?, time_zone?, missed?);
    let Some(cron) = cron else { return Some(None) };
    if let Err(reason) = Timetable::parse(&cron, &time_zone) {
        let key = if Timetable::parse(&cron, "UTC").is_err() { "cron" } else { "time_zone" };
        schedule.refuse(key, format!("cannot be used: {reason}"));
        return None;
    }
    Some(Some(Schedule { cron, time_zone, missed }))
}
