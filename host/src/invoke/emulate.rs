//! The start delays of another platform, so that a user can see what they do to a stream.

use std::time::Duration;

use crate::model::function::StartEmulation;

/// How an instance was when its call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartKind {
    Cold,
    Hot,
}

/// The delay of one start, drawn evenly from its range; nothing without emulation.
pub(crate) fn delay(emulation: Option<&StartEmulation>, start: StartKind) -> Duration {
    let Some(emulation) = emulation else { return Duration::ZERO };
    let (shortest, longest) = match start {
        StartKind::Cold => emulation.cold,
        StartKind::Hot => emulation.hot,
    };
    shortest + longest.saturating_sub(shortest).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_come_from_their_range() {
        let milliseconds = Duration::from_millis;
        let emulation = StartEmulation {
            cold: (milliseconds(5000), milliseconds(5000)),
            hot: (milliseconds(25), milliseconds(300)),
        };
        assert_eq!(delay(None, StartKind::Cold), Duration::ZERO);
        assert_eq!(delay(Some(&emulation), StartKind::Cold), milliseconds(5000));
        let drawn: Vec<_> = (0..1000).map(|_| delay(Some(&emulation), StartKind::Hot)).collect();
        assert!(drawn.iter().all(|delay| (milliseconds(25)..=milliseconds(300)).contains(delay)));
        assert!(drawn.iter().any(|delay| *delay < milliseconds(100)));
        assert!(drawn.iter().any(|delay| *delay > milliseconds(200)));
    }
}
