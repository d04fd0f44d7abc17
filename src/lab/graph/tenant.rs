//! The tenant behind the stand-in: its users, their risk and their groups.
//!
//! Invariant: pure state; the caller brings the time. What the directory says
//! of a user and what is true of their sessions are kept apart, as they are in
//! life: revoking a guest is answered with success and ends nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

/// Users a tenant may hold.
const USERS_MAX: usize = 200_000;

/// Revokes waiting to be seen; past it the oldest is seen early.
const REVOKES_UNDER_WAY_MAX: usize = 100_000;

/// Service principals a tenant may hold.
const SERVICE_PRINCIPALS_MAX: usize = 10_000;

/// Groups a tenant may hold.
const GROUPS_MAX: usize = 1_000;

/// Whether an account is the tenant's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum UserType {
    /// The tenant's own account.
    Member,
    /// Another tenant's account, invited.
    Guest,
}

/// A user. Build one with [`User::member`] or [`User::guest`] and
/// struct update: `User { privileged: true, ..User::member("root@…") }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The object id.
    pub id: Uuid,
    /// The sign-in name; unique in the tenant, whatever its case.
    pub user_principal_name: String,
    /// The shown name.
    pub display_name: String,
    /// Whether the account may sign in.
    pub account_enabled: bool,
    /// Member or guest.
    pub user_type: UserType,
    /// Whether an on-premises directory is the authority for the account.
    /// Graph says `null`, not `false`, for one that never was synced.
    pub on_premises_sync_enabled: Option<bool>,
    /// The department.
    pub department: Option<String>,
    /// Refresh tokens and session cookies from before this are dead. Whole
    /// seconds, as Graph keeps it.
    pub sign_in_sessions_valid_from: Timestamp,
    /// When the password was last set through Graph.
    pub last_password_change: Option<Timestamp>,
    /// Whether the next sign-in must change the password.
    pub must_change_password: bool,
    /// Whether the account holds an administrator role, or belongs to a
    /// role-assignable group.
    pub privileged: bool,
    /// Whether sign-in happens at a federated identity provider.
    pub federated: bool,
    /// Revokes that were answered with success and ended no session.
    pub revokes_without_effect: u32,
}

impl User {
    /// An enabled cloud-only member with a random id.
    pub fn member(user_principal_name: &str) -> Self {
        let display_name = user_principal_name.split('@').next().unwrap_or_default();
        Self {
            id: Uuid::new_v4(),
            user_principal_name: user_principal_name.to_owned(),
            display_name: display_name.to_owned(),
            account_enabled: true,
            user_type: UserType::Member,
            on_premises_sync_enabled: None,
            department: None,
            sign_in_sessions_valid_from: Timestamp::UNIX_EPOCH,
            last_password_change: None,
            must_change_password: false,
            privileged: false,
            federated: false,
            revokes_without_effect: 0,
        }
    }

    /// An enabled guest with a random id.
    pub fn guest(user_principal_name: &str) -> Self {
        Self {
            user_type: UserType::Guest,
            ..Self::member(user_principal_name)
        }
    }

    /// Whether a session born then can still get tokens: the truth a thief
    /// would meet, not what the directory shows.
    pub fn session_lives(&self, born: Timestamp) -> bool {
        match self.user_type {
            UserType::Member => self.account_enabled && born >= self.sign_in_sessions_valid_from,
            // The guest's home tenant keeps the session; only the account here can be shut.
            UserType::Guest => self.account_enabled,
        }
    }
}

/// `riskLevel` of a risky user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are Graph's own")]
pub enum RiskLevel {
    None,
    Low,
    Medium,
    High,
}

/// `riskState` of a risky user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are Graph's own")]
pub enum RiskState {
    None,
    AtRisk,
    ConfirmedCompromised,
    Dismissed,
}

/// A user's risk, as identity protection keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskyUser {
    /// How much.
    pub risk_level: RiskLevel,
    /// What became of it.
    pub risk_state: RiskState,
    /// Why it is so, a `riskDetail` name of Graph.
    pub risk_detail: &'static str,
    /// When it last changed.
    pub risk_last_updated: Timestamp,
}

/// Why the tenant does not take a user or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantFault {
    /// 200,000 users, 10,000 service principals or 1,000 groups are the most.
    #[error("the tenant is full")]
    Full,
    /// The id or the name is already there.
    #[error("the id or the user principal name is taken")]
    Taken,
    /// No user has that id.
    #[error("there is no such user")]
    NoSuchUser,
}

