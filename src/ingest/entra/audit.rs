//! `AuditLogs`: changes of the directory, of which few matter here.
//!
//! Invariant: an audit becomes an event only where its activity is one that
//! keeps a thief in and a user is at stake; the rest is passed over, not
//! quarantined, whatever it holds. Other services write a category of the same
//! name with shapes of their own.

use std::net::IpAddr;

use super::convert::{Converted, id_of, identity, name, when};
use super::loose::{Raw, list, object};
use super::record::Record;
use super::text::{self, USER_AGENT_BYTES_MAX};
use super::wire::{
    Actor, ActorApp, Audit, InitiatedBy, KeyValue, ModifiedProperty, TargetResource,
};
use crate::model::{
    AppRef, AuditKind, DirectoryAudit, Initiator, Network, RecordId, Target, UserId, UserRef,
};

/// The activities that matter, by `activityDisplayName` ("Microsoft Entra
/// audit log activity reference"; the rules are Exchange's operations).
const ACTIVITIES: [(&str, AuditKind); 20] = [
    (
        "User registered security info",
        AuditKind::SecurityInfoRegistered,
    ),
    (
        "User registered all required security info",
        AuditKind::SecurityInfoRegistered,
    ),
    (
        "Admin registered security info",
        AuditKind::SecurityInfoRegistered,
    ),
    (
        "Add Passkey (device-bound)",
        AuditKind::SecurityInfoRegistered,
    ),
    ("User updated security info", AuditKind::SecurityInfoChanged),
    (
        "User changed default security info",
        AuditKind::SecurityInfoChanged,
    ),
    (
        "Admin updated security info",
        AuditKind::SecurityInfoChanged,
    ),
    ("User deleted security info", AuditKind::SecurityInfoDeleted),
    (
        "Admin deleted security info",
        AuditKind::SecurityInfoDeleted,
    ),
    ("Register device", AuditKind::DeviceRegistered),
    ("Add device", AuditKind::DeviceRegistered),
    (
        "Add registered owner to device",
        AuditKind::DeviceRegistered,
    ),
    (
        "Add registered users to device",
        AuditKind::DeviceRegistered,
    ),
    ("Consent to application", AuditKind::ConsentGranted),
    ("Add delegated permission grant", AuditKind::ConsentGranted),
    (
        "Add app role assignment to service principal",
        AuditKind::AppRoleGranted,
    ),
    ("New-InboxRule", AuditKind::InboxRule),
    ("Set-InboxRule", AuditKind::InboxRule),
    ("Enable-InboxRule", AuditKind::InboxRule),
    ("UpdateInboxRules", AuditKind::InboxRule),
];
/// The most of `additionalDetails` that is searched; real records have 0–6.
const DETAILS_MAX: usize = 32;
/// The most of `modifiedProperties` that is searched; a consent has 5–9.
const PROPERTIES_MAX: usize = 32;
/// The most of a list of permissions that is kept, in bytes.
const PERMISSIONS_BYTES_MAX: usize = 2048;

/// The audit as an event; `None` where it is not worth judging.
pub(super) fn directory_audit(
    record: &Record<'_>,
    p: &Audit<'_>,
) -> Converted<Option<DirectoryAudit>> {
    let Some((activity, kind)) = activity(record, p) else {
        return Ok(None);
    };
    let targets = targets(&p.target_resources);
    let (initiator, address) = initiator(&p.initiated_by);
    let Some(user) = subject(&initiator, &targets) else {
        return Ok(None);
    };
    let at = when(&[
        ("properties.activityDateTime", p.activity_date_time.get()),
        ("time", record.time.as_deref()),
    ])?;
    let correlation =
        identity(p.correlation_id.get()).or_else(|| identity(record.correlation_id.as_deref()));
    let by_user = matches!(initiator, Initiator::User(_));
    let caller = || record.caller_ip_address.as_deref();
    let address = address.or_else(|| caller().filter(|_| by_user).and_then(text::address));
    let id = identity(p.id.get()).map_or_else(
        || {
            let correlation = correlation.as_deref().unwrap_or_default();
            id_of(&[
                "AuditLogs",
                correlation,
                &activity,
                user.id.as_str(),
                &at.to_string(),
            ])
        },
        RecordId::new,
    );
    Ok(Some(DirectoryAudit {
        record: id,
        at,
        kind,
        activity,
        succeeded: p
            .result
            .get()
            .is_some_and(|result| result.trim().eq_ignore_ascii_case("success")),
        user,
        initiator,
        network: Network {
            address,
            ..Network::default()
        },
        user_agent: user_agent(p),
        targets,
        correlation,
        permissions: permissions(p),
    }))
}

