//! The hour in which actions would have waited longest for Graph's quotas.
//!
//! Invariant: the lanes are the responder's own ([`forecast`]); here their
//! answer is only sorted into hours. All actions go through in one run, so
//! what an hour leaves over is waited for in the next.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::report::{Quotas, Wait};
use crate::respond::forecast::{Queued, forecast};

const HOUR: i64 = 3_600;

/// The worst hour of what is done unattended, and of everything had each
/// question been answered with yes at once.
pub(super) fn quotas(unattended: &[Queued], all: &[Queued]) -> Quotas {
    Quotas {
        unattended: worst_hour(unattended),
        all_approved: worst_hour(all),
    }
}

/// The hour with the longest wait; among equals the busiest, then the first.
fn worst_hour(queued: &[Queued]) -> Option<Wait> {
    let mut hours: BTreeMap<i64, (Duration, u64)> = BTreeMap::new();
    for sent in forecast(queued) {
        let hour = sent.queued.at.as_second().div_euclid(HOUR);
        let (longest, actions) = hours.entry(hour).or_default();
        *longest = sent.waited.max(*longest);
        *actions += 1;
    }
    let worst = *hours.values().max()?;
    let (hour, (longest, actions)) = hours.iter().find(|(_, found)| **found == worst)?;
    Some(Wait {
        hour: Timestamp::from_second(hour * HOUR).unwrap_or(Timestamp::MIN),
        actions: *actions,
        longest_seconds: (longest.as_secs_f64() * 10.0).round() / 10.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ActionKind;

    fn burst(at: &str, count: usize) -> Vec<Queued> {
        let one = Queued {
            at: at.parse().unwrap(),
            score: 90,
            kind: ActionKind::RevokeSessions,
        };
        vec![one; count]
    }

    #[test]
    fn the_hour_with_the_longest_wait_is_named() {
        let mut all = burst("2026-11-02T08:10:00Z", 50);
        all.extend(burst("2026-11-02T10:59:59Z", 480));
        all.extend(burst("2026-11-02T11:30:00Z", 90));
        let quotas = quotas(&all[..50], &all);
        let hour = |wait: Wait| (wait.hour.to_string(), wait.actions, wait.longest_seconds);
        assert_eq!(
            quotas.unattended.map(hour),
            Some(("2026-11-02T08:00:00Z".to_owned(), 50, 0.0))
        );
        // 380 beyond the burst, at 19 a second.
        assert_eq!(
            quotas.all_approved.map(hour),
            Some(("2026-11-02T10:00:00Z".to_owned(), 480, 20.0))
        );
        assert_eq!(super::quotas(&[], &[]), Quotas::default());
    }
}