/// The tenant's state. A clone is a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    users: BTreeMap<Uuid, User>,
    by_name: HashMap<String, Uuid>,
    risky: BTreeMap<Uuid, RiskyUser>,
    /// Service principals and their risk, if they ever had any.
    workloads: BTreeMap<Uuid, Option<RiskyUser>>,
    groups: BTreeMap<Uuid, Vec<Uuid>>,
    propagation: SignedDuration,
    /// Revokes not yet to be read, in the order they came.
    under_way: VecDeque<Revoke>,
    privileged_revoke_allowed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Revoke {
    user: Uuid,
    valid_from: Timestamp,
    visible_at: Timestamp,
}

impl Tenant {
    /// Adds a user and returns its id.
    ///
    /// # Errors
    /// When the tenant is full, or the id or name is taken.
    pub fn add_user(&mut self, user: User) -> Result<Uuid, TenantFault> {
        if self.users.len() >= USERS_MAX {
            return Err(TenantFault::Full);
        }
        let name = user.user_principal_name.to_lowercase();
        if self.users.contains_key(&user.id) || self.by_name.contains_key(&name) {
            return Err(TenantFault::Taken);
        }
        let id = user.id;
        self.by_name.insert(name, id);
        self.users.insert(id, user);
        Ok(id)
    }

    /// Adds a service principal without risk.
    ///
    /// # Errors
    /// When there are too many, or the id is taken.
    pub fn add_service_principal(&mut self, id: Uuid) -> Result<(), TenantFault> {
        if self.workloads.len() >= SERVICE_PRINCIPALS_MAX {
            return Err(TenantFault::Full);
        }
        if self.users.contains_key(&id) || self.workloads.contains_key(&id) {
            return Err(TenantFault::Taken);
        }
        self.workloads.insert(id, None);
        Ok(())
    }

    /// The service principal's risk, if it ever had any. It has the fields of
    /// a user's.
    pub fn workload_risk(&self, id: Uuid) -> Option<&RiskyUser> {
        self.workloads.get(&id)?.as_ref()
    }

    pub(super) fn has_service_principal(&self, id: Uuid) -> bool {
        self.workloads.contains_key(&id)
    }

    pub(super) fn confirm_workload_compromised(&mut self, id: Uuid, now: Timestamp) {
        if let Some(risk) = self.workloads.get_mut(&id) {
            *risk = Some(RiskyUser {
                risk_level: RiskLevel::High,
                risk_state: RiskState::ConfirmedCompromised,
                risk_detail: "adminConfirmedServicePrincipalCompromised",
                risk_last_updated: now,
            });
        }
    }

    /// Adds a group, or replaces its members.
    ///
    /// # Errors
    /// When there are too many groups, or a member is no user.
    pub fn set_group(&mut self, id: Uuid, members: Vec<Uuid>) -> Result<(), TenantFault> {
        if !self.groups.contains_key(&id) && self.groups.len() >= GROUPS_MAX {
            return Err(TenantFault::Full);
        }
        if members.iter().any(|id| !self.users.contains_key(id)) {
            return Err(TenantFault::NoSuchUser);
        }
        self.groups.insert(id, members);
        Ok(())
    }

    /// Sets a user's risk, as a detection of Microsoft's would.
    pub fn set_risk(&mut self, user: Uuid, risk: RiskyUser) {
        if self.users.contains_key(&user) {
            self.risky.insert(user, risk);
        }
    }

    /// How long after a revoke `signInSessionsValidFromDateTime` still reads
    /// as before. Zero at first; Microsoft speaks of "a few minutes".
    pub fn set_propagation(&mut self, delay: SignedDuration) {
        self.propagation = delay;
    }

    /// Whether an app without a directory role may revoke an administrator's
    /// sessions. No document says; `false` at first, the harder answer.
    pub fn allow_privileged_revoke(&mut self, allowed: bool) {
        self.privileged_revoke_allowed = allowed;
    }

    /// The user with this id.
    pub fn user(&self, id: Uuid) -> Option<&User> {
        self.users.get(&id)
    }

    /// All users, by id.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The user's risk, if they ever had any.
    pub fn risk(&self, id: Uuid) -> Option<&RiskyUser> {
        self.risky.get(&id)
    }

    /// The group's members.
    pub fn members(&self, group: Uuid) -> Option<&[Uuid]> {
        self.groups.get(&group).map(Vec::as_slice)
    }

    /// The user an `{id | userPrincipalName}` of a path names.
    pub(super) fn find(&self, reference: &str) -> Option<Uuid> {
        match Uuid::parse_str(reference) {
            Ok(id) => self.users.contains_key(&id).then_some(id),
            Err(_) => self.by_name.get(&reference.to_lowercase()).copied(),
        }
    }

