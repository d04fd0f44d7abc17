//! What is done with an account once somebody is in: changes of the
//! directory, and calls of Microsoft Graph.
//!
//! Invariant: only what evictd can use for a verdict becomes an event. Most of
//! `AuditLogs` and of `MicrosoftGraphActivityLogs` does not, and is passed
//! over by the decoder; so an [`AuditKind`] has no "other".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AppRef, Network, UserRef};
use crate::model::{RecordId, SessionId};

/// A change of the directory that can keep a thief in (`AuditLogs`).
#[derive(Debug, Clone, PartialEq)]
pub struct DirectoryAudit {
    /// `properties.id`.
    pub record: RecordId,
    /// `activityDateTime`.
    pub at: Timestamp,
    /// What kind of change.
    pub kind: AuditKind,
    /// `activityDisplayName`, e.g. `User registered security info`.
    pub activity: Box<str>,
    /// Whether `result` is `success`.
    pub succeeded: bool,
    /// Whose account it concerns: the user among the targets, else the
    /// initiator.
    pub user: UserRef,
    /// Who did it.
    pub initiator: Initiator,
    /// The initiator's address.
    pub network: Network,
    /// `additionalDetails`' `User-Agent`, or `userAgent`.
    pub user_agent: Option<Box<str>>,
    /// `targetResources`, at most [`Self::TARGETS_MAX`].
    pub targets: Vec<Target>,
    /// The permissions that were consented to, as the record's changed
    /// properties write them, e.g. `Scope: Mail.Read offline_access`.
    pub permissions: Option<Box<str>>,
    /// `correlationId`: one operation across its records.
    pub correlation: Option<Box<str>>,
}

impl DirectoryAudit {
    /// The most targets that are kept; real records have 1–5.
    pub const TARGETS_MAX: usize = 8;

    /// Whether the user did it to their own account.
    pub fn self_service(&self) -> bool {
        matches!(&self.initiator, Initiator::User(by) if by.id == self.user.id)
    }
}

/// A change of the directory, by what a thief gains from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A method of authentication was added.
    SecurityInfoRegistered,
    /// A method of authentication was changed.
    SecurityInfoChanged,
    /// A method of authentication was removed.
    SecurityInfoDeleted,
    /// A device was registered or given to a user.
    DeviceRegistered,
    /// An application was given delegated permissions.
    ConsentGranted,
    /// An application was given permissions of its own.
    AppRoleGranted,
    /// A rule of a mailbox was made or changed, where the stream has it.
    InboxRule,
}

impl AuditKind {
    /// Every kind, by name.
    pub const NAMES: &[&str] = &[
        "security_info_registered",
        "security_info_changed",
        "security_info_deleted",
        "device_registered",
        "consent_granted",
        "app_role_granted",
        "inbox_rule",
    ];

    /// The name used in JSON and in conditions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecurityInfoRegistered => "security_info_registered",
            Self::SecurityInfoChanged => "security_info_changed",
            Self::SecurityInfoDeleted => "security_info_deleted",
            Self::DeviceRegistered => "device_registered",
            Self::ConsentGranted => "consent_granted",
            Self::AppRoleGranted => "app_role_granted",
            Self::InboxRule => "inbox_rule",
        }
    }
}

/// `initiatedBy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initiator {
    /// A user.
    User(UserRef),
    /// An application, e.g. `Device Registration Service`.
    App(AppRef),
    /// The record does not say.
    Unknown,
}

/// One of `targetResources`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// `type`, e.g. `User`, `Device`, `ServicePrincipal`.
    pub kind: Option<Box<str>>,
    /// `id`.
    pub id: Option<Box<str>>,
    /// `displayName`.
    pub name: Option<Box<str>>,
    /// `userPrincipalName`, of a user.
    pub principal_name: Option<Box<str>>,
}

/// A call of Microsoft Graph on behalf of a user, in a known session
/// (`MicrosoftGraphActivityLogs`).
#[derive(Debug, Clone, PartialEq)]
pub struct GraphActivity {
    /// `requestId`.
    pub record: RecordId,
    /// `timeGenerated`: when the request came.
    pub at: Timestamp,
    /// `userId`; the log knows no principal name.
    pub user: UserRef,
    /// `sessionId`: the session of the sign-in that the token came from.
    pub session: SessionId,
    /// `signInActivityId`: the `uniqueTokenIdentifier` of that sign-in.
    pub unique_token: Option<Box<str>>,
    /// The calling application; the log knows no name.
    pub app: AppRef,
    /// `requestMethod`, upper case.
    pub method: Option<Box<str>>,
    /// The path of `requestUri`: without host and query. It can hold a
    /// user's name.
    pub path: Option<Box<str>>,
    /// `responseStatusCode`.
    pub status: Option<u16>,
    /// From where.
    pub network: Network,
    /// `userAgent`.
    pub user_agent: Option<Box<str>>,
}
