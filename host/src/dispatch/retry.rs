//! What follows a failed attempt (design: "What becomes of an outcome").

use std::time::Duration;

use crate::model::function::RetryPolicy;
use crate::model::outcome::GuestFault;

/// What to do with a record whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Try again after this wait.
    Again(Duration),
    /// Give it up: a dead letter.
    GiveUp,
}

/// Decides after attempt number `attempt` (from 1) ended with `fault`.
pub(crate) fn decide(settings: &RetryPolicy, attempt: u32, fault: &GuestFault) -> RetryDecision {
    if !fault.class.is_retried() || attempt >= settings.max_attempts {
        return RetryDecision::GiveUp;
    }
    if let Some(wanted) = fault.retry_after {
        return RetryDecision::Again(wanted.min(settings.backoff_max));
    }
    let doublings = (attempt - 1).min(20);
    RetryDecision::Again(settings.backoff.saturating_mul(1 << doublings).min(settings.backoff_max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::FaultClass;

    const SETTINGS: RetryPolicy =
        RetryPolicy { max_attempts: 4, backoff: Duration::from_millis(100), backoff_max: Duration::from_millis(350) };

    #[test]
    fn waits_double_up_to_the_longest() {
        let fault = GuestFault::new(FaultClass::Trap, "x");
        let decisions: Vec<_> = (1..=4).map(|attempt| decide(&SETTINGS, attempt, &fault)).collect();
        let again = |millis| RetryDecision::Again(Duration::from_millis(millis));
        assert_eq!(decisions, [again(100), again(200), again(350), RetryDecision::GiveUp]);
    }

    #[test]
    fn a_wait_that_the_guest_asks_for_is_capped() {
        let mut fault = GuestFault::new(FaultClass::Retry, "later");
        fault.retry_after = Some(Duration::from_secs(3600));
        assert_eq!(decide(&SETTINGS, 1, &fault), RetryDecision::Again(SETTINGS.backoff_max));
        fault.retry_after = Some(Duration::ZERO);
        assert_eq!(decide(&SETTINGS, 1, &fault), RetryDecision::Again(Duration::ZERO));
    }

    #[test]
    fn some_classes_are_given_up_at_once() {
        for class in [FaultClass::Reject, FaultClass::Memory, FaultClass::OutputLimit, FaultClass::Undecodable] {
            assert_eq!(decide(&SETTINGS, 1, &GuestFault::new(class, "x")), RetryDecision::GiveUp, "{class}");
        }
    }
}
