//! The calls Graph answers here, who may make them, and what each one does.
//!
//! Invariant: a call is judged whole before any of it is done: permission,
//! body, target, rules. A request with one forbidden part changes nothing.
//! The permissions are those of Microsoft's published list; the lab never
//! grants more than the product may ask an administrator for.

use axum::http::{HeaderName, Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::odata::{Page, Selection};
use super::tenant::Tenant;
use super::throttle::Lane;
use crate::lab::entra::{Claims, DirectoryRole};

/// Ids one confirm or dismiss may name (documented for `dismiss`).
const RISKY_IDS_MAX: usize = 60;

/// Any one of the sets lets the call through.
type Permissions = &'static [&'static [&'static str]];

const READ_USERS: Permissions = &[
    &["User.Read.All"],
    &["User.ReadWrite.All"],
    &["Directory.Read.All"],
    &["Directory.ReadWrite.All"],
];
const REVOKE: Permissions = &[&["User.RevokeSessions.All"]];
const ENABLE_DISABLE: Permissions = &[
    &["User.EnableDisableAccount.All", "User.Read.All"],
    &["User.ReadWrite.All"],
    &["Directory.ReadWrite.All"],
];
const RESET_PASSWORD: Permissions = &[&["User-PasswordProfile.ReadWrite.All"]];
const WRITE_RISK: Permissions = &[&["IdentityRiskyUser.ReadWrite.All"]];
const WRITE_WORKLOAD_RISK: Permissions = &[&["IdentityRiskyServicePrincipal.ReadWrite.All"]];
const READ_RISK: Permissions = &[
    &["IdentityRiskyUser.Read.All"],
    &["IdentityRiskyUser.ReadWrite.All"],
];
const READ_MEMBERS: Permissions = &[
    &["GroupMember.Read.All"],
    &["Directory.Read.All"],
    &["Directory.ReadWrite.All"],
];

/// A call of the v1.0 API. Users are named by id or by sign-in name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    RevokeSessions(String),
    ListUsers,
    GetUser(String),
    PatchUser(String),
    ConfirmCompromised,
    ConfirmWorkloads,
    DismissRisk,
    GetRiskyUser(String),
    GroupMembers(String),
}

impl Route {
    /// `segments`: the decoded path after `/v1.0`. `None`: no such call.
    pub(super) fn parse(method: &Method, segments: &[String]) -> Option<Self> {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let route = match (method.as_str(), segments.as_slice()) {
            (
                "POST",
                [
                    "users",
                    user,
                    "revokeSignInSessions" | "microsoft.graph.revokeSignInSessions",
                ],
            ) => Self::RevokeSessions((*user).to_owned()),
            ("GET", ["users"]) => Self::ListUsers,
            ("GET", ["users", user]) => Self::GetUser((*user).to_owned()),
            ("PATCH", ["users", user]) => Self::PatchUser((*user).to_owned()),
            ("POST", ["identityProtection", "riskyUsers", "confirmCompromised"]) => {
                Self::ConfirmCompromised
            }
            (
                "POST",
                [
                    "identityProtection",
                    "riskyServicePrincipals",
                    "confirmCompromised",
                ],
            ) => Self::ConfirmWorkloads,
            ("POST", ["identityProtection", "riskyUsers", "dismiss"]) => Self::DismissRisk,
            ("GET", ["identityProtection", "riskyUsers", user]) => {
                Self::GetRiskyUser((*user).to_owned())
            }
            ("GET", ["groups", group, "members"]) => Self::GroupMembers((*group).to_owned()),
            _ => return None,
        };
        Some(route)
    }

    /// What it costs, by the published table: GET users 2, other paths 1,
    /// `$select` one less, `$top` under 20 one less, at least 1.
    pub(super) fn lane(&self, query: &[(String, String)]) -> Lane {
        let base: u32 = match self {
            Self::ConfirmCompromised
            | Self::ConfirmWorkloads
            | Self::DismissRisk
            | Self::GetRiskyUser(_) => return Lane::Protection,
            Self::ListUsers => 2,
            _ => 1,
        };
        let off = |name, cheap: fn(&str) -> bool| {
            u32::from(query.iter().any(|(key, value)| key == name && cheap(value)))
        };
        let less = off("$select", |_| true)
            + off("$top", |top| top.parse::<u32>().is_ok_and(|top| top < 20));
        Lane::Directory {
            resource_units: base.saturating_sub(less).max(1),
            write: matches!(self, Self::RevokeSessions(_) | Self::PatchUser(_)),
        }
    }

    /// The users or service principals it is about, as far as the tenant knows them.
    pub(super) fn users(&self, tenant: &Tenant, body: &[u8]) -> Vec<Uuid> {
        match self {
            Self::RevokeSessions(user)
            | Self::GetUser(user)
            | Self::PatchUser(user)
            | Self::GetRiskyUser(user) => tenant.find(user).into_iter().collect(),
            Self::ConfirmCompromised | Self::DismissRisk => {
                serde_json::from_slice::<RiskyUserIds>(body)
                    .map(|ids| ids.user_ids)
                    .unwrap_or_default()
                    .iter()
                    .take(RISKY_IDS_MAX)
                    .filter_map(|id| tenant.find(id))
                    .collect()
            }
            Self::ConfirmWorkloads => serde_json::from_slice::<RiskyWorkloadIds>(body)
                .map(|ids| ids.service_principal_ids)
                .unwrap_or_default()
                .iter()
                .take(RISKY_IDS_MAX)
                .filter_map(|id| find_workload(tenant, id))
                .collect(),
            Self::ListUsers | Self::GroupMembers(_) => Vec::new(),
        }
    }
}

/// One admitted request, ready to be carried out.
pub(super) struct Request<'a> {
    pub(super) claims: &'a Claims,
    /// `http://127.0.0.1:port/v1.0`, for links.
    pub(super) base_url: &'a str,
    pub(super) query: &'a [(String, String)],
    pub(super) body: &'a [u8],
    pub(super) now: Timestamp,
}

