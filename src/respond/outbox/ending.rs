//! What becomes of an action before and after its call.
//!
//! Invariant: pure, and every branch ends in a settlement that
//! `respond::lifecycle` allows for an action that is `sending`. Failing closed:
//! what the guard would rather have asked about is not done unasked.

use jiff::{SignedDuration, Timestamp};

use super::super::graph::{End, Outcome};
use crate::model::{ActionState, Admission, GuardReason};
use crate::store::{Claimed, Settlement};

/// How long an action is tried. Past a day a human has more to do than wait
/// for us, and a revoke would mostly hit sessions born since.
const TRIED_FOR_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What the guard's second word means for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Send it.
    Send,
    /// Not now.
    Hold,
    /// Not at all.
    End {
        state: ActionState,
        reason: GuardReason,
    },
}

/// `approved`: a human has said yes. `paused`: a human has paused effects.
/// `waited`: since it was queued.
pub(super) fn before_call(
    admission: Admission,
    approved: bool,
    paused: bool,
    waited: SignedDuration,
) -> Before {
    match admission {
        // Protection outlasts a pause.
        Admission::Refused(reason) if reason != GuardReason::Paused => Before::End {
            state: ActionState::Refused,
            reason,
        },
        _ if paused => Before::Hold,
        // A pause or an outage has held it up for as long as it would be tried.
        Admission::Admitted if !approved && waited >= TRIED_FOR_MAX => Before::End {
            state: ActionState::Failed,
            reason: GuardReason::StaleEvent,
        },
        Admission::Admitted => Before::Send,
        Admission::Refused(_) | Admission::Demoted(GuardReason::Paused) => Before::Hold,
        // What a demotion asks for has been given.
        Admission::Demoted(_) if approved => Before::Send,
        // A claimed action cannot become a question again; a failed one is
        // shown to a human first of all.
        Admission::Demoted(reason) => Before::End {
            state: ActionState::Failed,
            reason,
        },
    }
}

/// Queued again, unsent, until `not_before`.
pub(super) fn put_back(action: &Claimed, not_before: Timestamp) -> Settlement {
    Settlement {
        id: action.id,
        state: ActionState::Queued,
        not_before: Some(not_before),
        outcome: "held before it was sent".to_owned(),
        sent: false,
    }
}

/// Ended by the guard.
pub(super) fn stopped(action: &Claimed, state: ActionState, reason: GuardReason) -> Settlement {
    Settlement {
        id: action.id,
        state,
        not_before: None,
        outcome: format!("stopped by the guard: {reason}"),
        sent: false,
    }
}

