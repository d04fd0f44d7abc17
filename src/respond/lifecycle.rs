//! The life of an action: the only place where its state changes.
//!
//! Architecture invariant: pure. The store asks [`next`] before it writes a
//! state and the responder settles only what [`next`] allows, so an action is
//! never sent twice by accident, never revived after a human's no except by
//! asking again, and never done to a protected account. An illegal step is an
//! error for whoever asked, never a panic and never a silent write.
//!
//! ```text
//!            ┌──► awaiting_approval ──► denied | expired | withdrawn
//!  ordered ──┤           │ approved
//!            ├──► queued ◄┘ ──► sending ──► acknowledged | failed | refused
//!            │      ▲ released, deferred │
//!            │      └────────────────────┘
//!            └──► refused
//! ```

use std::fmt;

use crate::model::{ActionKind, ActionState, Admission, Effect, UserRef};

/// An order after the guard has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Do it at once.
    Act,
    /// The policies say act, the guard says ask first.
    ActAfterAsking,
    /// The policies say ask.
    Ask,
    /// The guard says not at all.
    Refuse,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 4] = [Self::Act, Self::ActAfterAsking, Self::Ask, Self::Refuse];

    /// What is left of an order after the guard's word; `None` for shadow,
    /// which orders nothing. What needs a human's yes is asked about, however
    /// it was ordered.
    pub fn of(
        kind: ActionKind,
        user: &UserRef,
        effect: Effect,
        admission: Admission,
    ) -> Option<Self> {
        match (effect, admission) {
            (Effect::Shadow, _) => None,
            (_, Admission::Refused(_)) => Some(Self::Refuse),
            (Effect::Ask, Admission::Admitted | Admission::Demoted(_)) => Some(Self::Ask),
            (Effect::Act, Admission::Admitted) if kind.needs_approval_for(user) => {
                Some(Self::ActAfterAsking)
            }
            (Effect::Act, Admission::Admitted) => Some(Self::Act),
            (Effect::Act, Admission::Demoted(_)) => Some(Self::ActAfterAsking),
        }
    }
}

/// What can happen to an action that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A further decision of the case calls for it: see [`reorder`].
    Ordered(Call),
    /// The responder takes it.
    Claimed,
    /// The claim's owner died or stopped before it settled.
    Released,
    /// Graph answered 2xx.
    Acknowledged,
    /// It is tried again later.
    Deferred,
    /// The guard, asked again just before the call, refused it.
    Refused,
    /// Graph refused it for good, or the attempts are used up.
    Failed,
    /// As many people as needed said yes.
    Approved,
    /// A human said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The question is taken back: nothing calls for it any more, or a newer
    /// question stands in its place.
    Withdrawn,
    /// Nobody answered in time, or the question was withdrawn, and the theft
    /// goes on: the question stands again. A no is not asked again for more of
    /// the same.
    AskedAgain,
}

impl Transition {
    /// The step that settles a claimed action in `state`; `None` where no
    /// settlement leads there.
    pub fn settling(state: ActionState) -> Option<Self> {
        match state {
            ActionState::Queued => Some(Self::Deferred),
            ActionState::Acknowledged => Some(Self::Acknowledged),
            ActionState::Refused => Some(Self::Refused),
            ActionState::Failed => Some(Self::Failed),
            ActionState::AwaitingApproval
            | ActionState::Sending
            | ActionState::Denied
            | ActionState::Expired
            | ActionState::Withdrawn => None,
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ordered(_) => "ordered",
            Self::Claimed => "claimed",
            Self::Released => "released",
            Self::Acknowledged => "acknowledged",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::AskedAgain => "asked about again",
        })
    }
}

/// A step that an action in this state cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an action that is {from} cannot be {transition}")]
pub struct IllegalTransition {
    /// Where the action is.
    pub from: ActionState,
    /// What was to happen to it.
    pub transition: Transition,
}

