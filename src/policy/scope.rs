//! Scope: whom a policy is about.
//!
//! Invariant: a user is named by object id or by principal name, in any case,
//! and either name is enough; a service principal by its object id alone, since
//! whoever owns one chooses its name. No policy is about both. An entry that
//! could never match anybody does not get here: an exclusion that is silently
//! ignored is worse than none.

use std::collections::BTreeSet;

use crate::model::UserRef;

/// A set of users, each named by object id or principal name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserList(BTreeSet<Box<str>>);

impl UserList {
    /// Whether the user is in the list.
    pub fn holds(&self, user: &UserRef) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let listed = |name: &str| self.0.contains(name.to_lowercase().as_str());
        listed(user.id.as_str()) || !user.workload && listed(&user.principal_name)
    }

    /// Whether the user is in the list or could be: a record may say the object
    /// id alone, of somebody who was never seen with their name.
    pub fn may_hold(&self, user: &UserRef) -> bool {
        let unnamed = user.principal_name.is_empty() && !user.workload;
        self.holds(user) || unnamed && self.principal_names().next().is_some()
    }

    /// The names in it that no service principal can have.
    pub(super) fn principal_names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .map(|name| &**name)
            .filter(|name| name.contains('@'))
    }

    /// Whether every name of it is in `other` too.
    pub(super) fn within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether no name of it is in `other`.
    pub(super) fn apart(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Takes in the names of another list.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// How many names it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for UserList {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(names.into_iter().map(|n| n.to_lowercase().into()).collect())
    }
}

/// Whom a policy is about: all users, or all service principals, or only some
/// of them, less those excluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// About service principals; else about users.
    pub workloads: bool,
    /// Only these, if given.
    pub only: Option<UserList>,
    /// Never these.
    pub exclude: UserList,
}

impl Scope {
    /// Whether the policy is about the user.
    pub fn takes_in(&self, user: &UserRef) -> bool {
        let chosen = self.only.as_ref().is_none_or(|only| only.holds(user));
        self.workloads == user.workload && chosen && !self.exclude.holds(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    #[test]
    fn a_user_is_matched_by_either_name_in_any_case_and_exclusion_wins() {
        let user = UserRef {
            id: UserId::new("0a1b"),
            principal_name: "Alice@Contoso.example".into(),
            guest: false,
            workload: false,
        };
        let list = |names: &[&str]| names.iter().copied().collect::<UserList>();
        let table = [
            (None, list(&[]), true),
            (None, list(&["ALICE@contoso.EXAMPLE"]), false),
            (None, list(&["0A1B"]), false),
            (None, list(&["bob@contoso.example"]), true),
            (Some(list(&["alice@contoso.example"])), list(&[]), true),
            (Some(list(&["bob@contoso.example"])), list(&[]), false),
            (Some(list(&["0a1b"])), list(&["0a1b"]), false),
        ];
        for (only, exclude, expected) in table {
            let scope = Scope {
                workloads: false,
                only,
                exclude,
            };
            assert_eq!(scope.takes_in(&user), expected, "{scope:?}");
        }
    }

    #[test]
    fn a_policy_is_about_users_or_about_service_principals() {
        let of = |workload| UserRef {
            id: UserId::new("0a1b"),
            principal_name: "alice@contoso.example".into(),
            guest: false,
            workload,
        };
        for workloads in [false, true] {
            let scope = Scope {
                workloads,
                ..Scope::default()
            };
            for workload in [false, true] {
                assert_eq!(scope.takes_in(&of(workload)), workloads == workload);
            }
        }
    }

    #[test]
    fn a_service_principal_that_takes_somebodys_name_is_not_them() {
        let impostor = UserRef {
            id: UserId::new("0a1b"),
            principal_name: "breakglass@contoso.example".into(),
            guest: false,
            workload: true,
        };
        let list: UserList = ["breakglass@contoso.example"].into_iter().collect();
        assert!(!list.holds(&impostor));
        let list: UserList = ["0A1B"].into_iter().collect();
        assert!(list.holds(&impostor));
    }

    #[test]
    fn a_user_without_a_principal_name_is_in_no_list_by_accident() {
        let user = UserRef {
            id: UserId::new("0a1b"),
            principal_name: "".into(),
            guest: false,
            workload: false,
        };
        let list: UserList = ["bob@contoso.example"].into_iter().collect();
        assert!(!list.holds(&user));
        // But perhaps it is Bob.
        assert!(list.may_hold(&user));
        let ids: UserList = ["0A1C"].into_iter().collect();
        assert!(!ids.may_hold(&user));
        let named = UserRef {
            principal_name: "ana@contoso.example".into(),
            ..user.clone()
        };
        let workload = UserRef {
            workload: true,
            ..user
        };
        assert!(!list.may_hold(&named) && !list.may_hold(&workload));
    }
}
