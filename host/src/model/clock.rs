//! Moments as numbers.

use std::time::{SystemTime, UNIX_EPOCH};

/// `moment` in milliseconds since the Unix epoch; 0 for one before it.
pub(crate) fn unix_ms(moment: SystemTime) -> u64 {
    let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    unix_ms(SystemTime::now())
}
