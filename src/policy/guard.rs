//! The guard: what stands between a decision and an action.
//!
//! Invariant: it fails towards asking, never towards acting. A protected
//! account is never acted on, by nobody's approval; everything else that
//! speaks against acting unattended turns the action into a question. It is
//! pure: whoever asks tells it the time and how much was done.

use jiff::{SignedDuration, Timestamp};

use super::scope::UserList;
use crate::model::{Admission, Effect, GuardReason, UserRef};

/// How far in the future an event may claim to be. Entra's clocks and ours
/// are both kept by NTP; more than this and the time cannot be believed.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The guard's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Accounts that evictd never acts on: the break-glass accounts.
    pub protected: UserList,
    /// An event older than this no longer justifies acting unattended.
    pub stale_after: SignedDuration,
    /// How many users may be acted on unattended per hour; 0 for none.
    pub acts_per_hour: u32,
}

impl Default for Guard {
    /// No protected account, 60 minutes, 50 users: what a set without a
    /// guard file gets.
    fn default() -> Self {
        Self {
            protected: UserList::default(),
            stale_after: SignedDuration::from_mins(60),
            acts_per_hour: 50,
        }
    }
}

/// What the guard must be told of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The daemon's clock.
    pub now: Timestamp,
    /// Whether a human paused unattended actions.
    pub paused: bool,
    /// Users acted on unattended in the hour before `now`, this one not among
    /// them.
    pub acts_last_hour: u32,
}

impl Situation {
    /// Recorded evidence is judged as if it had just happened, and alone.
    pub fn as_recorded(at: Timestamp) -> Self {
        Self {
            now: at,
            paused: false,
            acts_last_hour: 0,
        }
    }
}

impl Guard {
    /// Judges a decision when it is made. `event_at` is when the event that
    /// led to it happened.
    pub fn at_decision(
        &self,
        user: &UserRef,
        event_at: Timestamp,
        effect: Effect,
        situation: &Situation,
    ) -> Admission {
        if effect == Effect::Shadow {
            return Admission::Admitted;
        }
        if self.protected.holds(user) {
            return Admission::Refused(GuardReason::ProtectedAccount);
        }
        if effect == Effect::Ask {
            return Admission::Admitted;
        }
        if self.protected.may_hold(user) {
            // Nobody knows the name behind the id: a human may.
            Admission::Demoted(GuardReason::ProtectedAccount)
        } else if situation.paused {
            Admission::Demoted(GuardReason::Paused)
        } else if self.is_stale(event_at, situation.now) {
            Admission::Demoted(GuardReason::StaleEvent)
        } else if situation.acts_last_hour >= self.acts_per_hour {
            Admission::Demoted(GuardReason::BudgetSpent)
        } else {
            Admission::Admitted
        }
    }

    /// Judges an action just before its call: the account may have become
    /// protected since it was ordered, or approved by somebody who should
    /// not have.
    pub fn before_call(&self, user: &UserRef) -> Admission {
        if self.protected.holds(user) {
            Admission::Refused(GuardReason::ProtectedAccount)
        } else {
            Admission::Admitted
        }
    }

