//! A sign-in's client, token, factors and risk: a test for each field, and
//! for what a field may look like instead.

use serde_json::{Value, json};

use super::{changed, sign_in, sign_in_record, sign_in_with};
use crate::ingest::entra::decode;
use crate::model::{
    ClientApp, ConditionalAccess, IncomingToken, Protocol, Requirement, RiskLevel, SignIn,
    TokenProtection, TransferMethod,
};

const CLAIM: &str = "MFA requirement satisfied by claim in the token";
const DENIED: &str = "MFA denied; user declined the authentication";

fn with_all(fields: Value) -> SignIn {
    let mut record = sign_in_record();
    for (key, value) in fields.as_object().unwrap() {
        record["properties"][key] = value.clone();
    }
    sign_in(&record)
}

#[test]
fn what_a_record_does_not_say_is_unknown() {
    let event = sign_in(&sign_in_record());
    let bare = SignIn::new(event.record.clone(), event.at, event.user.clone());
    assert_eq!(event.incoming_token, IncomingToken::Unknown);
    assert_eq!(event.risk_level, RiskLevel::Unknown);
    assert_eq!(
        SignIn {
            session: None,
            correlation: None,
            network: bare.network.clone(),
            user_agent: None,
            device: bare.device.clone(),
            ..event
        },
        bare
    );
}

#[test]
fn the_token_is_read_field_by_field() {
    let event = with_all(json!({
        "originalRequestId": "R-0",
        "incomingTokenType": "primaryRefreshToken",
        "authenticationProtocol": "oAuth2",
        "originalTransferMethod": "deviceCodeFlow",
        "uniqueTokenIdentifier": "XSGgQuDd1U-00KjtiK5pAA",
        "tokenProtectionStatusDetails": {
            "signInSessionStatus": "bound", "signInSessionStatusCode": 0,
        },
        "clientAppUsed": "Mobile Apps and Desktop clients",
        "homeTenantId": "T-1",
        "resourceTenantId": "T-2",
    }));
    assert_eq!(event.original_request.unwrap().as_str(), "R-0");
    assert_eq!(event.incoming_token, IncomingToken::PrimaryRefreshToken);
    assert_eq!(event.protocol, Protocol::OAuth2);
    assert_eq!(event.transfer_method, TransferMethod::DeviceCodeFlow);
    assert_eq!(
        event.unique_token.as_deref(),
        Some("XSGgQuDd1U-00KjtiK5pAA")
    );
    assert_eq!(event.token_protection, TokenProtection::Bound);
    assert_eq!(event.client_app, ClientApp::Modern);
    assert_eq!(event.home_tenant.as_deref(), Some("T-1"));
    assert_eq!(event.resource_tenant.as_deref(), Some("T-2"));
}

#[test]
fn names_that_evictd_does_not_know_pass_through_cut() {
    let event = with_all(json!({
        "authenticationProtocol": "rpoc",
        "clientAppUsed": "Authenticated SMTP",
        "incomingTokenType": "x".repeat(100_000),
        "originalTransferMethod": " \u{202e}new\u{7} ",
        "authenticationRequirement": "unknownFutureValue",
        "conditionalAccessStatus": 7,
    }));
    assert_eq!(event.protocol, Protocol::Other("rpoc".into()));
    assert!(event.client_app.legacy());
    assert_eq!(event.client_app.to_string(), "Authenticated SMTP");
    assert!(matches!(&event.incoming_token, IncomingToken::Other(name) if name.len() == 256));
    assert_eq!(event.transfer_method, TransferMethod::Other("new".into()));
    assert_eq!(event.requirement, Requirement::Unknown);
    assert_eq!(
        event.conditional_access,
        ConditionalAccess::Other("7".into())
    );
}

#[test]
fn token_protection_is_in_the_details_or_in_the_older_field() {
    let details = |status: &str| json!({ "signInSessionStatus": status });
    for (details, older, expected) in [
        (details("unbound"), "bound", TokenProtection::Unbound),
        (details(""), "bound", TokenProtection::Bound),
        (json!(null), "unbound", TokenProtection::Unbound),
        (json!("bound"), "none", TokenProtection::None),
        (
            json!("{\"signInSessionStatus\":\"bound\"}"),
            "none",
            TokenProtection::Bound,
        ),
        (json!([]), "", TokenProtection::Unknown),
    ] {
        let event = with_all(json!({
            "tokenProtectionStatusDetails": details, "signInTokenProtectionStatus": older,
        }));
        assert_eq!(event.token_protection, expected, "{details} {older}");
    }
}

#[test]
fn requirement_and_conditional_access_are_read() {
    for (text, expected) in [
        ("singleFactorAuthentication", Requirement::SingleFactor),
        ("multiFactorAuthentication", Requirement::MultiFactor),
    ] {
        let event = sign_in_with("/properties/authenticationRequirement", json!(text));
        assert_eq!(event.requirement, expected);
    }
    for (text, expected) in [
        ("success", ConditionalAccess::Success),
        ("failure", ConditionalAccess::Failure),
        ("notApplied", ConditionalAccess::NotApplied),
    ] {
        let event = sign_in_with("/properties/conditionalAccessStatus", json!(text));
        assert_eq!(event.conditional_access, expected);
    }
}

