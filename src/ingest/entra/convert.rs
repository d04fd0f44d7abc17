//! Wire structs to events, once; past here nothing is stringly typed.
//!
//! A field that cannot be read is "unknown" where a record without it is still
//! worth judging (an address, a place, a device). Without a user or a time
//! there is nothing to judge, and the record is quarantined.

use jiff::Timestamp;
use uuid::Uuid;

use super::category::Kind;
use super::loose::Word;
use super::record::{Body, Record};
use super::text::{self, IDENTITY_BYTES_MAX, NAME_BYTES_MAX};
use super::wire::{Location, Number, Properties, Text};
use super::{audit, graph, sign_in, time, workload};
use crate::model::{
    CountryCode, Event, GeoPoint, Network, Place, RecordId, RiskDetection, RiskLevel, RiskState,
    RiskType, RiskyUser, UserId, UserRef,
};

/// `error_code` of a sign-in whose status is missing or unreadable: not a
/// success, since nothing says it was.
const ERROR_UNKNOWN: i64 = -1;
/// The namespace of ids derived for records that bear none.
const DERIVED: Uuid = Uuid::from_u128(0x6c0e_2d5b_51f7_4d0f_9a65_0b7e_c1d2_0010);

/// `userId` of a sign-in under a name that the directory does not know: all
/// such names share it.
pub(super) const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// .NET's date of nothing.
const NO_DATE: &str = "0001-01-01T00:00:00";

pub(super) type Converted<T> = Result<T, String>;

/// Converts a record; `None` is one that is not worth judging.
pub(super) fn event(kind: Kind, record: &Record<'_>) -> Converted<Option<Event>> {
    Ok(Some(match (kind, &record.properties) {
        (Kind::SignIn { interactive }, Body::Account(p)) => {
            Event::SignIn(Box::new(sign_in::sign_in(record, p, interactive)?))
        }
        (Kind::RiskEvent, Body::Account(p)) => {
            Event::RiskDetection(Box::new(risk_detection(record, p)?))
        }
        (Kind::RiskyUser, Body::Account(p)) => Event::RiskyUser(Box::new(risky_user(record, p)?)),
        (Kind::Audit, Body::Audit(p)) => match audit::directory_audit(record, p)? {
            Some(audit) => Event::DirectoryAudit(Box::new(audit)),
            None => return Ok(None),
        },
        (Kind::GraphActivity, Body::GraphCall(p)) => match graph::graph_activity(record, p)? {
            Some(activity) => Event::GraphActivity(Box::new(activity)),
            None => return Ok(None),
        },
        (Kind::WorkloadRisk, Body::Workload(p)) => {
            Event::RiskDetection(Box::new(workload::risk_detection(record, p)?))
        }
        (Kind::WorkloadSignIn, Body::Workload(p)) => {
            workload::check_sign_in(record, p)?;
            return Ok(None);
        }
        // Without properties they have no user.
        (Kind::Audit | Kind::GraphActivity | Kind::PassedOver, _) => return Ok(None),
        (
            Kind::SignIn { .. }
            | Kind::RiskEvent
            | Kind::RiskyUser
            | Kind::WorkloadRisk
            | Kind::WorkloadSignIn,
            _,
        ) => {
            return Err("properties: missing, expected an object".to_owned());
        }
    }))
}

fn risk_detection(record: &Record<'_>, p: &Properties<'_>) -> Converted<RiskDetection> {
    let at = when(&[
        (
            "properties.activityDateTime",
            p.activity_date_time.as_deref(),
        ),
        (
            "properties.detectedDateTime",
            p.detected_date_time.as_deref(),
        ),
        (
            "properties.lastUpdatedDateTime",
            p.last_updated_date_time.as_deref(),
        ),
        ("time", record.time.as_deref()),
    ])?;
    let user = user(p)?;
    let detection = match identity(p.id.as_deref()) {
        Some(id) => id,
        None => derived_id(record, p, &user, at).as_str().into(),
    };
    // `riskType` may be generic while `riskEventType` names the kind.
    let risk_type = name(p.risk_event_type.as_deref())
        .or_else(|| name(p.risk_type.as_deref()))
        .ok_or_else(|| missing("properties.riskEventType", "e.g. \"anonymizedIPAddress\""))?;
    Ok(RiskDetection {
        record: updated_id(
            &detection,
            p.last_updated_date_time.as_deref(),
            p.risk_state.as_deref(),
        ),
        detection,
        at,
        user,
        request: identity(p.request_id.as_deref()).map(RecordId::new),
        risk_type: RiskType(risk_type),
        level: risk_level(p.risk_level.as_deref()),
        state: risk_state(p.risk_state.as_deref()),
        network: network(record, p),
    })
}

