//! scaffold
use super::{Category, Decoded, Undecodable};
use crate::model::*;
use serde_json::Value;
pub fn decode(b: &[u8]) -> Decoded {
    let mut d = Decoded::default();
    let v: Value = match serde_json::from_slice(b) { Ok(v) => v, Err(e) => { d.quarantined.push(Undecodable { bytes: b.to_vec(), index: None, reason: e.to_string() }); return d; } };
    let recs = match v.get("records") { Some(Value::Array(a)) => a.clone(), _ => vec![v] };
    for (i, r) in recs.into_iter().enumerate() { match one(&r) { Some(x) => d.events.push(x), None => d.quarantined.push(Undecodable { bytes: r.to_string().into_bytes(), index: Some(i as u32), reason: "bad".into() }) } }
    d
}
fn s<'a>(v: &'a Value, k: &str) -> Option<&'a str> { v.get(k).and_then(Value::as_str).filter(|s| !s.is_empty()) }
fn one(r: &Value) -> Option<(Category, Event)> {
    let cat = s(r, "category")?; let p = r.get("properties")?;
    let user = UserRef { id: UserId::new(s(p, "userId")?), principal_name: s(p, "userPrincipalName").unwrap_or("").into(), guest: false };
    let loc = p.get("location"); 
    let place = Place { city: loc.and_then(|l| s(l, "city")).map(Into::into), country: loc.and_then(|l| s(l, "countryOrRegion")).and_then(CountryCode::parse), point: loc.and_then(|l| l.get("geoCoordinates")).and_then(|g| GeoPoint::new(g.get("latitude")?.as_f64()?, g.get("longitude")?.as_f64()?)) };
    let network = Network { address: s(p, "ipAddress").and_then(|a| a.parse().ok()), asn: p.get("autonomousSystemNumber").and_then(Value::as_u64).map(|n| n as u32), place };
    match cat {
        "SignInLogs" | "NonInteractiveUserSignInLogs" => Some((Category("SignInLogs"), Event::SignIn(Box::new(SignIn { record: RecordId::new(s(p, "id")?), at: s(p, "createdDateTime")?.parse().ok()?, user, session: s(p, "sessionId").map(SessionId::new), correlation: None, interactive: cat == "SignInLogs", app: AppRef::default(), resource: AppRef::default(), network, error_code: p.get("status")?.get("errorCode")?.as_i64()?, user_agent: s(p, "userAgent").map(Into::into), device: Device::default() })))),
        "UserRiskEvents" => Some((Category("UserRiskEvents"), Event::RiskDetection(Box::new(RiskDetection { record: RecordId::new(s(p, "id")?), detection: s(p, "id")?.into(), at: s(p, "activityDateTime")?.parse().ok()?, user, request: None, risk_type: RiskType(s(p, "riskEventType")?.into()), level: RiskLevel::High, state: RiskState::AtRisk, network })))),
        _ => None,
    }
}
