//! When a schedule is due: a cron expression in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A schedule has no years, so that one moment is as good as another to look for the next time from: 2000-01-01.
const SOME_MOMENT: i64 = 946_684_800_000;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub(crate) struct CronTimetable {
    cron: Cron,
    zone: Tz,
}

impl CronTimetable {
    /// Reads both; the error says which is wrong.
    pub(crate) fn parse(cron: &str, time_zone: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        let cron = parser.parse(cron).map_err(|error| {
            format!(
                "\"{cron}\" is not a cron expression of six fields (second, minute, hour, day, month, day of the week): {error}"
            )
        })?;
        let zone = time_zone.parse().map_err(|_| {
            format!("\"{time_zone}\" is not a time zone: write \"UTC\" or, for example, \"Europe/Berlin\"")
        })?;
        let timetable = Self { cron, zone };
        match timetable.next_after(SOME_MOMENT) {
            Some(_) => Ok(timetable),
            None => Err(format!("\"{}\" never comes: no month has such a day", timetable.cron.pattern)),
        }
    }

    /// The first moment after `after` that is due: both in milliseconds since the Unix epoch. Nothing when it never is.
    pub(crate) fn next_after(&self, after: i64) -> Option<i64> {
        let found = self.cron.find_next_occurrence(&self.local(after)?, false).ok()?;
        Some(found.timestamp_millis())
    }

    /// The last moment up to `until` that was due.
    pub(crate) fn last_until(&self, until: i64) -> Option<i64> {
        let found = self.cron.find_previous_occurrence(&self.local(until)?, true).ok()?;
        Some(found.timestamp_millis())
    }

    fn local(&self, millis: i64) -> Option<DateTime<Tz>> {
        // A cron expression knows whole seconds.
        DateTime::<Utc>::from_timestamp(millis.div_euclid(1000), 0).map(|moment| moment.with_timezone(&self.zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn what_is_due_next_and_was_due_last() {
        let every_five_minutes = CronTimetable::parse("0 */5 * * * *", "UTC").unwrap();
        let now = at("2026-03-01T12:03:07.5Z");
        assert_eq!(every_five_minutes.next_after(now), Some(at("2026-03-01T12:05:00Z")));
        assert_eq!(every_five_minutes.last_until(now), Some(at("2026-03-01T12:00:00Z")));
        let due = at("2026-03-01T12:05:00Z");
        assert_eq!(
            (every_five_minutes.last_until(due), every_five_minutes.next_after(due)),
            (Some(due), Some(due + 300_000))
        );
        let every_second = CronTimetable::parse("* * * * * *", "UTC").unwrap();
        assert_eq!(every_second.next_after(now), Some(at("2026-03-01T12:03:08Z")));
    }

    #[test]
    fn a_time_zone_moves_with_the_summer() {
        let morning = CronTimetable::parse("0 30 7 * * *", "Europe/Berlin").unwrap();
        assert_eq!(morning.next_after(at("2026-01-10T12:00:00Z")), Some(at("2026-01-11T06:30:00Z")));
        assert_eq!(morning.next_after(at("2026-07-10T12:00:00Z")), Some(at("2026-07-11T05:30:00Z")));
    }

    #[test]
    fn a_day_that_never_comes_is_refused_and_a_rare_one_is_not() {
        for never in ["0 0 0 31 2 *", "0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *"] {
            let error = CronTimetable::parse(never, "UTC").unwrap_err();
            assert!(error.contains("never comes"), "{never}: {error}");
        }
        let leap_days = CronTimetable::parse("0 0 0 29 2 *", "Europe/Berlin").unwrap();
        assert_eq!(leap_days.next_after(at("2026-03-01T00:00:00Z")), Some(at("2028-02-28T23:00:00Z")));
    }

    /// `docs/writing-a-function.md` says so to those who come from Quartz or Spring.
    #[test]
    fn the_dialect_is_what_the_documents_say() {
        for (refused, instead) in [
            ("0 5/15 * * * *", "0 5-59/15 * * * *"),
            ("0 0 22-2 * * *", "0 0 22,23,0-2 * * *"),
            ("0 0 0 L-3 * *", "0 0 0 L * *"),
        ] {
            assert!(CronTimetable::parse(refused, "UTC").is_err(), "{refused}");
            assert!(CronTimetable::parse(instead, "UTC").is_ok(), "{instead}");
        }
        // Either day, as in Unix cron; with a plus, both.
        let either = CronTimetable::parse("0 0 0 13 * FRI", "UTC").unwrap();
        assert_eq!(either.next_after(at("2026-03-01T00:00:00Z")), Some(at("2026-03-06T00:00:00Z")));
        let both = CronTimetable::parse("0 0 0 13 * +FRI", "UTC").unwrap();
        assert_eq!(both.next_after(at("2026-03-14T00:00:00Z")), Some(at("2026-11-13T00:00:00Z")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (cron, zone, wrong) in
            [("*/5 * * * *", "UTC", "six fields"), ("soon", "UTC", "soon"), ("0 0 0 * * *", "Mars", "Mars")]
        {
            let told = CronTimetable::parse(cron, zone).unwrap_err();
            assert!(told.contains(wrong), "{cron} {zone}: {told}");
        }
    }
}
