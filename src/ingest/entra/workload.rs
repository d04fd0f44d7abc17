//! Service principals and managed identities: their risk, and their sign-ins
//! as far as these are read.
//!
//! Invariant: an event about a service principal says so (`UserRef::workload`)
//! and bears its object id, never an application's: several tenants share
//! those. `userId` is null in all these records and is not looked at.

use super::convert::{
    Converted, NOBODY, id_of, identity, missing, name, place, risk_level, risk_state, updated_id,
    when,
};
use super::loose;
use super::record::Record;
use super::text;
use super::wire::{Location, Workload};
use crate::model::{Network, RecordId, RiskDetection, RiskType, UserId, UserRef};

pub(super) fn risk_detection(record: &Record<'_>, p: &Workload<'_>) -> Converted<RiskDetection> {
    let at = when(&[
        ("properties.activityDateTime", p.activity_date_time.get()),
        ("properties.detectedDateTime", p.detected_date_time.get()),
        (
            "properties.lastUpdatedDateTime",
            p.last_updated_date_time.get(),
        ),
        ("time", record.time.as_deref()),
    ])?;
    let id = identity(p.service_principal_id.get())
        .filter(|id| &**id != NOBODY)
        .map(|id| id.to_lowercase())
        .ok_or_else(|| {
            missing(
                "properties.servicePrincipalId",
                "the service principal's object id",
            )
        })?;
    let risk_type = name(p.risk_event_type.get())
        .or_else(|| name(p.risk_type.get()))
        .ok_or_else(|| missing("properties.riskEventType", "e.g. \"leakedCredentials\""))?;
    let detection = identity(p.id.get()).unwrap_or_else(|| {
        let parts = [
            "ServicePrincipalRiskEvents",
            &id,
            &risk_type,
            &at.to_string(),
        ];
        id_of(&parts).as_str().into()
    });
    let display_name = name(p.service_principal_display_name.get())
        .or_else(|| name(p.app_display_name.get()))
        .unwrap_or_default();
    let address = p.ip_address.get().and_then(text::address);
    let caller = record.caller_ip_address.as_deref();
    let location = p.location.json();
    Ok(RiskDetection {
        record: updated_id(
            &detection,
            p.last_updated_date_time.get(),
            p.risk_state.get(),
        ),
        detection,
        at,
        user: UserRef {
            id: UserId::new(id),
            principal_name: display_name,
            guest: false,
            workload: true,
        },
        request: identity(p.request_id.get()).map(RecordId::new),
        risk_type: RiskType(risk_type),
        level: risk_level(p.risk_level.get()),
        state: risk_state(p.risk_state.get()),
        network: Network {
            address: address.or_else(|| caller.and_then(text::address)),
            asn: None,
            place: place(&loose::object::<Location<'_>>(&location)),
        },
    })
}

/// Whether a sign-in says who and when. No event comes of it yet; a tenant
/// whose records change their shape learns of it before one does.
pub(super) fn check_sign_in(record: &Record<'_>, p: &Workload<'_>) -> Converted<()> {
    when(&[
        ("properties.createdDateTime", p.created_date_time.get()),
        ("time", record.time.as_deref()),
    ])?;
    // A sign-in of an application that the tenant does not have names no
    // service principal.
    let names = [&p.service_principal_id, &p.app_id];
    if names.iter().all(|field| identity(field.get()).is_none()) {
        return Err(missing(
            "properties.servicePrincipalId, properties.appId",
            "an object id or an application's id",
        ));
    }
    Ok(())
}