fn step(method: &str, succeeded: Value, outcome: &str) -> Value {
    json!({
        "authenticationStepDateTime": "2026-11-24T08:00:00Z",
        "authenticationMethod": method,
        "succeeded": succeeded,
        "authenticationStepResultDetail": outcome,
    })
}

#[test]
fn the_methods_that_were_tried_are_kept_in_order() {
    let event = sign_in_with(
        "/properties/authenticationDetails",
        json!([
            step("Password", json!(true), "Correct password"),
            step("Mobile app notification", json!("false"), DENIED),
            step("", json!(null), ""),
        ]),
    );
    let steps: Vec<_> = event
        .steps
        .iter()
        .map(|step| {
            (
                step.method.as_deref(),
                step.succeeded,
                step.outcome.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            (Some("Password"), Some(true), Some("Correct password")),
            (Some("Mobile app notification"), Some(false), Some(DENIED)),
            (None, None, None),
        ]
    );
}

#[test]
fn a_second_factor_by_claim_is_told_by_a_step_or_by_the_status() {
    let first = "First factor requirement satisfied by claim in the token";
    let provider = "MFA requirement satisfied by claim provided by external provider";
    for (outcome, in_short, expected) in [
        (CLAIM, "", true),
        ("mfa requirement satisfied by claim in the token.", "", true),
        ("", CLAIM, true),
        (first, first, false),
        (provider, "", false),
        ("MFA completed in Azure AD", "", false),
        ("", "", false),
    ] {
        let event = with_all(json!({
            "authenticationDetails": [step("Previously satisfied", json!(true), outcome)],
            "status": { "errorCode": 0, "additionalDetails": in_short },
        }));
        assert_eq!(event.mfa_by_claim, expected, "{outcome} / {in_short}");
    }
}

#[test]
fn denials_of_the_second_factor_are_counted_once_each() {
    let push = |outcome: &str| step("Mobile app notification", json!(false), outcome);
    for (details, in_short, expected) in [
        (json!([push(DENIED), push(DENIED)]), DENIED, 2),
        (json!([push(DENIED)]), DENIED, 1),
        (json!([]), "MFA denied; Phone App Reported Fraud", 1),
        (json!([push("MFA completed in Azure AD")]), "", 0),
        (json!([push("mfa DENIED")]), "", 1),
        (json!([push("MFA denie")]), "MFA é", 0),
    ] {
        let event = with_all(json!({
            "authenticationDetails": details,
            "status": { "errorCode": 500121, "additionalDetails": in_short },
        }));
        assert_eq!(event.mfa_denials, expected, "{details} / {in_short}");
    }
}

#[test]
fn additional_details_of_the_status_are_kept_cut() {
    let status = |details: Value| sign_in_with("/properties/status/additionalDetails", details);
    assert_eq!(
        status(json!(CLAIM)).additional_details.as_deref(),
        Some(CLAIM)
    );
    let long = status(json!("é".repeat(1_000_000))).additional_details;
    assert_eq!(long.unwrap().len(), 256);
    for odd in [json!(null), json!(""), json!({ "a": 1 })] {
        let event = status(odd);
        assert_eq!((event.additional_details, event.error_code), (None, 0));
    }
}

#[test]
fn a_location_is_trusted_where_the_tenant_says_so() {
    let of = |kind: &str| json!([{ "networkType": kind, "networkNames": ["Head office"] }]);
    for (details, expected) in [
        (of("trustedNamedLocation"), true),
        (of("TrustedNamedLocation"), true),
        (of("namedNetwork, trustedNamedLocation"), true),
        (json!(of("trustedNamedLocation").to_string()), true),
        (of("namedNetwork"), false),
        (of("untrustedNamedLocation"), false),
        (json!([{ "networkNames": ["trustedNamedLocation"] }]), false),
        (json!([5, null]), false),
        (json!([]), false),
        (json!(null), false),
        (json!("trustedNamedLocation"), false),
    ] {
        let event = sign_in_with("/properties/networkLocationDetails", details.clone());
        assert_eq!(event.trusted_location, expected, "{details}");
    }
}

#[test]
fn global_secure_access_is_told_with_its_address() {
    for (through, address, expected) in [
        (json!(true), json!("198.51.100.1:443"), (true, true)),
        (json!("True"), json!(null), (true, false)),
        (json!(false), json!(""), (false, false)),
        (json!(null), json!("<null>"), (false, false)),
        (json!({}), json!([]), (false, false)),
    ] {
        let event = with_all(json!({
            "isThroughGlobalSecureAccess": through, "globalSecureAccessIpAddress": address,
        }));
        assert_eq!(
            (event.through_gsa, event.gsa_address.is_some()),
            expected,
            "{through} {address}"
        );
    }
}

#[test]
fn risk_types_are_bounded_and_without_none() {
    let types = |value: Value| -> Vec<String> {
        let event = sign_in_with("/properties/riskEventTypes_v2", value);
        event.risk_types.iter().map(|t| t.0.to_string()).collect()
    };
    assert_eq!(
        types(json!(["anonymizedIPAddress", "none", "brandNew"])),
        ["anonymizedIPAddress", "brandNew"]
    );
    assert_eq!(
        types(json!("[\"unfamiliarFeatures\"]")),
        ["unfamiliarFeatures"]
    );
    assert_eq!(types(json!(vec!["generic"; 10_000])).len(), 8);
    for odd in [json!([]), json!(null), json!("none"), json!({}), json!([1])] {
        assert_eq!(types(odd.clone()).len(), 0, "{odd}");
    }
}

#[test]
fn the_risk_of_the_sign_in_goes_before_the_aggregate() {
    for (during, aggregated, expected) in [
        (json!("low"), json!("high"), RiskLevel::Low),
        (json!("none"), json!("high"), RiskLevel::None),
        (json!("hidden"), json!("high"), RiskLevel::High),
        (json!(null), json!("medium"), RiskLevel::Medium),
        (json!("extreme"), json!([]), RiskLevel::Unknown),
    ] {
        let event = with_all(json!({
            "riskLevelDuringSignIn": during, "riskLevelAggregated": aggregated,
        }));
        assert_eq!(event.risk_level, expected, "{during} {aggregated}");
    }
}

#[test]
fn no_shape_of_a_field_that_can_be_missing_costs_the_record() {
    for field in [
        "originalRequestId",
        "homeTenantId",
        "resourceTenantId",
        "clientAppUsed",
        "incomingTokenType",
        "authenticationProtocol",
        "originalTransferMethod",
        "uniqueTokenIdentifier",
        "tokenProtectionStatusDetails",
        "signInTokenProtectionStatus",
        "authenticationRequirement",
        "conditionalAccessStatus",
        "authenticationDetails",
        "networkLocationDetails",
        "isThroughGlobalSecureAccess",
        "globalSecureAccessIpAddress",
        "riskEventTypes_v2",
        "riskLevelDuringSignIn",
        "riskLevelAggregated",
    ] {
        for value in [
            json!(null),
            json!(7),
            json!(-1.5),
            json!(true),
            json!("text"),
            json!("[broken"),
            json!(["a", 1, null, ["b"], {}]),
            json!({ "a": [{}] }),
        ] {
            let pointer = format!("/properties/{field}");
            let event = sign_in_with(&pointer, value.clone());
            assert_eq!(event.record.as_str(), "R-1", "{field}: {value}");
        }
    }
}

#[test]
fn steps_are_bounded() {
    let many = vec![step("Password", json!(false), DENIED); 5_000];
    let event = sign_in_with("/properties/authenticationDetails", json!(many));
    assert_eq!((event.steps.len(), event.mfa_denials), (16, 16));
}

/// Exports put the keys in an order of their own.
#[test]
fn properties_may_come_before_the_category() {
    let reversed = |record: &Value| {
        format!(
            r#"{{"properties":{},"time":"2026-11-24T08:05:00Z","category":{}}}"#,
            record["properties"], record["category"]
        )
    };
    let record = sign_in_record();
    let event = match decode(reversed(&record).as_bytes()).events.pop() {
        Some((_, crate::model::Event::SignIn(event))) => *event,
        other => panic!("{other:?}"),
    };
    assert_eq!(event.record, sign_in(&record).record);
    let bad = changed(record, "/properties/location", json!("Paris"));
    let kept = decode(reversed(&bad).as_bytes()).quarantined.pop().unwrap();
    assert!(
        kept.reason
            .starts_with("records[0].properties.location: invalid type: string \"Paris\""),
        "{}",
        kept.reason
    );
    let other = json!({ "category": "BrandNewLogs", "properties": { "id": [] } });
    assert_eq!(decode(reversed(&other).as_bytes()).passed_over.len(), 1);
}

#[test]
fn of_properties_that_come_twice_the_last_count_wherever_the_category_is() {
    for twice in [
        r#"{"category":"SignInLogs","properties":{"userId":"u"},"time":"2026-11-24T08:00:00Z","properties":{"userId":"v"}}"#,
        r#"{"properties":{"userId":"u"},"time":"2026-11-24T08:00:00Z","properties":{"userId":"v"},"category":"SignInLogs"}"#,
        r#"{"properties":{"userId":"u","userId":"v"},"time":"2026-11-24T08:00:00Z","category":"SignInLogs"}"#,
    ] {
        let decoded = decode(twice.as_bytes());
        assert_eq!(decoded.quarantined, [], "{twice}");
        assert_eq!(decoded.events[0].1.user().id.as_str(), "v", "{twice}");
    }
}