fn risky_user(record: &Record<'_>, p: &Properties<'_>) -> Converted<RiskyUser> {
    let at = when(&[
        (
            "properties.riskLastUpdatedDateTime",
            p.risk_last_updated_date_time.as_deref(),
        ),
        (
            "properties.lastUpdatedDateTime",
            p.last_updated_date_time.as_deref(),
        ),
        ("time", record.time.as_deref()),
    ])?;
    // The record's id is the user's.
    let id = identity(p.id.as_deref())
        .or_else(|| identity(p.user_id.as_deref()))
        .map(|id| id.to_lowercase());
    let principal_name = name(p.user_principal_name.as_deref()).unwrap_or_default();
    let id = id
        .or_else(|| (!principal_name.is_empty()).then(|| principal_name.to_lowercase()))
        .ok_or_else(|| missing("properties.id", "the user's object id"))?;
    let user = UserRef {
        id: UserId::new(id.clone()),
        principal_name,
        guest: p.is_guest.and_then(|flag| flag.0).unwrap_or(false),
        workload: false,
    };
    Ok(RiskyUser {
        record: updated_id(
            &id,
            p.risk_last_updated_date_time.as_deref(),
            p.risk_state.as_deref(),
        ),
        at,
        user,
        level: risk_level(p.risk_level.as_deref()),
        state: risk_state(p.risk_state.as_deref()),
    })
}

pub(super) fn missing(field: &str, expected: &str) -> String {
    format!("{field}: missing, expected {expected}")
}

/// The first of these fields that is there; one that is there must be a time.
pub(super) fn when(fields: &[(&str, Option<&str>)]) -> Converted<Timestamp> {
    for (field, value) in fields {
        let Some(value) = value.map(str::trim).filter(is_set) else {
            continue;
        };
        return time::parse(value).ok_or_else(|| {
            format!(
                "{field}: saw {}, expected a time such as 2026-11-24T08:00:00Z",
                text::excerpt(value, 60)
            )
        });
    }
    let names: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
    Err(missing(
        &names.join(", "),
        "a time such as 2026-11-24T08:00:00Z",
    ))
}

fn is_set(time: &&str) -> bool {
    !time.is_empty() && !time.starts_with(NO_DATE)
}

/// The object id, or the principal name where the record has none or the
/// directory knew none.
pub(super) fn user(p: &Properties<'_>) -> Converted<UserRef> {
    let principal_name = name(p.user_principal_name.as_deref()).unwrap_or_default();
    let id = identity(p.user_id.as_deref())
        .filter(|id| &**id != NOBODY || principal_name.is_empty())
        .or_else(|| (!principal_name.is_empty()).then(|| principal_name.clone()))
        .ok_or_else(|| {
            missing(
                "properties.userId",
                "the user's object id or a userPrincipalName",
            )
        })?;
    let guest = p
        .user_type
        .as_deref()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("guest"));
    Ok(UserRef {
        id: UserId::new(id.to_lowercase()),
        principal_name,
        guest,
        workload: false,
    })
}

/// An identity is taken whole or not at all: two that were cut could become
/// one.
pub(super) fn identity(field: Option<&str>) -> Option<Box<str>> {
    let value = field?.trim();
    let unknown = value.is_empty() || value == "<null>" || value.len() > IDENTITY_BYTES_MAX;
    if unknown {
        return None;
    }
    text::clean(value, IDENTITY_BYTES_MAX)
}

pub(super) fn name(field: Option<&str>) -> Option<Box<str>> {
    text::clean(field?, NAME_BYTES_MAX)
}

