//! What was used when: by the minute for the last hours, by the hour for the last weeks.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::ids::FunctionName;
use crate::telemetry::usage::UsageAmounts;

/// Seconds of the fine and of the coarse grain.
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
/// How many of each are kept.
pub(crate) const MINUTES: u64 = 180;
pub(crate) const HOURS: u64 = 32 * 24;

/// The usage of all functions on this host, by the time at which it began in seconds since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct UsageHistory(BTreeMap<FunctionName, UsageBuckets>);

#[derive(Debug, Default)]
struct UsageBuckets {
    minutes: BTreeMap<u64, UsageAmounts>,
    hours: BTreeMap<u64, UsageAmounts>,
}

/// What a function used within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageTotals {
    pub(crate) function: FunctionName,
    pub(crate) amounts: UsageAmounts,
}

/// What was used within a time, with the time that this is true of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsagePeriod {
    /// Seconds since the Unix epoch, widened to what is kept.
    pub(crate) seconds: Range<u64>,
    pub(crate) used: Vec<UsageTotals>,
}

impl UsageHistory {
    /// Adds what `function` used at `second`, and forgets what is too old.
    pub(crate) fn add(&mut self, function: &FunctionName, second: u64, amounts: &UsageAmounts) {
        let buckets = self.0.entry(function.clone()).or_default();
        let minute = buckets.minutes.entry(second - second % MINUTE).or_default();
        *minute = minute.plus(amounts);
        self.forget(second);
    }

    /// Hours are sums of minutes that are no longer kept, so that nothing is counted twice.
    fn forget(&mut self, now: u64) {
        let oldest_minute = now.saturating_sub(MINUTES * MINUTE);
        let oldest_hour = now.saturating_sub(HOURS * HOUR);
        for buckets in self.0.values_mut() {
            while let Some(minute) =
                buckets.minutes.first_entry().filter(|minute| minute.key() + MINUTE <= oldest_minute)
            {
                let hour = minute.key() - minute.key() % HOUR;
                let amounts = minute.remove();
                let sum = buckets.hours.entry(hour).or_default();
                *sum = sum.plus(&amounts);
            }
            while let Some(hour) = buckets.hours.first_entry().filter(|hour| hour.key() + HOUR <= oldest_hour) {
                hour.remove();
            }
        }
        self.0.retain(|_, buckets| !buckets.minutes.is_empty() || !buckets.hours.is_empty());
    }

    /// What functions used in `seconds`: every bucket that begins within, of the period widened to whole buckets.
    pub(crate) fn period(&self, seconds: Range<u64>, function: Option<&FunctionName>) -> UsagePeriod {
        let wanted = self.0.iter().filter(|(name, _)| function.is_none_or(|function| function == *name));
        let mut widened = seconds.start - seconds.start % MINUTE..seconds.end.next_multiple_of(MINUTE);
        // Where hours are all that is left, a whole one is reported.
        let oldest_minute =
            wanted.clone().filter_map(|(_, buckets)| Some(*buckets.hours.last_key_value()?.0 + HOUR)).max();
        if oldest_minute.is_some_and(|oldest| widened.start < oldest) {
            widened.start -= widened.start % HOUR;
        }
        if oldest_minute.is_some_and(|oldest| widened.end < oldest) {
            widened.end = widened.end.next_multiple_of(HOUR);
        }
        let used = wanted.filter_map(|(name, buckets)| {
            let parts = buckets.hours.range(widened.clone()).chain(buckets.minutes.range(widened.clone()));
            let amounts = parts.fold(UsageAmounts::default(), |sum, (_, amounts)| sum.plus(amounts));
            (!amounts.is_zero()).then(|| UsageTotals { function: name.clone(), amounts })
        });
        let used = used.collect();
        UsagePeriod { seconds: widened, used }
    }

    /// Every bucket: when it began, whose it is, how much, the oldest first.
    pub(crate) fn buckets(&self) -> Vec<(u64, &FunctionName, &UsageAmounts)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .flat_map(|(name, buckets)| {
                buckets.hours.iter().chain(&buckets.minutes).map(move |(start, amounts)| (*start, name, amounts))
            })
            .collect();
        all.sort_by_key(|(start, name, _)| (*start, (*name).clone()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> FunctionName {
        FunctionName::new("mill").unwrap()
    }

    fn calls(calls: u64) -> UsageAmounts {
        UsageAmounts { calls, ..UsageAmounts::default() }
    }

    fn counted(history: &UsageHistory, seconds: Range<u64>) -> u64 {
        history.period(seconds, None).used.first().map_or(0, |used| used.amounts.calls)
    }

    #[test]
    fn a_period_holds_what_was_used_in_it() {
        let mut history = UsageHistory::default();
        let noon = 1_700_000_000 - 1_700_000_000 % HOUR;
        for minute in 0..10 {
            history.add(&name(), noon + minute * MINUTE + 30, &calls(1));
        }
        assert_eq!(counted(&history, noon..noon + 600), 10);
        assert_eq!(counted(&history, noon + 60..noon + 120), 1);
        let widened = history.period(noon + 61..noon + 62, None);
        assert_eq!((widened.seconds, widened.used[0].amounts.calls), (noon + 60..noon + 120, 1));
        let other = FunctionName::new("other").unwrap();
        assert!(history.period(noon..noon + 600, Some(&other)).used.is_empty());
    }

    #[test]
    fn old_minutes_become_hours_and_nothing_is_lost_or_counted_twice() {
        let mut history = UsageHistory::default();
        let start = 1_700_000_000 - 1_700_000_000 % HOUR;
        let minutes = MINUTES + 600;
        for minute in 0..minutes {
            history.add(&name(), start + minute * MINUTE, &calls(1));
        }
        let end = start + minutes * MINUTE;
        assert_eq!(counted(&history, start..end), minutes);
        assert_eq!(counted(&history, start..start + HOUR), 60);
        assert_eq!(history.period(start + 5..start + 6, None).seconds, start..start + HOUR);
        assert!(history.buckets().len() as u64 <= MINUTES + 1 + 12);

        let much_later = end + (HOURS + 10) * HOUR;
        history.add(&name(), much_later, &calls(7));
        assert_eq!(counted(&history, 0..much_later + MINUTE), 7);
        assert_eq!(history.buckets().len(), 1);
    }
}
