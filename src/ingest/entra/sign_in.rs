//! Sign-ins: what the record says of the client, the token that was shown,
//! the factors that were asked for, and Microsoft's own opinion.
//!
//! Invariant: only a missing user or an unreadable time costs the record;
//! every other field is then unknown.

use super::convert::{
    Converted, derived_id, error_code, identity, name, network, risk_level, user, when, word,
};
use super::loose::{list, object};
use super::record::Record;
use super::text::{self, USER_AGENT_BYTES_MAX};
use super::wire::{NetworkLocation, Properties, ProtectionStatus, Step};
use crate::model::{
    AppRef, AuthenticationStep, Device, RecordId, RiskLevel, RiskType, SessionId, SignIn,
    TokenProtection,
};

/// What Entra writes when the token that was shown carried the second factor.
const MFA_BY_CLAIM: &str = "MFA requirement satisfied by claim in the token";
/// How Entra begins when a second factor was denied, e.g. `MFA denied; user
/// declined the authentication`.
const MFA_DENIED: &str = "MFA denied";
/// `networkType` of a location that the tenant declared trusted.
const TRUSTED: &str = "trustedNamedLocation";
/// The most of `networkLocationDetails` that is read; real records have 0–2.
const LOCATIONS_MAX: usize = 16;

pub(super) fn sign_in(
    record: &Record<'_>,
    p: &Properties<'_>,
    interactive: bool,
) -> Converted<SignIn> {
    let at = when(&[
        ("properties.createdDateTime", p.created_date_time.as_deref()),
        ("time", record.time.as_deref()),
    ])?;
    let user = user(p)?;
    let id = match identity(p.id.as_deref()) {
        Some(id) => RecordId::new(id),
        None => derived_id(record, p, &user, at),
    };
    let mut event = SignIn {
        session: identity(p.session_id.as_deref()).map(SessionId::new),
        correlation: identity(p.correlation_id.as_deref())
            .or_else(|| identity(record.correlation_id.as_deref())),
        original_request: identity(p.original_request_id.get()).map(RecordId::new),
        interactive,
        app: AppRef {
            id: identity(p.app_id.as_deref()),
            name: name(p.app_display_name.as_deref()),
        },
        resource: AppRef {
            id: identity(p.resource_id.as_deref()),
            name: name(p.resource_display_name.as_deref()),
        },
        home_tenant: identity(p.home_tenant_id.get()),
        resource_tenant: identity(p.resource_tenant_id.get()),
        network: network(record, p),
        error_code: error_code(record, p),
        user_agent: p
            .user_agent
            .as_deref()
            .and_then(|agent| text::clean(agent, USER_AGENT_BYTES_MAX)),
        client_app: word(&p.client_app_used),
        device: device(p),
        ..SignIn::new(id, at, user)
    };
    add_location(p, &mut event);
    add_token(p, &mut event);
    add_factors(p, &mut event);
    add_risk(p, &mut event);
    Ok(event)
}

fn add_location(p: &Properties<'_>, event: &mut SignIn) {
    let locations = p.network_location_details.json();
    event.trusted_location = list::<NetworkLocation<'_>>(&locations, LOCATIONS_MAX)
        .iter()
        .filter_map(|location| location.network_type.get())
        // Several types of one location are seen with commas between them.
        .flat_map(|types| types.split(','))
        .any(|kind| kind.trim().eq_ignore_ascii_case(TRUSTED));
    event.through_gsa = p.is_through_global_secure_access.is_true();
    event.gsa_address = p
        .global_secure_access_ip_address
        .get()
        .and_then(text::address);
}

fn add_token(p: &Properties<'_>, event: &mut SignIn) {
    event.incoming_token = word(&p.incoming_token_type);
    event.protocol = word(&p.authentication_protocol);
    event.transfer_method = word(&p.original_transfer_method);
    event.unique_token = identity(p.unique_token_identifier.get());
    let status = p.token_protection_status_details.json();
    event.token_protection =
        match word(&object::<ProtectionStatus<'_>>(&status).sign_in_session_status) {
            TokenProtection::Unknown => word(&p.sign_in_token_protection_status),
            known => known,
        };
}

fn add_factors(p: &Properties<'_>, event: &mut SignIn) {
    event.requirement = word(&p.authentication_requirement);
    event.conditional_access = word(&p.conditional_access_status);
    event.additional_details = p
        .status
        .as_ref()
        .and_then(|status| name(status.additional_details.get()));
    let details = p.authentication_details.json();
    event.steps = list::<Step<'_>>(&details, SignIn::STEPS_MAX)
        .iter()
        .map(|step| AuthenticationStep {
            method: name(step.authentication_method.get()),
            succeeded: step.succeeded.flag(),
            outcome: name(step.authentication_step_result_detail.get()),
        })
        .collect();
    let outcomes = || {
        event
            .steps
            .iter()
            .filter_map(|step| step.outcome.as_deref())
    };
    let in_short = event.additional_details.as_deref();
    let denials = outcomes().filter(|outcome| is_denial(outcome)).count();
    event.mfa_by_claim = outcomes().chain(in_short).any(is_claim);
    // The status repeats what a step says; alone it stands for one.
    let denials = denials.max(in_short.is_some_and(is_denial).into());
    event.mfa_denials = u8::try_from(denials).unwrap_or(u8::MAX);
}

fn is_claim(outcome: &str) -> bool {
    outcome
        .trim_end_matches('.')
        .eq_ignore_ascii_case(MFA_BY_CLAIM)
}

fn is_denial(outcome: &str) -> bool {
    outcome
        .get(..MFA_DENIED.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(MFA_DENIED))
}

fn add_risk(p: &Properties<'_>, event: &mut SignIn) {
    event.risk_types = list::<String>(&p.risk_event_types_v2.json(), SignIn::RISK_TYPES_MAX)
        .iter()
        .filter_map(|kind| name(Some(kind)))
        .filter(|kind| !kind.eq_ignore_ascii_case("none"))
        .map(RiskType)
        .collect();
    event.risk_level = match risk_level(p.risk_level_during_sign_in.get()) {
        RiskLevel::Unknown => risk_level(p.risk_level_aggregated.get()),
        known => known,
    };
}

fn device(p: &Properties<'_>) -> Device {
    let Some(detail) = &p.device_detail else {
        return Device::default();
    };
    Device {
        id: identity(detail.device_id.as_deref()),
        operating_system: name(detail.operating_system.as_deref()),
        browser: name(detail.browser.as_deref()),
        compliant: detail.is_compliant.and_then(|flag| flag.0),
        managed: detail.is_managed.and_then(|flag| flag.0),
    }
}