    pub(super) fn privileged_revoke_allowed(&self) -> bool {
        self.privileged_revoke_allowed
    }

    /// Users after the one named, by id.
    pub(super) fn users_after(&self, after: Option<Uuid>) -> impl Iterator<Item = &User> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.users
            .range((start, Bound::Unbounded))
            .map(|(_, user)| user)
    }

    pub(super) fn revoke(&mut self, id: Uuid, now: Timestamp) {
        let Some(user) = self.users.get_mut(&id) else {
            return;
        };
        if user.user_type == UserType::Guest {
            user.revokes_without_effect += 1;
        }
        if self.under_way.len() == REVOKES_UNDER_WAY_MAX
            && let Some(oldest) = self.under_way.pop_front()
        {
            self.bring_into_force(oldest);
        }
        self.under_way.push_back(Revoke {
            user: id,
            valid_from: Timestamp::from_second(now.as_second()).unwrap_or(now),
            visible_at: now.saturating_add(self.propagation).unwrap_or(now),
        });
        self.settle(now);
    }

    /// Brings into force what is to be seen by `now`.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(revoke) = self.under_way.pop_front_if(|first| first.visible_at <= now) {
            self.bring_into_force(revoke);
        }
    }

    fn bring_into_force(&mut self, revoke: Revoke) {
        if let Some(user) = self.users.get_mut(&revoke.user) {
            user.sign_in_sessions_valid_from = revoke.valid_from;
        }
    }

    pub(super) fn set_account_enabled(&mut self, id: Uuid, enabled: bool) {
        if let Some(user) = self.users.get_mut(&id) {
            user.account_enabled = enabled;
        }
    }

    pub(super) fn set_password(&mut self, id: Uuid, must_change: bool, now: Timestamp) {
        if let Some(user) = self.users.get_mut(&id) {
            user.last_password_change = Some(now);
            user.must_change_password = must_change;
        }
    }

    pub(super) fn confirm_compromised(&mut self, id: Uuid, now: Timestamp) {
        self.set_risk(
            id,
            RiskyUser {
                risk_level: RiskLevel::High,
                risk_state: RiskState::ConfirmedCompromised,
                risk_detail: "adminConfirmedUserCompromised",
                risk_last_updated: now,
            },
        );
    }

    pub(super) fn dismiss(&mut self, id: Uuid, now: Timestamp) {
        // Somebody never at risk stays out of the list of risky users.
        if self.risky.contains_key(&id) {
            self.set_risk(
                id,
                RiskyUser {
                    risk_level: RiskLevel::None,
                    risk_state: RiskState::Dismissed,
                    risk_detail: "adminDismissedAllRiskForUser",
                    risk_last_updated: now,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_revoke_ends_older_sessions_of_a_member_only() {
        let mut tenant = Tenant::default();
        let member = tenant.add_user(User::member("a@contoso.example")).unwrap();
        let guest = tenant.add_user(User::guest("b@contoso.example")).unwrap();
        for id in [member, guest] {
            tenant.revoke(id, at(10));
        }
        let lives = |id, born| tenant.user(id).unwrap().session_lives(at(born));
        assert!(!lives(member, 9));
        assert!(lives(member, 11));
        assert!(lives(guest, 9));
        assert_eq!(tenant.user(guest).unwrap().revokes_without_effect, 1);
    }

    #[test]
    fn a_revoke_is_kept_in_whole_seconds() {
        let mut tenant = Tenant::default();
        let id = tenant.add_user(User::member("a@contoso.example")).unwrap();
        tenant.revoke(id, at(10) + SignedDuration::from_millis(700));
        assert_eq!(tenant.user(id).unwrap().sign_in_sessions_valid_from, at(10));
    }

    #[test]
    fn a_revoke_shows_only_after_the_propagation() {
        let mut tenant = Tenant::default();
        let id = tenant.add_user(User::member("a@contoso.example")).unwrap();
        tenant.set_propagation(SignedDuration::from_secs(60));
        tenant.revoke(id, at(0));
        for (now, seen) in [(59, Timestamp::UNIX_EPOCH), (60, at(0))] {
            tenant.settle(at(now));
            assert_eq!(tenant.user(id).unwrap().sign_in_sessions_valid_from, seen);
        }
    }

    #[test]
    fn names_are_unique_whatever_their_case() {
        let mut tenant = Tenant::default();
        let id = tenant
            .add_user(User::member("Ann@Contoso.example"))
            .unwrap();
        let again = tenant.add_user(User::member("ann@contoso.example"));
        assert_eq!(again, Err(TenantFault::Taken));
        assert_eq!(tenant.find("ANN@contoso.example"), Some(id));
    }
}
