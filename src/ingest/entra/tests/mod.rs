//! Each trap of Entra's records, by name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::decode;
use crate::ingest::Decoded;
use crate::model::{
    Event, Protocol, RiskDetection, RiskLevel, RiskState, RiskyUser, SignIn, TransferMethod,
};

mod activity;
mod messages;
mod sign_in;
mod workload;

fn sign_in_record() -> Value {
    json!({
        "time": "2026-11-24T08:05:00Z",
        "category": "SignInLogs",
        "resultType": "0",
        "resultSignature": "None",
        "durationMs": 0,
        "callerIpAddress": "192.0.2.1",
        "correlationId": "C-1",
        "Level": 4,
        "properties": {
            "id": "R-1",
            "createdDateTime": "2026-11-24T08:00:00.1234567Z",
            "userId": "A1B2",
            "userPrincipalName": "Ana@contoso.example",
            "userType": "Member",
            "ipAddress": "192.0.2.10",
            "autonomousSystemNumber": 3215,
            "status": { "errorCode": 0 },
            "location": {
                "city": "Paris",
                "countryOrRegion": "fr",
                "geoCoordinates": { "latitude": 48.86, "longitude": 2.35 },
            },
            "deviceDetail": { "deviceId": "", "operatingSystem": "Windows10", "browser": "Edge 142.0.0" },
            "sessionId": "S-1",
            "userAgent": "Mozilla/5.0",
        },
    })
}

/// A record with one thing changed: a JSON pointer and its new value.
fn changed(mut record: Value, pointer: &str, value: Value) -> Value {
    match record.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            record.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    record
}

fn without(mut record: Value, parent: &str, key: &str) -> Value {
    record
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key);
    record
}

fn decoded(record: &Value) -> Decoded {
    decode(json!({ "records": [record] }).to_string().as_bytes())
}

fn sign_in(record: &Value) -> SignIn {
    match decoded(record).events.pop() {
        Some((_, Event::SignIn(sign_in))) => *sign_in,
        other => panic!("{other:?} from {record}"),
    }
}

fn sign_in_with(pointer: &str, value: Value) -> SignIn {
    sign_in(&changed(sign_in_record(), pointer, value))
}

fn reason(record: &Value) -> String {
    let mut decoded = decoded(record);
    assert_eq!(decoded.events.len(), 0, "{record}");
    decoded.quarantined.pop().unwrap().reason
}

fn risk_record() -> Value {
    json!({
        "time": "7/18/2026 2:03:03 PM",
        "category": "UserRiskEvents",
        "correlationId": "D-1",
        "properties": {
            "id": "D-1",
            "requestId": "R-1",
            "riskType": "generic",
            "riskEventType": "passwordSpray",
            "riskState": "atRisk",
            "riskLevel": "medium",
            "activityDateTime": "2026-07-18T14:00:00Z",
            "detectedDateTime": "2026-07-18T14:02:00Z",
            "lastUpdatedDateTime": "2026-07-18T14:02:30Z",
            "userId": "A1B2",
            "userPrincipalName": "ana@contoso.example",
            "additionalInfo": "[{\"Key\":\"userAgent\",\"Value\":\"x\"}]",
            "ipAddress": "192.0.2.10",
        },
    })
}

