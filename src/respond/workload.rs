//! Confirming a service principal compromised: which, and what else of one is
//! never sent.
//!
//! Invariant, by type: Graph's client takes an [`Approved`], and there is no
//! other way to one. Stopping an application can stop a business, so nothing
//! is done to a service principal that a human has not said yes to; and of all
//! actions only the confirmation fits one. The policies' compiler and the
//! store see to both already: this is the last lock on the door.

use super::graph::Outcome;
use crate::model::{ActionKind, UserId, UserRef};
use crate::store::Claimed;

/// A service principal that a human said may be confirmed compromised.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a>(&'a UserRef);

impl<'a> Approved<'a> {
    /// The action's service principal.
    ///
    /// # Errors
    /// [`Outcome::Workload`] where the action is no confirmation or not about a
    /// service principal; [`Outcome::Unapproved`] where no human has approved
    /// it.
    pub fn of(action: &'a Claimed) -> Result<Self, Outcome> {
        if !action.user.workload || action.kind != ActionKind::ConfirmCompromised {
            return Err(Outcome::Workload);
        }
        if !action.approved {
            return Err(Outcome::Unapproved);
        }
        Ok(Self(&action.user))
    }

    /// Its object id.
    pub fn id(&self) -> &'a UserId {
        &self.0.id
    }
}

/// Splits a batch by what may share a request: users; service principals; and
/// service principals without a yes, which go nowhere and must not take others
/// along. Each keeps its order; none is empty; the first holds the first.
pub(super) fn apart(batch: Vec<Claimed>) -> Vec<Vec<Claimed>> {
    let key = |action: &Claimed| {
        (
            action.user.workload,
            !action.user.workload || action.approved,
        )
    };
    let mut parts: Vec<Vec<Claimed>> = Vec::new();
    for action in batch {
        let fits = |part: &&mut Vec<Claimed>| part.first().map(key) == Some(key(&action));
        match parts.iter_mut().find(fits) {
            Some(part) => part.push(action),
            None => parts.push(vec![action]),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{ActionId, CaseId, RecordId};

    fn action(name: &str, kind: ActionKind, workload: bool, approved: bool) -> Claimed {
        let record = RecordId::new("r");
        let user = UserId::new(name);
        let case = CaseId::derive(&user, &record);
        Claimed {
            id: ActionId::derive(&case, kind, &record),
            case,
            kind,
            user: UserRef {
                id: user,
                principal_name: "".into(),
                guest: false,
                workload,
            },
            score: 90,
            approved,
            attempts: 0,
            event_at: Timestamp::UNIX_EPOCH,
            enqueued_at: Timestamp::UNIX_EPOCH,
            queued_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_an_approved_confirmation_of_a_service_principal_is_approved() {
        for kind in ActionKind::ALL {
            for (workload, approved) in [(false, false), (false, true), (true, false), (true, true)]
            {
                let action = action("app", kind, workload, approved);
                let expected = match (kind, workload, approved) {
                    (ActionKind::ConfirmCompromised, true, true) => Ok("app"),
                    (ActionKind::ConfirmCompromised, true, false) => Err(Outcome::Unapproved),
                    _ => Err(Outcome::Workload),
                };
                let found = Approved::of(&action).map(|approved| approved.id().as_str());
                assert_eq!(found, expected, "{kind} {workload} {approved}");
            }
        }
    }

    #[test]
    fn a_batch_is_taken_apart_by_whom_it_is_about_and_keeps_its_order() {
        let confirm = |name, workload, approved| {
            action(name, ActionKind::ConfirmCompromised, workload, approved)
        };
        let batch = vec![
            confirm("app1", true, true),
            confirm("ana", false, false),
            confirm("app2", true, false),
            confirm("ben", false, true),
            confirm("app3", true, true),
        ];
        let parts: Vec<Vec<String>> = apart(batch)
            .iter()
            .map(|part| part.iter().map(|a| a.user.id.to_string()).collect())
            .collect();
        assert_eq!(
            parts,
            [vec!["app1", "app3"], vec!["ana", "ben"], vec!["app2"]]
        );
        assert!(apart(Vec::new()).is_empty());
    }
}