/// The state a new action begins in.
pub fn opening(call: Call) -> ActionState {
    match call {
        Call::Act => ActionState::Queued,
        Call::ActAfterAsking | Call::Ask => ActionState::AwaitingApproval,
        Call::Refuse => ActionState::Refused,
    }
}

/// What a further decision of the same case makes of an action that exists.
///
/// New evidence may queue what waits for a human, and may try again what
/// failed. It does not override a human: after a no, or a silence that counts
/// as no, an order to act asks again. A question that was withdrawn has had no
/// answer, so new evidence asks it. What is on its way or done stays.
pub fn reorder(existing: ActionState, call: Call) -> ActionState {
    use ActionState as S;
    match (existing, call) {
        (S::AwaitingApproval | S::Failed, Call::Act) => S::Queued,
        (S::AwaitingApproval, Call::Refuse) => S::Refused,
        (S::Denied | S::Expired, Call::Act | Call::ActAfterAsking)
        | (S::Withdrawn, Call::Act | Call::ActAfterAsking | Call::Ask)
        | (S::Failed, Call::ActAfterAsking) => S::AwaitingApproval,
        (
            S::AwaitingApproval | S::Denied | S::Expired | S::Withdrawn | S::Failed,
            Call::ActAfterAsking | Call::Ask | Call::Refuse,
        )
        | (S::Queued | S::Sending | S::Acknowledged | S::Refused, _) => existing,
    }
}