/// Carries out the call, or says why not. A refusal comes as an error for `?`.
pub(super) fn carry_out(tenant: &mut Tenant, route: &Route, request: &Request<'_>) -> Answer {
    tenant.settle(request.now);
    let outcome = match route {
        Route::RevokeSessions(user) => revoke_sessions(tenant, user, request),
        Route::ListUsers => list_users(tenant, request),
        Route::GetUser(user) => get_user(tenant, user, request),
        Route::PatchUser(user) => patch_user(tenant, user, request),
        Route::ConfirmCompromised => change_risk(tenant, request, Tenant::confirm_compromised),
        Route::ConfirmWorkloads => confirm_workloads(tenant, request),
        Route::DismissRisk => change_risk(tenant, request, Tenant::dismiss),
        Route::GetRiskyUser(user) => get_risky_user(tenant, user, request),
        Route::GroupMembers(group) => group_members(tenant, group, request),
    };
    outcome.unwrap_or_else(|refusal| *refusal)
}

type Outcome = Result<Answer, Box<Answer>>;

fn permit(claims: &Claims, permissions: Permissions) -> Result<(), Box<Answer>> {
    let has = |role: &&str| claims.roles.iter().any(|held| held == role);
    if permissions.iter().any(|set| set.iter().all(has)) {
        Ok(())
    } else {
        Err(Box::new(Answer::forbidden()))
    }
}

fn find_user(tenant: &Tenant, reference: &str) -> Result<Uuid, Box<Answer>> {
    tenant
        .find(reference)
        .ok_or_else(|| Box::new(Answer::not_found(reference)))
}

/// Writes to an administrator need a role that stands above administrators.
fn permit_target(tenant: &Tenant, user: Uuid, claims: &Claims) -> Result<(), Box<Answer>> {
    let above = DirectoryRole::PrivilegedAuthenticationAdministrator;
    let privileged = tenant.user(user).is_some_and(|user| user.privileged);
    if privileged && !claims.directory_roles.contains(&above) {
        return Err(Box::new(Answer::forbidden()));
    }
    Ok(())
}