    fn is_stale(&self, event_at: Timestamp, now: Timestamp) -> bool {
        let age = now.duration_since(event_at);
        age > self.stale_after || age < -SKEW_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    const NOW: i64 = 1_800_000_000;

    fn user(name: &str) -> UserRef {
        UserRef {
            id: UserId::new("11111111-2222-3333-4444-555555555555"),
            principal_name: name.into(),
            guest: false,
            workload: false,
        }
    }

    fn guard() -> Guard {
        Guard {
            protected: ["breakglass@contoso.example"].into_iter().collect(),
            stale_after: SignedDuration::from_mins(60),
            acts_per_hour: 3,
        }
    }

    #[test]
    fn a_decision_is_admitted_demoted_or_refused_for_the_first_reason_that_holds() {
        use Admission::{Admitted, Demoted, Refused};
        use Effect::{Act, Ask, Shadow};
        use GuardReason::{BudgetSpent, Paused, ProtectedAccount, StaleEvent};

        struct Case(&'static str, Effect, i64, bool, u32, Admission);
        let table = [
            Case("alice", Act, 0, false, 0, Admitted),
            // Protected: neither done nor asked about; shadow is only a record.
            Case("BreakGlass", Act, 0, false, 0, Refused(ProtectedAccount)),
            Case("breakglass", Ask, 0, false, 0, Refused(ProtectedAccount)),
            Case("breakglass", Shadow, 0, false, 0, Admitted),
            Case("breakglass", Act, 7_200, true, 9, Refused(ProtectedAccount)),
            // Paused.
            Case("alice", Act, 0, true, 0, Demoted(Paused)),
            Case("alice", Ask, 0, true, 0, Admitted),
            Case("alice", Shadow, 0, true, 0, Admitted),
            Case("alice", Act, 7_200, true, 9, Demoted(Paused)),
            // Stale, by its age in seconds.
            Case("alice", Act, 3_600, false, 0, Admitted),
            Case("alice", Act, 3_601, false, 0, Demoted(StaleEvent)),
            Case("alice", Ask, 3_601, false, 0, Admitted),
            Case("alice", Act, -300, false, 0, Admitted),
            Case("alice", Act, -301, false, 0, Demoted(StaleEvent)),
            Case("alice", Act, 3_601, false, 9, Demoted(StaleEvent)),
            // Budget.
            Case("alice", Act, 0, false, 2, Admitted),
            Case("alice", Act, 0, false, 3, Demoted(BudgetSpent)),
            Case("alice", Ask, 0, false, 3, Admitted),
        ];
        for Case(name, effect, age, paused, acts_last_hour, expected) in table {
            let admission = guard().at_decision(
                &user(&format!("{name}@contoso.example")),
                Timestamp::from_second(NOW - age).unwrap(),
                effect,
                &Situation {
                    now: Timestamp::from_second(NOW).unwrap(),
                    paused,
                    acts_last_hour,
                },
            );
            assert_eq!(
                admission, expected,
                "{name} {effect} age={age} paused={paused} acts={acts_last_hour}"
            );
        }
    }

    #[test]
    fn whoever_could_be_protected_is_only_asked_about() {
        let situation = Situation {
            now: Timestamp::UNIX_EPOCH,
            paused: false,
            acts_last_hour: 0,
        };
        let judged = |effect| guard().at_decision(&user(""), situation.now, effect, &situation);
        assert_eq!(
            judged(Effect::Act),
            Admission::Demoted(GuardReason::ProtectedAccount)
        );
        assert_eq!(judged(Effect::Ask), Admission::Admitted);
    }

    #[test]
    fn a_budget_of_nothing_admits_no_unattended_action() {
        let guard = Guard {
            acts_per_hour: 0,
            ..Guard::default()
        };
        let now = Timestamp::from_second(NOW).unwrap();
        let situation = Situation {
            now,
            paused: false,
            acts_last_hour: 0,
        };
        let user = user("alice@contoso.example");
        assert_eq!(
            guard.at_decision(&user, now, Effect::Act, &situation),
            Admission::Demoted(GuardReason::BudgetSpent)
        );
    }

    #[test]
    fn a_timestamp_at_either_end_of_time_is_stale_and_does_not_overflow() {
        let now = Timestamp::from_second(NOW).unwrap();
        let situation = Situation {
            now,
            paused: false,
            acts_last_hour: 0,
        };
        for at in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(
                guard().at_decision(&user("a@b"), at, Effect::Act, &situation),
                Admission::Demoted(GuardReason::StaleEvent)
            );
        }
    }

    #[test]
    fn just_before_the_call_only_protection_counts() {
        assert_eq!(
            guard().before_call(&user("BREAKGLASS@contoso.example")),
            Admission::Refused(GuardReason::ProtectedAccount)
        );
        assert_eq!(
            guard().before_call(&user("alice@contoso.example")),
            Admission::Admitted
        );
    }
}