fn risk(record: &Value) -> RiskDetection {
    match decoded(record).events.pop() {
        Some((_, Event::RiskDetection(risk))) => *risk,
        other => panic!("{other:?} from {record}"),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_sign_in_is_read_field_by_field() {
    let event = sign_in(&sign_in_record());
    assert_eq!(event.record.as_str(), "R-1");
    assert_eq!(event.at, at("2026-11-24T08:00:00.1234567Z"));
    assert_eq!((event.user.id.as_str(), event.user.guest), ("a1b2", false));
    assert_eq!(&*event.user.principal_name, "Ana@contoso.example");
    assert_eq!(event.network.asn, Some(3215));
    assert_eq!(event.network.place.to_string(), "Paris (FR)");
    assert_eq!(event.session.unwrap().as_str(), "S-1");
    assert!(event.interactive && event.error_code == 0);
    assert_eq!(event.device.id, None, "an empty device id is unknown");
    assert_eq!(event.device.browser.as_deref(), Some("Edge 142.0.0"));
}

#[test]
fn categories_are_compared_without_case() {
    let odd = changed(
        sign_in_record(),
        "/category",
        json!("NonInteractiveUserSIgnInLogs"),
    );
    assert!(!sign_in(&odd).interactive);
    assert_eq!(decoded(&odd).events[0].0.0, "NonInteractiveUserSignInLogs");
}

#[test]
fn other_categories_are_passed_over_whatever_they_hold() {
    for category in ["AuditLogs", "auditlogs", "ADFSSignInLogs", "BrandNewLogs"] {
        let record = json!({
            "category": category,
            "properties": { "id": ["not", "text"], "status": "success", "location": 5, "userId": null },
        });
        let decoded = decoded(&record);
        assert_eq!(decoded.passed_over.len(), 1, "{category}");
        assert!(decoded.quarantined.is_empty() && decoded.events.is_empty());
    }
    let unknown = decoded(&json!({ "category": "BrandNewLogs" }));
    assert_eq!(unknown.passed_over[0].0, "other");
}

#[test]
fn success_is_the_error_code_and_never_the_signature() {
    let code = |record: &Value| sign_in(record).error_code;
    assert_eq!(
        code(&changed(
            sign_in_record(),
            "/properties/status/errorCode",
            json!(50126)
        )),
        50126
    );
    assert_eq!(
        code(&changed(
            sign_in_record(),
            "/properties/status/errorCode",
            json!("0")
        )),
        0
    );
    assert_eq!(
        code(&changed(
            sign_in_record(),
            "/resultSignature",
            json!("SUCCESS")
        )),
        0
    );
    let bare = without(sign_in_record(), "/properties", "status");
    for (result_type, expected) in [
        (json!("0"), 0),
        (json!(0), 0),
        (json!("Success"), 0),
        (json!("50126"), 50126),
        (json!("Failure"), -1),
    ] {
        assert_eq!(
            code(&changed(bare.clone(), "/resultType", result_type.clone())),
            expected,
            "{result_type}"
        );
    }
    // Nothing says that it succeeded, so it did not.
    assert!(!sign_in(&without(bare, "", "resultType")).succeeded());
}

#[test]
fn the_events_time_is_not_the_envelopes() {
    assert_eq!(
        sign_in(&sign_in_record()).at,
        at("2026-11-24T08:00:00.1234567Z")
    );
    let bare = without(sign_in_record(), "/properties", "createdDateTime");
    for (time, expected) in [
        ("2025-01-15 09:30:45.123", "2025-01-15T09:30:45.123Z"),
        ("7/18/2026 2:03:03 PM", "2026-07-18T14:03:03Z"),
        ("2022-09-09T8:48:50.361Z", "2022-09-09T08:48:50.361Z"),
        ("2026-11-24T08:00:00-05:00", "2026-11-24T13:00:00Z"),
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
    ] {
        assert_eq!(
            sign_in(&changed(bare.clone(), "/time", json!(time))).at,
            at(expected),
            "{time}"
        );
    }
    let risk = risk(&risk_record());
    assert_eq!(risk.at, at("2026-07-18T14:00:00Z"));
}

#[test]
fn a_time_that_is_not_one_is_named() {
    let record = changed(
        sign_in_record(),
        "/properties/createdDateTime",
        json!("yesterday"),
    );
    assert_eq!(
        reason(&record),
        "records[0].properties.createdDateTime: saw \"yesterday\", expected a time such as 2026-11-24T08:00:00Z"
    );
}

#[test]
fn a_record_without_an_id_gets_one_that_survives_redelivery() {
    let bare = without(sign_in_record(), "/properties", "id");
    let first = sign_in(&bare).record;
    assert_eq!(
        sign_in(&changed(
            bare.clone(),
            "/time",
            json!("2026-11-24T09:00:00Z")
        ))
        .record,
        first
    );
    assert_ne!(
        sign_in(&changed(bare, "/properties/ipAddress", json!("192.0.2.11"))).record,
        first
    );
}

#[test]
fn addresses_come_in_many_shapes() {
    for (text, expected) in [
        ("192.0.2.10", Some("192.0.2.10")),
        ("192.0.2.10:443", Some("192.0.2.10")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("::ffff:192.0.2.10", Some("192.0.2.10")),
    ] {
        let address = sign_in_with("/properties/ipAddress", json!(text))
            .network
            .address;
        assert_eq!(
            address.map(|a| a.to_string()).as_deref(),
            expected,
            "{text}"
        );
    }
    // The envelope's caller address is the fallback, and "<null>" is none.
    for text in ["", "<null>", "not an address"] {
        let record = changed(sign_in_record(), "/properties/ipAddress", json!(text));
        assert_eq!(
            sign_in(&record).network.address.unwrap().to_string(),
            "192.0.2.1"
        );
        let record = changed(record, "/callerIpAddress", json!("<null>"));
        assert_eq!(sign_in(&record).network.address, None);
    }
    let record = without(
        without(sign_in_record(), "", "callerIpAddress"),
        "/properties",
        "ipAddress",
    );
    assert_eq!(sign_in(&record).network.address, None);
}

#[test]
fn coordinates_can_be_missing_null_zero_text_or_absurd() {
    let at = "/properties/location/geoCoordinates";
    for value in [
        json!(null),
        json!({}),
        json!({ "latitude": null, "longitude": null }),
        json!({ "latitude": 0, "longitude": 0 }),
        json!({ "latitude": 1e300, "longitude": 5 }),
        json!({ "latitude": "north", "longitude": 5 }),
    ] {
        assert_eq!(
            sign_in_with(at, value.clone()).network.place.point,
            None,
            "{value}"
        );
    }
    let text = sign_in_with(at, json!({ "latitude": "48.5", "longitude": "2" }));
    assert_eq!(text.network.place.point.unwrap().latitude, 48.5);
    assert_eq!(
        sign_in_with("/properties/location", json!(null))
            .network
            .place
            .to_string(),
        "unknown place"
    );
    assert_eq!(
        sign_in_with("/properties/location/countryOrRegion", json!("China"))
            .network
            .place
            .country,
        None
    );
}

#[test]
fn numbers_come_as_text_and_text_as_numbers() {
    assert_eq!(
        sign_in_with("/properties/autonomousSystemNumber", json!("3215"))
            .network
            .asn,
        Some(3215)
    );
    assert_eq!(
        sign_in_with("/properties/autonomousSystemNumber", json!(0))
            .network
            .asn,
        None
    );
    assert_eq!(
        sign_in_with("/properties/autonomousSystemNumber", json!("?"))
            .network
            .asn,
        None
    );
    for (pointer, value) in [
        ("/Level", json!("4")),
        ("/durationMs", json!("0")),
        ("/operationVersion", json!(1)),
        ("/resultType", json!(0)),
    ] {
        assert_eq!(
            sign_in_with(pointer, value).record.as_str(),
            "R-1",
            "{pointer}"
        );
    }
    assert!(
        sign_in_with("/properties/userType", json!("guest"))
            .user
            .guest
    );
    assert!(
        !sign_in_with("/properties/userType", json!("member"))
            .user
            .guest
    );
}

#[test]
fn keys_of_the_envelope_come_in_lower_case_too() {
    let record = json!({
        "category": "SignInLogs",
        "time": "2023-07-21 05:05:12.056",
        "calleripaddress": "192.0.2.7",
        "correlationid": "c",
        "resulttype": 0,
        "properties": { "userId": "u", "createdDateTime": "2023-07-21 05:03:52.160562400" },
    });
    let event = sign_in(&record);
    assert_eq!(event.network.address.unwrap().to_string(), "192.0.2.7");
    assert_eq!(
        (event.error_code, event.correlation.as_deref()),
        (0, Some("c"))
    );
}

#[test]
fn a_redeemed_device_code_is_named_by_the_transfer_method_alone() {
    let event = sign_in(&sign_in_record());
    assert_eq!(
        (event.protocol, event.transfer_method),
        (Protocol::Unknown, TransferMethod::Unknown)
    );
    let redeemed = changed(
        changed(
            sign_in_record(),
            "/properties/authenticationProtocol",
            json!("none"),
        ),
        "/properties/originalTransferMethod",
        json!("deviceCodeFlow"),
    );
    let event = sign_in(&redeemed);
    assert_eq!(event.protocol, Protocol::None);
    assert_eq!(event.transfer_method, TransferMethod::DeviceCodeFlow);
    let event = sign_in_with("/properties/authenticationProtocol", json!("deviceCode"));
    assert_eq!(event.protocol, Protocol::DeviceCode);
    let event = sign_in_with("/properties/authenticationProtocol", json!("ropc"));
    assert_eq!(event.protocol, Protocol::Ropc);
    let event = sign_in_with("/properties/originalTransferMethod", json!("telepathy"));
    assert_eq!(
        event.transfer_method,
        TransferMethod::Other("telepathy".into())
    );
}

#[test]
fn a_user_without_an_id_is_known_by_name_and_one_without_both_is_quarantined() {
    let nameless = changed(sign_in_record(), "/properties/userId", json!(null));
    assert_eq!(sign_in(&nameless).user.id.as_str(), "ana@contoso.example");
    let nobody = without(nameless, "/properties", "userPrincipalName");
    assert_eq!(
        reason(&nobody),
        "records[0].properties.userId: missing, expected the user's object id or a userPrincipalName"
    );
}

#[test]
fn risk_is_read_by_its_event_type_and_unknown_values_pass_through() {
    let event = risk(&risk_record());
    assert_eq!(&*event.risk_type.0, "passwordSpray");
    assert_eq!(
        (event.level, event.state),
        (RiskLevel::Medium, RiskState::AtRisk)
    );
    assert_eq!(event.request.unwrap().as_str(), "R-1");
    assert_eq!(event.record.as_str(), "D-1@2026-07-18T14:02:30Z");
    let odd = changed(risk_record(), "/properties/riskState", json!("newState"));
    let odd = changed(odd, "/properties/riskLevel", json!("extreme"));
    let odd = risk(&changed(
        odd,
        "/properties/riskEventType",
        json!("somethingNew"),
    ));
    assert_eq!(
        (odd.level, odd.state),
        (RiskLevel::Unknown, RiskState::Unknown)
    );
    assert_eq!(&*odd.risk_type.0, "somethingNew");
    let plain = without(risk_record(), "/properties", "riskEventType");
    assert_eq!(&*risk(&plain).risk_type.0, "generic");
}

#[test]
fn an_update_of_a_detection_is_another_record_of_the_same_detection() {
    let later = changed(
        risk_record(),
        "/properties/lastUpdatedDateTime",
        json!("2026-07-19T00:00:00Z"),
    );
    let (first, second) = (risk(&risk_record()), risk(&later));
    assert_ne!(first.record, second.record);
    assert_eq!(first.detection, second.detection);
    // Where the time of the change is missing, the state tells them apart.
    let undated = without(risk_record(), "/properties", "lastUpdatedDateTime");
    let dismissed = changed(undated.clone(), "/properties/riskState", json!("dismissed"));
    assert_ne!(risk(&undated).record, risk(&dismissed).record);
}

#[test]
fn a_risky_user_is_known_by_the_records_id() {
    let record = json!({
        "category": "RiskyUsers",
        "time": "7/18/2026 2:03:03 PM",
        "correlationId": "A1B2",
        "properties": {
            "id": "A1B2",
            "userPrincipalName": "ana@contoso.example",
            "riskLastUpdatedDateTime": "2026-07-18T14:00:00Z",
            "riskState": "dismissed",
            "riskLevel": "none",
            "isGuest": false,
        },
    });
    let RiskyUser {
        record,
        user,
        state,
        level,
        ..
    } = match decoded(&record).events.pop() {
        Some((_, Event::RiskyUser(event))) => *event,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (record.as_str(), user.id.as_str()),
        ("a1b2@2026-07-18T14:00:00Z", "a1b2")
    );
    assert_eq!((state, level), (RiskState::Dismissed, RiskLevel::None));
}

#[test]
fn hostile_text_is_cut_and_cleaned() {
    let huge = format!("Mozilla\u{1b}[2J\u{202e}{}", "é".repeat(5_000_000));
    let event = sign_in_with("/properties/userAgent", json!(huge));
    let agent = event.user_agent.unwrap();
    assert!(
        agent.len() <= 1024 && agent.starts_with("Mozilla[2Jé"),
        "{}",
        agent.len()
    );
    let event = sign_in_with("/properties/sessionId", json!("x".repeat(10_000)));
    assert_eq!(event.session, None, "an identity is never cut");
}

#[test]
fn names_that_the_directory_does_not_know_are_not_one_user() {
    let nobody = "00000000-0000-0000-0000-000000000000";
    let unknown = changed(sign_in_record(), "/properties/userId", json!(nobody));
    assert_eq!(sign_in(&unknown).user.id.as_str(), "ana@contoso.example");
    let nameless = without(unknown, "/properties", "userPrincipalName");
    assert_eq!(sign_in(&nameless).user.id.as_str(), nobody);
}

#[test]
fn the_date_of_nothing_is_no_time() {
    let event = sign_in_with("/properties/createdDateTime", json!("0001-01-01T00:00:00Z"));
    assert_eq!(event.at, at("2026-11-24T08:05:00Z"));
}

#[test]
fn the_real_records_that_are_at_hand_decode() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/sign-ins/panther-azure-signin-tests.ndjson"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: {path} is not here");
        return;
    };
    let (mut sign_ins, mut passed_over) = (Vec::new(), BTreeMap::new());
    for (line, text) in text.lines().enumerate() {
        let case: Value = serde_json::from_str(text).unwrap();
        let decoded = decode(case["log"].to_string().as_bytes());
        assert!(
            decoded.quarantined.is_empty(),
            "line {}: {:?}",
            line + 1,
            decoded.quarantined[0].reason
        );
        for category in decoded.passed_over {
            *passed_over.entry(category.0).or_insert(0) += 1;
        }
        for (_, event) in decoded.events {
            match event {
                Event::SignIn(event) => sign_ins.push(*event),
                other => panic!("line {}: {other:?}", line + 1),
            }
        }
    }
    assert_eq!(
        sign_ins.len(),
        18,
        "13 + 2 interactive and 3 non-interactive sign-ins"
    );
    // The audits are about policies, roles, and invited guests: none keeps a
    // thief in one user's account. Six bear the category of
    // an audit's inner field.
    let expected = [
        ("AuditLogs", 15),
        ("ServicePrincipalSignInLogs", 9),
        ("other", 6),
    ];
    assert_eq!(passed_over, BTreeMap::from(expected));
    let of = |holds: fn(&SignIn) -> bool| sign_ins.iter().filter(|event| holds(event)).count();
    assert_eq!(of(|event| event.protocol == Protocol::DeviceCode), 2);
    assert_eq!(of(|event| event.protocol == Protocol::Ropc), 2);
    assert_eq!(of(|event| event.client_app.legacy()), 4);
    assert_eq!(of(|event| event.mfa_by_claim), 2);
    assert_eq!(of(|event| event.risk_level == RiskLevel::High), 3);
}
