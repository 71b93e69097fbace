//! The start delays of another platform, so that a user can see what they do to a stream.

use std::time::Duration;

use crate::model::function::Emulation;

/// How an instance was when its call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// New.
    Cold,
    /// Ready.
    Hot,
}

/// The delay of one start, drawn evenly from its range; nothing without emulation.
pub fn delay(emulation: Option<&Emulation>, start: Start) -> Duration {
    let Some(emulation) = emulation else { return Duration::ZERO };
    let (shortest, longest) = match start {
        Start::Cold => emulation.cold,
        Start::Hot => emulation.hot,
    };
    shortest + longest.saturating_sub(shortest).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_come_from_their_range() {
        let milliseconds = Duration::from_millis;
        let emulation =
            Emulation { cold: (milliseconds(5000), milliseconds(5000)), hot: (milliseconds(25), milliseconds(300)) };
        assert_eq!(delay(None, Start::Cold), Duration::ZERO);
        assert_eq!(delay(Some(&emulation), Start::Cold), milliseconds(5000));
        let drawn: Vec<_> = (0..1000).map(|_| delay(Some(&emulation), Start::Hot)).collect();
        assert!(drawn.iter().all(|delay| (milliseconds(25)..=milliseconds(300)).contains(delay)));
        assert!(drawn.iter().any(|delay| *delay < milliseconds(100)));
        assert!(drawn.iter().any(|delay| *delay > milliseconds(200)));
    }
}