/// The state after `transition`.
///
/// # Errors
/// When an action in this state cannot take that step.
pub fn next(state: ActionState, transition: Transition) -> Result<ActionState, IllegalTransition> {
    use ActionState as S;
    use Transition as T;
    match (state, transition) {
        (existing, T::Ordered(call)) => Ok(reorder(existing, call)),
        (S::AwaitingApproval, T::Approved) => Ok(S::Queued),
        (S::AwaitingApproval, T::Denied) => Ok(S::Denied),
        (S::AwaitingApproval, T::Expired) => Ok(S::Expired),
        (S::AwaitingApproval, T::Withdrawn) => Ok(S::Withdrawn),
        (S::Expired | S::Withdrawn, T::AskedAgain) => Ok(S::AwaitingApproval),
        (S::Queued, T::Claimed) => Ok(S::Sending),
        (S::Sending, T::Released | T::Deferred) => Ok(S::Queued),
        (S::Sending, T::Acknowledged) => Ok(S::Acknowledged),
        (S::Sending, T::Refused) => Ok(S::Refused),
        (S::Sending, T::Failed) => Ok(S::Failed),
        (from, transition) => Err(IllegalTransition { from, transition }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GuardReason, UserId};
    use ActionState as S;
    use Transition as T;

    const STEPS: [Transition; 11] = [
        T::Claimed,
        T::Released,
        T::Acknowledged,
        T::Deferred,
        T::Refused,
        T::Failed,
        T::Approved,
        T::Denied,
        T::Expired,
        T::Withdrawn,
        T::AskedAgain,
    ];

    fn somebody(workload: bool) -> UserRef {
        UserRef {
            id: UserId::new("u"),
            principal_name: "".into(),
            guest: false,
            workload,
        }
    }

    #[test]
    fn every_state_takes_the_steps_of_the_table_and_no_other() {
        let legal = [
            (S::AwaitingApproval, T::Approved, S::Queued),
            (S::AwaitingApproval, T::Denied, S::Denied),
            (S::AwaitingApproval, T::Expired, S::Expired),
            (S::AwaitingApproval, T::Withdrawn, S::Withdrawn),
            (S::Expired, T::AskedAgain, S::AwaitingApproval),
            (S::Withdrawn, T::AskedAgain, S::AwaitingApproval),
            (S::Queued, T::Claimed, S::Sending),
            (S::Sending, T::Released, S::Queued),
            (S::Sending, T::Deferred, S::Queued),
            (S::Sending, T::Acknowledged, S::Acknowledged),
            (S::Sending, T::Refused, S::Refused),
            (S::Sending, T::Failed, S::Failed),
        ];
        for from in S::ALL {
            for transition in STEPS {
                let expected = legal
                    .iter()
                    .find(|(state, step, _)| (*state, *step) == (from, transition))
                    .map(|(_, _, to)| *to)
                    .ok_or(IllegalTransition { from, transition });
                assert_eq!(next(from, transition), expected, "{from} {transition}");
            }
        }
    }

    #[test]
    fn a_further_order_does_what_the_table_says_in_every_state() {
        use Call as C;
        // Columns: Act, ActAfterAsking, Ask, Refuse.
        let table = [
            (
                S::AwaitingApproval,
                [
                    S::Queued,
                    S::AwaitingApproval,
                    S::AwaitingApproval,
                    S::Refused,
                ],
            ),
            (S::Queued, [S::Queued; 4]),
            (S::Sending, [S::Sending; 4]),
            (S::Acknowledged, [S::Acknowledged; 4]),
            (S::Refused, [S::Refused; 4]),
            (
                S::Failed,
                [S::Queued, S::AwaitingApproval, S::Failed, S::Failed],
            ),
            (
                S::Denied,
                [
                    S::AwaitingApproval,
                    S::AwaitingApproval,
                    S::Denied,
                    S::Denied,
                ],
            ),
            (
                S::Expired,
                [
                    S::AwaitingApproval,
                    S::AwaitingApproval,
                    S::Expired,
                    S::Expired,
                ],
            ),
            (
                S::Withdrawn,
                [
                    S::AwaitingApproval,
                    S::AwaitingApproval,
                    S::AwaitingApproval,
                    S::Withdrawn,
                ],
            ),
        ];
        assert_eq!(table.map(|(state, _)| state).len(), S::ALL.len());
        for (from, to) in table {
            for (call, expected) in C::ALL.into_iter().zip(to) {
                assert_eq!(reorder(from, call), expected, "{from} {call:?}");
                assert_eq!(next(from, T::Ordered(call)), Ok(expected));
            }
        }
    }

    #[test]
    fn only_an_admitted_order_to_act_is_queued_without_a_human() {
        let reason = GuardReason::Paused;
        let table = [
            (Effect::Shadow, Admission::Admitted, None),
            (Effect::Shadow, Admission::Refused(reason), None),
            (Effect::Ask, Admission::Admitted, Some(S::AwaitingApproval)),
            (
                Effect::Ask,
                Admission::Demoted(reason),
                Some(S::AwaitingApproval),
            ),
            (Effect::Ask, Admission::Refused(reason), Some(S::Refused)),
            (Effect::Act, Admission::Admitted, Some(S::Queued)),
            (
                Effect::Act,
                Admission::Demoted(reason),
                Some(S::AwaitingApproval),
            ),
            (Effect::Act, Admission::Refused(reason), Some(S::Refused)),
        ];
        for (effect, admission, expected) in table {
            for kind in [ActionKind::RevokeSessions, ActionKind::ConfirmCompromised] {
                let state = Call::of(kind, &somebody(false), effect, admission).map(opening);
                assert_eq!(state, expected, "{kind} {effect} {admission:?}");
            }
            // What needs a human's yes has one more state to pass through.
            let asked = expected.map(|state| match state {
                S::Queued => S::AwaitingApproval,
                state => state,
            });
            for (kind, workload) in [
                (ActionKind::ResetPassword, false),
                (ActionKind::ConfirmCompromised, true),
            ] {
                let state = Call::of(kind, &somebody(workload), effect, admission).map(opening);
                assert_eq!(state, asked, "{kind} {effect} {admission:?}");
            }
        }
    }

    #[test]
    fn a_settlement_leads_from_sending_to_the_state_it_names() {
        for state in S::ALL {
            match Transition::settling(state) {
                Some(step) => assert_eq!(next(S::Sending, step), Ok(state)),
                None => assert!(matches!(
                    state,
                    S::AwaitingApproval | S::Sending | S::Denied | S::Expired | S::Withdrawn
                )),
            }
        }
    }
}
