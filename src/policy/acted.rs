//! Who was lately acted on unattended: what the guard's hourly budget counts.
//!
//! Invariant: one user counts once, however much is done to them. Whoever asks
//! says which times count: the daemon's clock and that of records run apart.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::model::{Admission, Decision, Effect, UserId};

/// The window of the guard's budget.
pub const BUDGET_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// The users who were lately ordered to be acted on unattended, each once, and
/// when last. No more than the guard's budget.
#[derive(Debug, Clone, Default)]
pub struct Acted(VecDeque<(UserId, Timestamp)>);

impl From<Vec<(UserId, Timestamp)>> for Acted {
    fn from(users: Vec<(UserId, Timestamp)>) -> Self {
        Self(users.into())
    }
}

impl Acted {
    /// Forgets those whose time is not `within` the window, and counts the rest,
    /// this user not among them.
    pub fn others(&mut self, user: &UserId, within: impl Fn(Timestamp) -> bool) -> u32 {
        self.0.retain(|(_, at)| within(*at));
        let others = self.0.iter().filter(|(acted, _)| acted != user).count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Takes in a decision on which the guard has spoken.
    pub fn take(&mut self, decision: &Decision, now: Timestamp) {
        if decision.admission == Admission::Admitted && decision.effect == Effect::Act {
            let user = &decision.user.id;
            self.0.retain(|(acted, _)| acted != user);
            self.0.push_back((user.clone(), now));
        }
    }
}
