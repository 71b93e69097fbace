//! Which times of a schedule are due.

use crate::model::schedule::MissedPolicy;
use crate::schedule::ScheduleEntry;

/// A time that was due for no longer than this was not missed.
const GRACE_MS: i64 = 10_000;
/// Times of one function that are made up for in one transaction.
const MOST_AT_ONCE: usize = 500;

/// The times that are due at `now`, the earliest first: those after the last that was `fired`, as far as they count. All
/// in milliseconds since the Unix epoch.
pub(crate) fn due(entry: &ScheduleEntry, fired: Option<i64>, now: i64) -> Vec<i64> {
    let after = fired.unwrap_or(entry.since);
    let recent = after.max(now - GRACE_MS);
    match entry.missed {
        MissedPolicy::All => times(entry, after, now),
        MissedPolicy::Skip => times(entry, recent, now),
        MissedPolicy::Latest => match times(entry, recent, now) {
            none if none.is_empty() => {
                entry.timetable.last_until(now).filter(|last| *last > after).into_iter().collect()
            }
            recent => recent,
        },
    }
}

fn times(entry: &ScheduleEntry, after: i64, now: i64) -> Vec<i64> {
    let next = |last: &i64| entry.timetable.next_after(*last);
    std::iter::successors(entry.timetable.next_after(after), next)
        .take_while(|time| *time <= now)
        .take(MOST_AT_ONCE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::timetable::CronTimetable;
    use crate::model::ids::FunctionName;

    fn entry(cron: &str, missed: MissedPolicy) -> ScheduleEntry {
        let timetable = CronTimetable::parse(cron, "UTC").unwrap();
        ScheduleEntry { name: FunctionName::new("mill").unwrap(), timetable, missed, since: 1_000_000 }
    }

    #[test]
    fn times_are_due_once_from_the_deploy_on() {
        for missed in [MissedPolicy::Skip, MissedPolicy::Latest, MissedPolicy::All] {
            let entry = entry("* * * * * *", missed);
            assert_eq!(due(&entry, None, 1_000_999), Vec::<i64>::new(), "{missed:?}");
            assert_eq!(due(&entry, None, 1_002_500), [1_001_000, 1_002_000], "{missed:?}");
            assert_eq!(due(&entry, Some(1_002_000), 1_002_999), Vec::<i64>::new(), "{missed:?}");
            assert_eq!(due(&entry, Some(1_002_000), 1_003_000), [1_003_000], "{missed:?}");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_one_wants() {
        let minutes = |missed| due(&entry("0 * * * * *", missed), Some(1_020_000), 1_230_000);
        assert_eq!(minutes(MissedPolicy::All), [1_080_000, 1_140_000, 1_200_000]);
        assert_eq!(minutes(MissedPolicy::Latest), [1_200_000]);
        assert_eq!(minutes(MissedPolicy::Skip), Vec::<i64>::new());
        let just_now = |missed| due(&entry("0 * * * * *", missed), Some(1_020_000), 1_203_000);
        assert_eq!((just_now(MissedPolicy::Latest), just_now(MissedPolicy::Skip)), (vec![1_200_000], vec![1_200_000]));
        let long_ago = due(&entry("* * * * * *", MissedPolicy::All), Some(0), 10_000_000);
        assert_eq!(long_ago.len(), MOST_AT_ONCE, "the rest comes next");
    }
}