fn strict_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Box<Answer>> {
    serde_json::from_slice(body).map_err(|_| {
        Box::new(Answer::bad_request(
            "Invalid JSON, or a property that does not exist on the resource.",
        ))
    })
}

/// The action takes nothing, so only nothing may be sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

fn revoke_sessions(tenant: &mut Tenant, user: &str, request: &Request<'_>) -> Outcome {
    permit(request.claims, REVOKE)?;
    if !request.body.is_empty() {
        strict_body::<NoParameters>(request.body)?;
    }
    let id = find_user(tenant, user)?;
    if !tenant.privileged_revoke_allowed() {
        permit_target(tenant, id, request.claims)?;
    }
    tenant.revoke(id, request.now);
    Ok(Answer::json(json!({
        "@odata.context": format!("{}/$metadata#Edm.Boolean", request.base_url),
        "value": true,
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserPatch {
    account_enabled: Option<bool>,
    password_profile: Option<PasswordProfile>,
}

/// The password is looked at and forgotten: the tenant never keeps one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordProfile {
    password: Option<String>,
    force_change_password_next_sign_in: Option<bool>,
    force_change_password_next_sign_in_with_mfa: Option<bool>,
}

fn patch_user(tenant: &mut Tenant, user: &str, request: &Request<'_>) -> Outcome {
    let patch: UserPatch = strict_body(request.body)?;
    if patch.account_enabled.is_none() && patch.password_profile.is_none() {
        return Err(Box::new(Answer::bad_request(
            "Empty Payload. JSON content expected.",
        )));
    }
    if patch.account_enabled.is_some() {
        permit(request.claims, ENABLE_DISABLE)?;
    }
    if patch.password_profile.is_some() {
        permit(request.claims, RESET_PASSWORD)?;
        if request.claims.directory_roles.is_empty() {
            return Err(Box::new(Answer::forbidden()));
        }
    }
    let id = find_user(tenant, user)?;
    permit_target(tenant, id, request.claims)?;
    if let Some(profile) = &patch.password_profile {
        check_password(tenant, id, profile)?;
    }

    if let Some(enabled) = patch.account_enabled {
        tenant.set_account_enabled(id, enabled);
    }
    if let Some(profile) = patch.password_profile {
        let must_change = profile.force_change_password_next_sign_in == Some(true)
            || profile.force_change_password_next_sign_in_with_mfa == Some(true);
        tenant.set_password(id, must_change, request.now);
    }
    Ok(Answer::no_content())
}

fn check_password(tenant: &Tenant, id: Uuid, profile: &PasswordProfile) -> Result<(), Box<Answer>> {
    let elsewhere = tenant
        .user(id)
        .is_some_and(|user| user.federated || user.on_premises_sync_enabled == Some(true));
    if elsewhere {
        return Err(Box::new(Answer::bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync \
             objects or objects currently undergoing migration.",
        )));
    }
    if !profile.password.as_deref().is_some_and(is_strong) {
        return Err(Box::new(Answer::bad_request(
            "The specified password does not comply with password complexity requirements. \
             Please provide a different password.",
        )));
    }
    Ok(())
}

/// Entra's rule for cloud accounts: 8 to 256 characters, three of the four
/// kinds (lower, upper, digit, symbol).
fn is_strong(password: &str) -> bool {
    let kinds = [
        password.chars().any(char::is_lowercase),
        password.chars().any(char::is_uppercase),
        password.chars().any(|c| c.is_ascii_digit()),
        password
            .chars()
            .any(|c| c.is_ascii_punctuation() || c == ' '),
    ];
    (8..=256).contains(&password.chars().count()) && kinds.iter().filter(|kind| **kind).count() >= 3
}

fn get_user(tenant: &Tenant, user: &str, request: &Request<'_>) -> Outcome {
    permit(request.claims, READ_USERS)?;
    let selection = Selection::parse(request.query, &["$select"])?;
    let id = find_user(tenant, user)?;
    let mut body = json!({
        "@odata.context": format!("{}/$metadata#users/$entity", request.base_url),
    });
    if let (Some(user), Value::Object(fields)) = (tenant.user(id), &mut body) {
        fields.extend(selection.project(user));
    }
    Ok(Answer::json(body))
}

fn list_users(tenant: &Tenant, request: &Request<'_>) -> Outcome {
    permit(request.claims, READ_USERS)?;
    let selection = Selection::parse(request.query, &["$select", "$top", "$skiptoken"])?;
    let page = Page::parse(request.query)?;
    let mut users = tenant.users_after(page.after);
    let shown: Vec<_> = users.by_ref().take(page.size).collect();
    let next = match (shown.last(), users.next()) {
        (Some(last), Some(_)) => {
            Some(page.next_link(request.base_url, "users", last.id, request.query))
        }
        _ => None,
    };
    let value = shown
        .into_iter()
        .map(|user| Value::Object(selection.project(user)));
    Ok(collection(request, "users", value.collect(), next))
}

fn group_members(tenant: &Tenant, group: &str, request: &Request<'_>) -> Outcome {
    permit(request.claims, READ_MEMBERS)?;
    let selection = Selection::parse(request.query, &["$select", "$top", "$skiptoken"])?;
    let page = Page::parse(request.query)?;
    let members = Uuid::parse_str(group)
        .ok()
        .and_then(|id| tenant.members(id))
        .ok_or_else(|| Box::new(Answer::not_found(group)))?;
    let start = page.after.map_or(0, |after| {
        members
            .iter()
            .position(|id| *id == after)
            .map_or(0, |at| at + 1)
    });
    let end = members.len().min(start + page.size);
    let shown = &members[start..end];
    let path = format!("groups/{group}/members");
    let next = match shown.last() {
        Some(last) if end < members.len() => {
            Some(page.next_link(request.base_url, &path, *last, request.query))
        }
        _ => None,
    };
    // Without the right to read users Graph tells a member's kind and id only.
    let may_read = permit(request.claims, READ_USERS).is_ok();
    let entry = |id: &Uuid| {
        let mut fields = serde_json::Map::new();
        fields.insert("@odata.type".to_owned(), json!("#microsoft.graph.user"));
        fields.insert("id".to_owned(), json!(id));
        if let Some(user) = tenant.user(*id).filter(|_| may_read) {
            fields.extend(selection.project(user));
        }
        Value::Object(fields)
    };
    let value = shown.iter().map(entry).collect();
    Ok(collection(request, "directoryObjects", value, next))
}

fn collection(
    request: &Request<'_>,
    kind: &str,
    value: Vec<Value>,
    next: Option<String>,
) -> Answer {
    let mut body = json!({
        "@odata.context": format!("{}/$metadata#{kind}", request.base_url),
        "value": value,
    });
    if let Some(next) = next {
        body["@odata.nextLink"] = json!(next);
    }
    Answer::json(body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RiskyUserIds {
    user_ids: Vec<String>,
}

fn change_risk(
    tenant: &mut Tenant,
    request: &Request<'_>,
    change: fn(&mut Tenant, Uuid, Timestamp),
) -> Outcome {
    permit(request.claims, WRITE_RISK)?;
    let RiskyUserIds { user_ids } = strict_body(request.body)?;
    if user_ids.is_empty() || user_ids.len() > RISKY_IDS_MAX {
        return Err(Box::new(Answer::bad_request(format!(
            "userIds must hold 1 to {RISKY_IDS_MAX} ids."
        ))));
    }
    // Ids only: a sign-in name is no risky user's key.
    let known = |id: &String| {
        Uuid::parse_str(id)
            .ok()
            .filter(|id| tenant.user(*id).is_some())
            .ok_or_else(|| Box::new(Answer::not_found(id)))
    };
    let ids = user_ids.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    for id in ids {
        change(tenant, id, request.now);
    }
    Ok(Answer::no_content())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RiskyWorkloadIds {
    service_principal_ids: Vec<String>,
}

fn find_workload(tenant: &Tenant, id: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(id).ok()?;
    tenant.has_service_principal(id).then_some(id)
}

fn confirm_workloads(tenant: &mut Tenant, request: &Request<'_>) -> Outcome {
    permit(request.claims, WRITE_WORKLOAD_RISK)?;
    let ids = strict_body::<RiskyWorkloadIds>(request.body)?.service_principal_ids;
    if ids.is_empty() || ids.len() > RISKY_IDS_MAX {
        return Err(Box::new(Answer::bad_request(format!(
            "servicePrincipalIds must hold 1 to {RISKY_IDS_MAX} ids."
        ))));
    }
    let known =
        |id: &String| find_workload(tenant, id).ok_or_else(|| Box::new(Answer::not_found(id)));
    let ids = ids.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    for id in ids {
        tenant.confirm_workload_compromised(id, request.now);
    }
    Ok(Answer::no_content())
}

fn get_risky_user(tenant: &Tenant, reference: &str, request: &Request<'_>) -> Outcome {
    permit(request.claims, READ_RISK)?;
    let found = Uuid::parse_str(reference)
        .ok()
        .and_then(|id| Some((tenant.user(id)?, tenant.risk(id)?)));
    let Some((user, risk)) = found else {
        return Err(Box::new(Answer::not_found(reference)));
    };
    Ok(Answer::json(json!({
        "@odata.context":
            format!("{}/$metadata#identityProtection/riskyUsers/$entity", request.base_url),
        "id": user.id,
        "isDeleted": false,
        "isProcessing": false,
        "riskLevel": risk.risk_level,
        "riskState": risk.risk_state,
        "riskDetail": risk.risk_detail,
        "riskLastUpdatedDateTime": risk.risk_last_updated,
        "userDisplayName": user.display_name,
        "userPrincipalName": user.user_principal_name,
    })))
}

/// Adds what an admitted request's answer says of the quotas.
pub(super) fn with_quota_headers(
    answer: Answer,
    resource_units: Option<u32>,
    pressure: Option<f64>,
) -> Answer {
    if answer.status >= StatusCode::BAD_REQUEST {
        return answer;
    }
    let mut answer = answer;
    if let Some(units) = resource_units {
        let name = HeaderName::from_static("x-ms-resource-unit");
        answer = answer.with(name, &units.to_string());
    }
    if let Some(share) = pressure {
        let name = HeaderName::from_static("x-ms-throttle-limit-percentage");
        answer = answer.with(name, &format!("{share:.2}"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn costs_follow_the_published_table() {
        let user = || "a".to_owned();
        let directory = |resource_units, write| Lane::Directory {
            resource_units,
            write,
        };
        let table = [
            (Route::ListUsers, query(&[]), directory(2, false)),
            (
                Route::ListUsers,
                query(&[("$select", "id")]),
                directory(1, false),
            ),
            (
                Route::ListUsers,
                query(&[("$top", "20")]),
                directory(2, false),
            ),
            (
                Route::ListUsers,
                query(&[("$top", "5"), ("$select", "id")]),
                directory(1, false),
            ),
            (Route::GetUser(user()), query(&[]), directory(1, false)),
            (
                Route::RevokeSessions(user()),
                query(&[]),
                directory(1, true),
            ),
            (Route::PatchUser(user()), query(&[]), directory(1, true)),
            (Route::ConfirmCompromised, query(&[]), Lane::Protection),
            (Route::ConfirmWorkloads, query(&[]), Lane::Protection),
            (Route::GetRiskyUser(user()), query(&[]), Lane::Protection),
        ];
        for (route, query, lane) in table {
            assert_eq!(route.lane(&query), lane, "{route:?} {query:?}");
        }
    }

    #[test]
    fn a_strong_password_has_three_kinds_and_eight_characters() {
        for (password, strong) in [
            ("Abcdefg1", true),
            ("abcdefg1!", true),
            ("abcdefgh1", false),
            ("Abc1!", false),
        ] {
            assert_eq!(is_strong(password), strong, "{password}");
        }
    }
}