/// An id for a record that bears none, from what stays the same when it is
/// delivered again: the envelope's time does not.
pub(super) fn derived_id(
    record: &Record<'_>,
    p: &Properties<'_>,
    user: &UserRef,
    at: Timestamp,
) -> RecordId {
    let text = |field: &Option<Text<'_>>| field.as_deref().unwrap_or_default().to_owned();
    let parts = [
        text(&record.category),
        text(&record.correlation_id),
        text(&p.correlation_id),
        text(&p.ip_address),
        text(&p.app_id),
        text(&p.session_id),
        text(&p.risk_event_type),
        error_code(record, p).to_string(),
        user.id.as_str().to_owned(),
        at.to_string(),
    ];
    id_of(&parts)
}

/// An id that is the same for the same parts.
pub(super) fn id_of(parts: &[impl AsRef<str>]) -> RecordId {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    RecordId::new(Uuid::new_v5(&DERIVED, parts.join("\u{1f}").as_bytes()).to_string())
}

/// A word of an open set.
pub(super) fn word<T: for<'a> From<&'a str> + Default>(field: &Word<'_>) -> T {
    name(field.get())
        .map(|name| T::from(&name))
        .unwrap_or_default()
}

/// The identity of one state of something that Entra sends again at each
/// change: by the time of the change, or where that is missing by the state.
pub(super) fn updated_id(id: &str, updated: Option<&str>, state: Option<&str>) -> RecordId {
    match (updated.and_then(time::parse), identity(state)) {
        (Some(at), _) => RecordId::new(format!("{id}@{at}")),
        (None, Some(state)) => RecordId::new(format!("{id}@{state}")),
        (None, None) => RecordId::new(id),
    }
}

/// `status.errorCode` where there is one, else the envelope's `resultType`.
pub(super) fn error_code(record: &Record<'_>, p: &Properties<'_>) -> i64 {
    let status = p
        .status
        .as_ref()
        .and_then(|status| status.error_code)
        .and_then(|code| code.0);
    if let Some(code) = status {
        return code as i64;
    }
    match record.result_type.as_deref().map(str::trim) {
        Some(text) if text.eq_ignore_ascii_case("success") => 0,
        Some(text) => text.parse().unwrap_or(ERROR_UNKNOWN),
        None => ERROR_UNKNOWN,
    }
}

pub(super) fn network(record: &Record<'_>, p: &Properties<'_>) -> Network {
    Network {
        address: p
            .ip_address
            .as_deref()
            .and_then(text::address)
            .or_else(|| record.caller_ip_address.as_deref().and_then(text::address)),
        asn: p.autonomous_system_number.and_then(asn),
        place: p.location.as_ref().map(place).unwrap_or_default(),
    }
}

/// 0 means unknown.
fn asn(number: Number) -> Option<u32> {
    let number = number.0?;
    let whole = number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number);
    whole.then_some(number as u32)
}

pub(super) fn place(location: &Location<'_>) -> Place {
    let point = location.geo_coordinates.as_ref().and_then(|at| {
        GeoPoint::new(
            at.latitude.and_then(|n| n.0)?,
            at.longitude.and_then(|n| n.0)?,
        )
    });
    Place {
        city: name(location.city.as_deref())
            .filter(|city| !city.eq_ignore_ascii_case("unknown"))
            .map(Into::into),
        country: location
            .country_or_region
            .as_deref()
            .map(str::trim)
            .and_then(CountryCode::parse),
        point,
    }
}

pub(super) fn risk_level(field: Option<&str>) -> RiskLevel {
    const LEVELS: [(&str, RiskLevel); 4] = [
        ("none", RiskLevel::None),
        ("low", RiskLevel::Low),
        ("medium", RiskLevel::Medium),
        ("high", RiskLevel::High),
    ];
    named(field, &LEVELS).unwrap_or(RiskLevel::Unknown)
}

pub(super) fn risk_state(field: Option<&str>) -> RiskState {
    const STATES: [(&str, RiskState); 6] = [
        ("none", RiskState::None),
        ("confirmedSafe", RiskState::ConfirmedSafe),
        ("remediated", RiskState::Remediated),
        ("dismissed", RiskState::Dismissed),
        ("atRisk", RiskState::AtRisk),
        ("confirmedCompromised", RiskState::ConfirmedCompromised),
    ];
    named(field, &STATES).unwrap_or(RiskState::Unknown)
}

fn named<T: Copy>(field: Option<&str>, names: &[(&str, T)]) -> Option<T> {
    let text = field?.trim();
    names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
}
