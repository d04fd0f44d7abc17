//! How long to wait before a link is opened again.
//!
//! Invariant: no wait is zero and none exceeds half a minute, so an outage
//! costs the broker little and its end is noticed soon. Waits grow until a
//! link has worked for a whole minute; a link that dies each time after a
//! second is not a working one.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The first wait, before jitter.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait before jitter, which adds up to as much again.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// A link that worked this long starts over with the shortest wait.
const HEALTHY: Duration = Duration::from_secs(60);

/// Waits of one partition or one hub: 100 ms, 200 ms, … to 30 s at most.
#[derive(Debug)]
pub(super) struct Backoff {
    waits: ExponentialBackoff,
}

impl Backoff {
    pub(super) fn new() -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(WAIT_MIN)
            .with_max_delay(WAIT_MAX)
            .with_jitter()
            .without_max_times()
            .build();
        Self { waits }
    }

    /// The next wait, after a link that worked for `worked`.
    pub(super) fn after(&mut self, worked: Duration) -> Duration {
        if worked >= HEALTHY {
            *self = Self::new();
        }
        self.waits.next().unwrap_or(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_start_over_after_a_healthy_minute() {
        let mut backoff = Backoff::new();
        let first = backoff.after(Duration::ZERO);
        assert!((WAIT_MIN..=2 * WAIT_MIN).contains(&first), "{first:?}");
        for _ in 0..40 {
            let wait = backoff.after(Duration::from_secs(59));
            assert!(wait > Duration::ZERO && wait <= 2 * WAIT_MAX, "{wait:?}");
        }
        assert!(backoff.after(Duration::ZERO) >= WAIT_MAX);
        assert!(backoff.after(HEALTHY) <= 2 * WAIT_MIN);
    }
}