/// After a call with this outcome, which calls for this end.
pub(super) fn after_call(
    action: &Claimed,
    outcome: &Outcome,
    end: End,
    now: Timestamp,
) -> Settlement {
    let settled = |state, not_before, text| Settlement {
        id: action.id,
        state,
        not_before,
        outcome: text,
        sent: outcome.was_sent(),
    };
    match end {
        End::Done => settled(ActionState::Acknowledged, None, outcome.to_string()),
        End::Final => settled(ActionState::Failed, None, outcome.to_string()),
        End::Retry { .. } if now.duration_since(action.queued_at) >= TRIED_FOR_MAX => settled(
            ActionState::Failed,
            None,
            format!("given up after {} h: {outcome}", TRIED_FOR_MAX.as_hours()),
        ),
        End::Retry { after } => {
            let then = now.saturating_add(after).unwrap_or(Timestamp::MAX);
            settled(ActionState::Queued, Some(then), outcome.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{ActionId, ActionKind, CaseId, RecordId, UserId, UserRef};
    use crate::respond::lifecycle::Transition;

    fn action(queued_at: Timestamp) -> Claimed {
        let user = UserId::new("u");
        let record = RecordId::new("r");
        let case = CaseId::derive(&user, &record);
        Claimed {
            id: ActionId::derive(&case, ActionKind::RevokeSessions, &record),
            case,
            kind: ActionKind::RevokeSessions,
            user: UserRef {
                id: user,
                principal_name: "".into(),
                guest: false,
                workload: false,
            },
            score: 90,
            approved: false,
            attempts: 3,
            event_at: queued_at,
            enqueued_at: queued_at,
            queued_at,
        }
    }

    #[test]
    fn the_guard_is_obeyed_before_the_call() {
        use Admission::{Admitted, Demoted, Refused};
        use GuardReason::{Paused, ProtectedAccount, StaleEvent};
        let end = |state, reason| Before::End { state, reason };
        for (admission, approved, paused, before) in [
            (Admitted, false, false, Before::Send),
            (Admitted, true, false, Before::Send),
            (Admitted, true, true, Before::Hold),
            (Refused(Paused), false, false, Before::Hold),
            (Demoted(Paused), true, false, Before::Hold),
            (Demoted(StaleEvent), true, false, Before::Send),
            (Demoted(StaleEvent), true, true, Before::Hold),
            (
                Demoted(StaleEvent),
                false,
                false,
                end(ActionState::Failed, StaleEvent),
            ),
            (
                Refused(ProtectedAccount),
                true,
                false,
                end(ActionState::Refused, ProtectedAccount),
            ),
            (
                Refused(ProtectedAccount),
                true,
                true,
                end(ActionState::Refused, ProtectedAccount),
            ),
        ] {
            assert_eq!(
                before_call(admission, approved, paused, SignedDuration::ZERO),
                before,
                "{admission:?} {approved} {paused}"
            );
        }
    }

    #[test]
    fn what_waited_a_day_is_done_only_if_a_human_said_so() {
        let stale = Before::End {
            state: ActionState::Failed,
            reason: GuardReason::StaleEvent,
        };
        let day = SignedDuration::from_hours(24);
        let second = SignedDuration::from_secs(1);
        for (waited, approved, paused, before) in [
            (day - second, false, false, Before::Send),
            (day, false, false, stale),
            (day, false, true, Before::Hold),
            (day, true, false, Before::Send),
        ] {
            assert_eq!(
                before_call(Admission::Admitted, approved, paused, waited),
                before,
                "{waited} {approved} {paused}"
            );
        }
    }

    #[test]
    fn an_action_is_tried_for_a_day_and_then_given_to_a_human() {
        let queued: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let end = End::Retry {
            after: Duration::from_secs(2),
        };
        let settle = |hours: i64, seconds: i64| {
            let age = SignedDuration::from_hours(hours) + SignedDuration::from_secs(seconds);
            let now = queued + age;
            (
                now,
                after_call(&action(queued), &Outcome::TimedOut, end, now),
            )
        };
        let (now, young) = settle(24, -1);
        assert_eq!(young.state, ActionState::Queued);
        assert_eq!(young.not_before, Some(now + Duration::from_secs(2)));
        assert_eq!(young.outcome, "timed out");
        let (_, old) = settle(24, 0);
        assert_eq!(old.state, ActionState::Failed);
        assert_eq!(old.outcome, "given up after 24 h: timed out");
        assert!(old.sent);
    }

    #[test]
    fn success_counts_however_late_it_comes() {
        let queued: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let now = queued + SignedDuration::from_hours(30);
        let outcome = Outcome::Acknowledged { status: 204 };
        let settled = after_call(&action(queued), &outcome, End::Done, now);
        assert_eq!(settled.state, ActionState::Acknowledged);
        assert_eq!(settled.outcome, "204");
    }

    #[test]
    fn every_settlement_is_one_that_the_lifecycle_allows() {
        let queued: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let action = action(queued);
        let retry = End::Retry {
            after: Duration::ZERO,
        };
        let reason = GuardReason::ProtectedAccount;
        let settlements = [
            put_back(&action, queued),
            stopped(&action, ActionState::Refused, reason),
            stopped(&action, ActionState::Failed, reason),
            after_call(&action, &Outcome::NotFound, End::Final, queued),
            after_call(&action, &Outcome::TimedOut, retry, queued),
            after_call(&action, &Outcome::TimedOut, End::Done, queued),
        ];
        for settlement in settlements {
            assert!(
                Transition::settling(settlement.state).is_some(),
                "{settlement:?}"
            );
        }
    }
}
