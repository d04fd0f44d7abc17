//! Which Graph permissions an action needs.
//!
//! Invariant: the least privilege that the Graph reference names for the call
//! that `respond::graph` makes, so that whoever grants these and no more can do
//! all that the policies call for.

use crate::model::ActionKind;

/// `POST /users/{id}/revokeSignInSessions`.
const REVOKE: &str = "User.RevokeSessions.All";
/// `POST /identityProtection/riskyUsers/confirmCompromised`.
const RISKY_USERS: &str = "IdentityRiskyUser.ReadWrite.All";
/// `POST /identityProtection/riskyServicePrincipals/confirmCompromised`.
const RISKY_WORKLOADS: &str = "IdentityRiskyServicePrincipal.ReadWrite.All";
/// `PATCH /users/{id}` with a `passwordProfile`.
const PASSWORDS: &str = "User-PasswordProfile.ReadWrite.All";

/// Application permissions of Graph that a name may have been meant for:
/// those that evictd can need and their neighbours ("Microsoft Graph
/// permissions reference"). Not all there are.
pub const NEIGHBOURS: &[&str] = &[
    "AuditLog.Read.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Device.Read.All",
    "Device.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "GroupMember.Read.All",
    "IdentityRiskEvent.Read.All",
    "IdentityRiskEvent.ReadWrite.All",
    "IdentityRiskyServicePrincipal.Read.All",
    RISKY_WORKLOADS,
    "IdentityRiskyUser.Read.All",
    RISKY_USERS,
    "MailboxSettings.Read",
    "MailboxSettings.ReadWrite",
    "RoleManagement.Read.Directory",
    "User-PasswordProfile.Read.All",
    PASSWORDS,
    "User.EnableDisableAccount.All",
    "User.Read.All",
    "User.ReadWrite.All",
    REVOKE,
    "UserAuthenticationMethod.Read.All",
    "UserAuthenticationMethod.ReadWrite.All",
];

/// The application permission that an action on a user, or on a service
/// principal, needs. `reset_password` needs a directory role besides, which is
/// no permission (docs/operations.md).
pub fn needed(kind: ActionKind, workload: bool) -> &'static str {
    match kind {
        ActionKind::RevokeSessions => REVOKE,
        ActionKind::ConfirmCompromised if workload => RISKY_WORKLOADS,
        ActionKind::ConfirmCompromised => RISKY_USERS,
        ActionKind::ResetPassword => PASSWORDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_needed_is_among_the_names_that_are_known() {
        for kind in ActionKind::ALL {
            for workload in [false, true] {
                assert!(NEIGHBOURS.contains(&needed(kind, workload)), "{kind}");
            }
        }
    }
}