/// The first of the record's names for what happened that matters.
fn activity(record: &Record<'_>, p: &Audit<'_>) -> Option<(Box<str>, AuditKind)> {
    let names = [
        p.activity_display_name.get(),
        p.operation_name.get(),
        record.operation_name.as_ref().and_then(|name| name.get()),
    ];
    names.into_iter().flatten().find_map(|written| {
        let written = written.trim();
        let (_, kind) = ACTIVITIES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(written))?;
        Some((written.into(), *kind))
    })
}

fn targets(field: &Raw<'_>) -> Vec<Target> {
    list::<TargetResource<'_>>(&field.json(), DirectoryAudit::TARGETS_MAX)
        .iter()
        .map(|target| Target {
            kind: name(target.kind.get()),
            id: identity(target.id.get()),
            name: name(target.display_name.get()),
            principal_name: name(target.user_principal_name.get()),
        })
        .collect()
}

/// The permissions of a consent or a grant.
fn permissions(p: &Audit<'_>) -> Option<Box<str>> {
    let json = p.target_resources.json();
    let targets = list::<TargetResource<'_>>(&json, DirectoryAudit::TARGETS_MAX);
    targets.iter().find_map(|target| {
        let json = target.modified_properties.json();
        let changed = list::<ModifiedProperty<'_>>(&json, PROPERTIES_MAX);
        let granted = changed.iter().find(|property| {
            let name = property.display_name.get().unwrap_or_default();
            name.ends_with(".Permissions") || name.ends_with("PermissionGrant.Scope")
        });
        granted
            .and_then(|property| property.new_value.get())
            .and_then(|value| text::clean(value, PERMISSIONS_BYTES_MAX))
    })
}

/// Who did it, and from which address.
fn initiator(field: &Raw<'_>) -> (Initiator, Option<IpAddr>) {
    let json = field.json();
    let by: InitiatedBy<'_> = object(&json);
    let (user, app) = (by.user.json(), by.app.json());
    let (user, app): (Actor<'_>, ActorApp<'_>) = (object(&user), object(&app));
    let address = user.ip_address.get().and_then(text::address);
    let by_user = user_ref(
        identity(user.id.get()),
        name(user.user_principal_name.get()),
    );
    if let Some(user) = by_user {
        return (Initiator::User(user), address);
    }
    let app = AppRef {
        id: identity(app.app_id.get()),
        name: name(app.display_name.get()),
    };
    if app == AppRef::default() {
        (Initiator::Unknown, address)
    } else {
        (Initiator::App(app), address)
    }
}

/// Whose account it is about: the first user among the targets, else whoever
/// did it. A target that is the initiator by one name is it by the other too.
fn subject(initiator: &Initiator, targets: &[Target]) -> Option<UserRef> {
    let by = match initiator {
        Initiator::User(user) => Some(user),
        Initiator::App(_) | Initiator::Unknown => None,
    };
    let target = targets
        .iter()
        .filter(|target| {
            let kind = target.kind.as_deref();
            kind.is_some_and(|kind| kind.eq_ignore_ascii_case("user"))
        })
        .find_map(|target| user_ref(target.id.clone(), target.principal_name.clone()));
    match (target, by) {
        (None, by) => by.cloned(),
        (Some(target), Some(by)) if is_same(&target, by) => Some(by.clone()),
        (Some(target), _) => Some(target),
    }
}

fn is_same(a: &UserRef, b: &UserRef) -> bool {
    let named = !a.principal_name.is_empty();
    a.id == b.id || named && a.principal_name.eq_ignore_ascii_case(&b.principal_name)
}

/// A user by object id, or by principal name where there is no id.
fn user_ref(id: Option<Box<str>>, principal_name: Option<Box<str>>) -> Option<UserRef> {
    let id = id.or_else(|| principal_name.clone())?;
    Some(UserRef {
        id: UserId::new(id.to_lowercase()),
        principal_name: principal_name.unwrap_or_default(),
        guest: false,
        workload: false,
    })
}

fn user_agent(p: &Audit<'_>) -> Option<Box<str>> {
    let json = p.additional_details.json();
    let details = list::<KeyValue<'_>>(&json, DETAILS_MAX);
    let named = details.iter().find(|detail| {
        let key = detail.key.get();
        key.is_some_and(|key| key.eq_ignore_ascii_case("User-Agent"))
    });
    named
        .and_then(|detail| detail.value.get())
        .or_else(|| p.user_agent.get())
        .and_then(|agent| text::clean(agent, USER_AGENT_BYTES_MAX))
}
