//! How long actions would have waited for Graph's quotas: the lanes that the
//! responder works in, over a time that is computed and not waited for.
//!
//! Architecture invariant: pure, and no figure of its own for a quota. Gates,
//! periods, bursts and the size of a batch are the responder's, so a forecast
//! cannot drift from what it foretells. What is left out makes it optimistic:
//! Graph answers, and the tenant's other applications ask for nothing.

use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use jiff::Timestamp;

use super::lanes::{
    DIRECTORY_WRITE_BURST, DIRECTORY_WRITE_PERIOD, Gate, IDENTITY_PROTECTION_PERIOD,
};
use super::outbox::BATCH_MAX;
use crate::model::ActionKind;

/// How long Graph takes for an answer: what it usually is (outbox). Only the
/// lane that counts from the answer feels it.
const ANSWER: Duration = Duration::from_millis(200);

/// An action as it would have been queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// When.
    pub at: Timestamp,
    /// Its score: the highest goes first.
    pub score: u8,
    /// What; it decides the lane.
    pub kind: ActionKind,
}

/// An action that would have gone out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// What was queued.
    pub queued: Queued,
    /// How long it waited for its lane.
    pub waited: Duration,
}

/// Lets the actions through their lanes. Returns them lane by lane, in the
/// order in which they would have gone out.
pub fn forecast(queued: &[Queued]) -> Vec<Sent> {
    let (mut protection, mut directory): (Vec<Queued>, Vec<Queued>) = queued
        .iter()
        .partition(|action| action.kind == ActionKind::ConfirmCompromised);
    let mut sent = Vec::with_capacity(queued.len());
    let writes = Terms {
        period: DIRECTORY_WRITE_PERIOD,
        burst: DIRECTORY_WRITE_BURST,
        batch: 1,
        from_the_answer: false,
    };
    through(&mut directory, writes, &mut sent);
    let confirms = Terms {
        period: IDENTITY_PROTECTION_PERIOD,
        burst: NonZeroU32::MIN,
        batch: BATCH_MAX,
        from_the_answer: true,
    };
    through(&mut protection, confirms, &mut sent);
    sent
}

/// How a lane is worked in.
#[derive(Clone, Copy)]
struct Terms {
    period: Duration,
    burst: NonZeroU32,
    /// Actions of one request.
    batch: usize,
    /// Whether the next request waits for the answer to this one.
    from_the_answer: bool,
}

/// One lane: whoever is most dangerous of those that wait goes next.
fn through(queued: &mut [Queued], terms: Terms, sent: &mut Vec<Sent>) {
    queued.sort_by_key(|action| (action.at, std::cmp::Reverse(action.score)));
    let Some(start) = queued.first().map(|action| action.at) else {
        return;
    };
    let since = |at: Timestamp| at.duration_since(start).unsigned_abs();
    let clock = FakeRelativeClock::default();
    let mut gate = Gate::new(terms.period, terms.burst, clock.clone());
    let mut now = Duration::ZERO;
    let mut waiting: BinaryHeap<(u8, std::cmp::Reverse<usize>)> = BinaryHeap::new();
    let mut next = 0;
    loop {
        while let Some(action) = queued.get(next).filter(|action| since(action.at) <= now) {
            waiting.push((action.score, std::cmp::Reverse(next)));
            next += 1;
        }
        let pause = match (waiting.is_empty(), queued.get(next)) {
            (true, None) => return,
            (true, Some(action)) => since(action.at) - now,
            (false, _) if !gate.wait().is_zero() => gate.wait(),
            (false, _) => gate.take().err().unwrap_or_default(),
        };
        if !pause.is_zero() {
            clock.advance(pause);
            now += pause;
            continue;
        }
        for _ in 0..terms.batch {
            let Some((_, std::cmp::Reverse(index))) = waiting.pop() else {
                break;
            };
            if let Some(action) = queued.get(index) {
                sent.push(Sent {
                    queued: *action,
                    waited: now - since(action.at),
                });
            }
        }
        if terms.from_the_answer {
            clock.advance(ANSWER);
            now += ANSWER;
            gate.restart();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn many(count: usize, kind: ActionKind) -> Vec<Queued> {
        let one = Queued {
            at: at(0),
            score: 90,
            kind,
        };
        vec![one; count]
    }

    fn longest(sent: &[Sent]) -> f64 {
        let waited = sent.iter().map(|sent| sent.waited).max();
        waited.unwrap_or_default().as_secs_f64()
    }

    #[test]
    fn a_burst_goes_out_at_once_and_what_is_beyond_it_at_the_lane_s_pace() {
        let revoke = ActionKind::RevokeSessions;
        assert_eq!(longest(&forecast(&many(100, revoke))), 0.0);
        // 1,900 beyond the burst of 100, at 19 a second.
        let waited = longest(&forecast(&many(2_000, revoke)));
        assert!((99.0..=101.0).contains(&waited), "{waited}");
    }

    #[test]
    fn confirmations_share_a_request() {
        let confirm = ActionKind::ConfirmCompromised;
        assert_eq!(longest(&forecast(&many(60, confirm))), 0.0);
        // The third request waits for two answers and two periods.
        let waited = longest(&forecast(&many(121, confirm)));
        assert!((2.4..=2.6).contains(&waited), "{waited}");
    }

    #[test]
    fn the_most_dangerous_overtakes_and_a_quiet_time_fills_the_lane_again() {
        let mut queued = many(300, ActionKind::RevokeSessions);
        let late = Queued {
            at: at(2),
            score: 99,
            kind: ActionKind::RevokeSessions,
        };
        queued.push(late);
        queued.push(Queued {
            at: at(7_200),
            ..late
        });
        let sent = forecast(&queued);
        assert_eq!(sent.len(), 302);
        for overtaking in sent.iter().filter(|sent| sent.queued.score == 99) {
            assert!(overtaking.waited < Duration::from_millis(100));
        }
        assert!(longest(&sent) > 10.0);
    }

    #[test]
    fn nothing_queued_waits_for_nothing() {
        assert_eq!(forecast(&[]), []);
    }
}
