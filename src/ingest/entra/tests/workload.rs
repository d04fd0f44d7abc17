//! Service principals: whose risk it is, and what of their sign-ins is read.

use serde_json::{Value, json};

use super::{at, changed, decoded, reason, without};
use crate::model::{Event, RiskDetection, RiskLevel, RiskState};

fn risk_record() -> Value {
    json!({
        "time": "11/24/2026 8:20:00 AM",
        "resourceId": "/tenants/t/providers/microsoft.aadiam",
        "operationName": "Service Principal Risk Detection",
        "category": "ServicePrincipalRiskEvents",
        "callerIpAddress": "192.0.2.1",
        "correlationId": "C-1",
        "identity": "Payroll Export",
        "Level": 4,
        "properties": {
            "id": "D-1",
            "requestId": "R-1",
            "correlationId": "C-2",
            "riskEventType": "anomalousServicePrincipalActivity",
            "riskState": "atRisk",
            "riskLevel": "high",
            "riskDetail": "none",
            "source": "IdentityProtection",
            "detectionTimingType": "offline",
            "activity": "servicePrincipal",
            "ipAddress": "198.51.100.7",
            "location": {
                "city": "Riga",
                "state": "",
                "countryOrRegion": "LV",
                "geoCoordinates": { "latitude": 56.9, "longitude": 24.1 },
            },
            "activityDateTime": "2026-11-24T08:10:00Z",
            "detectedDateTime": "2026-11-24T08:15:00Z",
            "lastUpdatedDateTime": "2026-11-24T08:16:00Z",
            "servicePrincipalId": "5E1F0000-0000-4000-8000-000000000001",
            "servicePrincipalDisplayName": "Payroll Export",
            "appId": "a99a0000-0000-4000-8000-000000000001",
            "keyIds": [],
            "userId": null,
            "additionalInfo": "[]",
        },
    })
}

fn sign_in_record(category: &str) -> Value {
    json!({
        "time": "2026-11-24T08:20:00Z",
        "operationName": "Sign-in activity",
        "category": category,
        "resultType": "0",
        "properties": {
            "id": "S-1",
            "createdDateTime": "2026-11-24T08:19:00Z",
            "userId": null,
            "userDisplayName": null,
            "appId": "a99a0000-0000-4000-8000-000000000001",
            "servicePrincipalId": "5e1f0000-0000-4000-8000-000000000001",
            "servicePrincipalName": "Payroll Export",
            "ipAddress": "",
            "location": null,
            "status": { "errorCode": 0 },
        },
    })
}

#[track_caller]
fn risk(record: &Value) -> RiskDetection {
    match decoded(record).events.pop() {
        Some((category, Event::RiskDetection(detection))) => {
            assert_eq!(category.0, "ServicePrincipalRiskEvents");
            *detection
        }
        other => panic!("{other:?} from {record}"),
    }
}

#[test]
fn a_detection_is_read_field_by_field() {
    let detection = risk(&risk_record());
    assert_eq!(detection.record.as_str(), "D-1@2026-11-24T08:16:00Z");
    assert_eq!(&*detection.detection, "D-1");
    assert_eq!(detection.at, at("2026-11-24T08:10:00Z"));
    assert!(detection.user.workload && !detection.user.guest);
    assert_eq!(
        detection.user.id.as_str(),
        "5e1f0000-0000-4000-8000-000000000001"
    );
    assert_eq!(&*detection.user.principal_name, "Payroll Export");
    assert_eq!(detection.request.unwrap().as_str(), "R-1");
    assert_eq!(&*detection.risk_type.0, "anomalousServicePrincipalActivity");
    assert_eq!(detection.level, RiskLevel::High);
    assert_eq!(detection.state, RiskState::AtRisk);
    assert_eq!(
        detection.network.address.unwrap().to_string(),
        "198.51.100.7"
    );
    assert_eq!(detection.network.place.to_string(), "Riga (LV)");
}

#[test]
fn what_a_detection_can_do_without_may_be_missing_or_misshapen() {
    for field in [
        "requestId",
        "ipAddress",
        "location",
        "riskLevel",
        "riskState",
    ] {
        let pointer = format!("/properties/{field}");
        for value in [json!(null), json!(["odd"]), json!("")] {
            let detection = risk(&changed(risk_record(), &pointer, value.clone()));
            assert!(detection.user.workload, "{field} {value}");
        }
    }
    let unnamed = without(risk_record(), "/properties", "servicePrincipalDisplayName");
    assert_eq!(&*risk(&unnamed).user.principal_name, "");
    let derived = without(risk_record(), "/properties", "id");
    assert_eq!(risk(&derived).detection, risk(&derived).detection);
    assert_eq!(
        risk(&without(risk_record(), "/properties", "activityDateTime")).at,
        at("2026-11-24T08:15:00Z")
    );
}

#[test]
fn a_detection_without_its_service_principal_or_type_is_quarantined() {
    for (field, named) in [
        ("servicePrincipalId", "properties.servicePrincipalId"),
        ("riskEventType", "properties.riskEventType"),
    ] {
        let told = reason(&without(risk_record(), "/properties", field));
        assert!(told.contains(named), "{told}");
    }
    let nobody = json!("00000000-0000-0000-0000-000000000000");
    let told = reason(&changed(
        risk_record(),
        "/properties/servicePrincipalId",
        nobody,
    ));
    assert!(told.contains("servicePrincipalId"), "{told}");
    let told = reason(&without(risk_record(), "", "properties"));
    assert!(told.contains("properties: missing"), "{told}");
}

#[test]
fn a_sound_sign_in_is_counted_by_its_category_and_raises_nothing() {
    for category in ["ServicePrincipalSignInLogs", "ManagedIdentitySignInLogs"] {
        for record in [
            sign_in_record(category),
            changed(
                sign_in_record(category),
                "/properties/servicePrincipalId",
                json!(""),
            ),
            without(sign_in_record(category), "/properties", "createdDateTime"),
        ] {
            let decoded = decoded(&record);
            assert!(
                decoded.events.is_empty() && decoded.quarantined.is_empty(),
                "{record} {:?}",
                decoded.quarantined
            );
            let counted: Vec<&str> = decoded.passed_over.iter().map(|c| c.0).collect();
            assert_eq!(counted, [category]);
        }
    }
}

#[test]
fn a_malformed_sign_in_is_quarantined() {
    let record = || sign_in_record("ServicePrincipalSignInLogs");
    let nameless = without(
        without(record(), "/properties", "servicePrincipalId"),
        "/properties",
        "appId",
    );
    for (record, named) in [
        (nameless, "properties.servicePrincipalId"),
        (
            changed(record(), "/properties/createdDateTime", json!("yesterday")),
            "properties.createdDateTime",
        ),
        (changed(record(), "/properties", json!("odd")), "properties"),
        (without(record(), "", "properties"), "properties: missing"),
    ] {
        let told = reason(&record);
        assert!(told.contains(named), "{told}");
    }
}
