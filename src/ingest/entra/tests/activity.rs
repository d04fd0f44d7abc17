//! `AuditLogs` and `MicrosoftGraphActivityLogs`: what becomes an event, whose
//! it is, and what is passed over.

use serde_json::{Value, json};

use super::{at, changed, decoded, reason, without};
use crate::model::{AuditKind, DirectoryAudit, Event, GraphActivity, Initiator};

fn audit_record() -> Value {
    json!({
        "time": "2026-11-24T08:20:00Z",
        "resourceId": "/tenants/t/providers/Microsoft.aadiam",
        "operationName": "User registered security info",
        "category": "AuditLogs",
        "resultSignature": "None",
        "callerIpAddress": "192.0.2.1",
        "correlationId": "C-1",
        "Level": "4",
        "properties": {
            "id": "Authentication Methods_A-1",
            "category": "UserManagement",
            "correlationId": "C-2",
            "result": "success",
            "resultReason": "User registered Authenticator App",
            "activityDisplayName": "User registered security info",
            "activityDateTime": "2026-11-24T08:10:00.1234567+00:00",
            "loggedByService": "Authentication Methods",
            "initiatedBy": {
                "user": {
                    "id": "A1B2",
                    "displayName": null,
                    "userPrincipalName": "Ana@contoso.example",
                    "ipAddress": "192.0.2.10",
                    "roles": [],
                },
                "app": null,
            },
            "targetResources": [{
                "id": "a1b2",
                "displayName": "Ana",
                "type": "User",
                "userPrincipalName": "ana@contoso.example",
                "modifiedProperties": [],
            }],
            "additionalDetails": [
                { "key": "Category", "value": "x" },
                { "key": "User-Agent", "value": "Mozilla/5.0" },
            ],
        },
    })
}

fn audit(record: &Value) -> DirectoryAudit {
    match decoded(record).events.pop() {
        Some((category, Event::DirectoryAudit(audit))) => {
            assert_eq!(category.0, "AuditLogs");
            *audit
        }
        other => panic!("{other:?} from {record}"),
    }
}

fn audit_with(pointer: &str, value: Value) -> DirectoryAudit {
    audit(&changed(audit_record(), pointer, value))
}

#[track_caller]
fn is_passed_over(record: &Value) {
    let decoded = decoded(record);
    assert_eq!(
        (decoded.passed_over.len(), decoded.events.len()),
        (1, 0),
        "{record} {:?}",
        decoded.quarantined
    );
}

#[test]
fn an_audit_is_read_field_by_field() {
    let event = audit(&audit_record());
    assert_eq!(event.record.as_str(), "Authentication Methods_A-1");
    assert_eq!(event.at, at("2026-11-24T08:10:00.1234567Z"));
    assert_eq!(event.kind, AuditKind::SecurityInfoRegistered);
    assert_eq!(&*event.activity, "User registered security info");
    assert!(event.succeeded && event.self_service());
    assert_eq!(event.user.id.as_str(), "a1b2");
    assert_eq!(&*event.user.principal_name, "Ana@contoso.example");
    assert_eq!(event.network.address.unwrap().to_string(), "192.0.2.10");
    assert_eq!(event.user_agent.as_deref(), Some("Mozilla/5.0"));
    assert_eq!(event.correlation.as_deref(), Some("C-2"));
    assert_eq!(event.targets.len(), 1);
    let target = &event.targets[0];
    assert_eq!(
        (target.kind.as_deref(), target.id.as_deref()),
        (Some("User"), Some("a1b2"))
    );
    assert_eq!(target.name.as_deref(), Some("Ana"));
    assert_eq!(
        target.principal_name.as_deref(),
        Some("ana@contoso.example")
    );
}

#[test]
fn activities_have_a_kind_in_any_case_and_with_blanks() {
    for (activity, expected) in [
        (
            "User registered security info",
            AuditKind::SecurityInfoRegistered,
        ),
        (
            "ADMIN REGISTERED SECURITY INFO",
            AuditKind::SecurityInfoRegistered,
        ),
        (
            "User changed default security info",
            AuditKind::SecurityInfoChanged,
        ),
        ("User deleted security info", AuditKind::SecurityInfoDeleted),
        (" Register device ", AuditKind::DeviceRegistered),
        (
            "Add registered owner to device",
            AuditKind::DeviceRegistered,
        ),
        ("Consent to application", AuditKind::ConsentGranted),
        ("Add delegated permission grant", AuditKind::ConsentGranted),
        (
            "Add app role assignment to service principal",
            AuditKind::AppRoleGranted,
        ),
        ("New-InboxRule", AuditKind::InboxRule),
    ] {
        let event = audit_with("/properties/activityDisplayName", json!(activity));
        assert_eq!(event.kind, expected, "{activity}");
    }
}

#[test]
fn the_operations_name_stands_in_for_the_activitys() {
    let record = without(audit_record(), "/properties", "activityDisplayName");
    assert_eq!(audit(&record).kind, AuditKind::SecurityInfoRegistered);
    let record = changed(record, "/operationName", json!("Sign-in activity"));
    is_passed_over(&record);
    let record = changed(
        record,
        "/properties/operationName",
        json!("Register device"),
    );
    assert_eq!(audit(&record).kind, AuditKind::DeviceRegistered);
}

#[test]
fn other_activities_are_passed_over_whatever_they_hold() {
    let other = |name: Value| {
        let record = changed(audit_record(), "/operationName", name.clone());
        changed(record, "/properties/activityDisplayName", name)
    };
    for name in [
        "Update user",
        "Add app role assignment grant to user",
        "User started security info registration",
        "",
    ] {
        is_passed_over(&other(json!(name)));
    }
    let record = other(json!("Update user"));
    is_passed_over(&changed(record, "/properties/activityDateTime", json!("x")));
    is_passed_over(&other(json!(["not", "text"])));
    is_passed_over(&json!({ "category": "AuditLogs" }));
    is_passed_over(&json!({ "category": "AuditLogs", "properties": null }));
}

#[test]
fn an_audit_concerns_the_user_among_its_targets_before_the_initiator() {
    let admin = json!({ "user": { "id": "ADMIN", "userPrincipalName": "adm@contoso.example" } });
    let event = audit_with("/properties/initiatedBy", admin);
    assert_eq!(event.user.id.as_str(), "a1b2");
    assert!(!event.self_service());
    assert!(matches!(&event.initiator, Initiator::User(by) if by.id.as_str() == "admin"));

    let device = json!([{ "id": "D-1", "type": "Device", "displayName": "DESKTOP-1" }]);
    let event = audit_with("/properties/targetResources", device);
    assert_eq!(event.user.id.as_str(), "a1b2");
    assert!(event.self_service());
}

#[test]
fn a_target_without_an_id_is_the_initiator_where_their_names_agree() {
    let named = |name: &str| json!([{ "type": "User", "userPrincipalName": name }]);
    let event = audit_with("/properties/targetResources", named("ANA@contoso.example"));
    assert_eq!(event.user.id.as_str(), "a1b2");
    let event = audit_with("/properties/targetResources", named("Bo@contoso.example"));
    assert_eq!(event.user.id.as_str(), "bo@contoso.example");
}

#[test]
fn an_application_acts_on_the_target_and_alone_it_is_passed_over() {
    let app = json!({
        "user": null,
        "app": { "appId": "01cb2876", "displayName": "Device Registration Service" },
    });
    let record = changed(audit_record(), "/properties/initiatedBy", app);
    let event = audit(&record);
    assert_eq!(event.user.id.as_str(), "a1b2");
    assert!(matches!(
        &event.initiator,
        Initiator::App(app) if app.name.as_deref() == Some("Device Registration Service")
    ));
    assert_eq!(
        event.network.address, None,
        "the caller's address is the application's"
    );
    for targets in [
        json!([{ "id": "D-1", "type": "Device" }]),
        json!([{ "id": "", "type": "User" }]),
        json!([]),
        json!("none"),
    ] {
        is_passed_over(&changed(
            record.clone(),
            "/properties/targetResources",
            targets,
        ));
    }
}

#[test]
fn only_success_is_success() {
    for (result, expected) in [
        (json!("success"), true),
        (json!("SUCCESS"), true),
        (json!("failure"), false),
        (json!("timeout"), false),
        (json!(null), false),
        (json!(["success"]), false),
    ] {
        let event = audit_with("/properties/result", result.clone());
        assert_eq!(event.succeeded, expected, "{result}");
    }
}

#[test]
fn an_audit_that_matters_without_a_time_is_quarantined() {
    let record = changed(
        audit_record(),
        "/properties/activityDateTime",
        json!("yesterday"),
    );
    assert_eq!(
        reason(&record),
        "records[0].properties.activityDateTime: saw \"yesterday\", expected a time such as 2026-11-24T08:00:00Z"
    );
    let bare = without(audit_record(), "/properties", "activityDateTime");
    assert_eq!(audit(&bare).at, at("2026-11-24T08:20:00Z"));
}

#[test]
fn an_audit_without_an_id_gets_one_that_survives_redelivery() {
    let bare = without(audit_record(), "/properties", "id");
    let again = changed(bare.clone(), "/time", json!("2026-11-24T09:00:00Z"));
    assert_eq!(audit(&bare).record, audit(&again).record);
    let other = changed(bare.clone(), "/properties/correlationId", json!("C-3"));
    assert_ne!(audit(&bare).record, audit(&other).record);
}

#[test]
fn the_callers_address_and_the_older_user_agent_are_fallbacks() {
    let event = audit_with("/properties/initiatedBy/user/ipAddress", json!("<null>"));
    assert_eq!(event.network.address.unwrap().to_string(), "192.0.2.1");
    let record = changed(audit_record(), "/properties/additionalDetails", json!(null));
    assert_eq!(audit(&record).user_agent, None);
    let record = changed(record, "/properties/userAgent", json!("curl/8"));
    assert_eq!(audit(&record).user_agent.as_deref(), Some("curl/8"));
}

#[test]
fn nested_fields_may_be_json_in_text_as_exports_write_them() {
    let mut record = audit_record();
    for field in ["initiatedBy", "targetResources", "additionalDetails"] {
        let text = record["properties"][field].to_string();
        record["properties"][field] = json!(text);
    }
    assert_eq!(audit(&record), audit(&audit_record()));
}

#[test]
fn hostile_audits_are_bounded() {
    let target = json!({ "type": "Device", "displayName": "x\u{202e}".repeat(10_000) });
    let event = audit_with("/properties/targetResources", json!(vec![target; 1_000]));
    assert_eq!(event.targets.len(), DirectoryAudit::TARGETS_MAX);
    assert_eq!(event.targets[0].name.as_deref().map(str::len), Some(256));
    let long = json!([{ "key": "User-Agent", "value": "é".repeat(1_000_000) }]);
    let agent = audit_with("/properties/additionalDetails", long).user_agent;
    assert_eq!(agent.unwrap().len(), 1024);
}

fn graph_record() -> Value {
    json!({
        "time": "2026-11-24T08:31:00Z",
        "operationName": "Microsoft Graph Activity",
        "operationVersion": "v1.0",
        "category": "MicrosoftGraphActivityLogs",
        "resultSignature": "200",
        "durationMs": "497815",
        "callerIpAddress": "192.0.2.1",
        "level": "Informational",
        "location": "UK South",
        "properties": {
            "timeGenerated": "2026-11-24T08:30:00.0159703Z",
            "location": "UK South",
            "requestId": "Q-1",
            "operationId": "Q-1",
            "requestMethod": "get",
            "responseStatusCode": 200,
            "signInActivityId": "OPD3UZnmTkud24wRw6ATAA",
            "sessionId": "S-1",
            "userId": "A1B2",
            "C_Idtyp": "user",
            "appId": "4765445b",
            "scopes": "Mail.Read",
            "isReplay": false,
            "ipAddress": "192.0.2.10:443",
            "userAgent": "python-requests/2.32",
            "requestUri": "https://graph.microsoft.com/v1.0/me/messages?$search=%22password%22",
        },
    })
}

fn graph(record: &Value) -> GraphActivity {
    match decoded(record).events.pop() {
        Some((_, Event::GraphActivity(activity))) => *activity,
        other => panic!("{other:?} from {record}"),
    }
}

#[test]
fn a_call_of_graph_is_read_field_by_field() {
    let event = graph(&graph_record());
    assert_eq!(event.record.as_str(), "Q-1");
    assert_eq!(event.at, at("2026-11-24T08:30:00.0159703Z"));
    assert_eq!(event.user.id.as_str(), "a1b2");
    assert_eq!(event.session.as_str(), "S-1");
    assert_eq!(
        event.unique_token.as_deref(),
        Some("OPD3UZnmTkud24wRw6ATAA")
    );
    assert_eq!(event.app.id.as_deref(), Some("4765445b"));
    assert_eq!(event.method.as_deref(), Some("GET"));
    assert_eq!(event.path.as_deref(), Some("/v1.0/me/messages"));
    assert_eq!(event.status, Some(200));
    assert_eq!(event.network.address.unwrap().to_string(), "192.0.2.10");
    assert_eq!(event.user_agent.as_deref(), Some("python-requests/2.32"));
}

#[test]
fn a_call_without_a_user_or_a_session_is_passed_over() {
    for field in ["userId", "sessionId"] {
        is_passed_over(&without(graph_record(), "/properties", field));
        for unknown in [json!(null), json!(""), json!({})] {
            is_passed_over(&changed(
                graph_record(),
                &format!("/properties/{field}"),
                unknown,
            ));
        }
    }
    is_passed_over(&without(graph_record(), "", "properties"));
    let claimed = without(graph_record(), "/properties", "sessionId");
    let claimed = changed(claimed, "/properties/C_Sid", json!("S-2"));
    assert_eq!(graph(&claimed).session.as_str(), "S-2");
}

#[test]
fn of_a_uri_only_the_path_is_kept() {
    let path = |uri: Value| graph(&changed(graph_record(), "/properties/requestUri", uri)).path;
    for (uri, expected) in [
        ("https://graph.microsoft.com/v1.0/me", Some("/v1.0/me")),
        (
            "https://graph.microsoft.com/beta/users?$filter=x#y",
            Some("/beta/users"),
        ),
        ("/v1.0/me?code=secret", Some("/v1.0/me")),
        ("https://graph.microsoft.com", None),
        ("https://graph.microsoft.com?code=/secret", None),
        ("me", None),
        ("", None),
    ] {
        assert_eq!(path(json!(uri)).as_deref(), expected, "{uri}");
    }
    let long = format!("https://graph.microsoft.com/{}", "a".repeat(100_000));
    assert_eq!(path(json!(long)).unwrap().len(), 512);
    assert_eq!(path(json!([])), None);
}

#[test]
fn odd_fields_of_a_call_are_unknown_and_its_time_is_needed() {
    let mut record = graph_record();
    for field in [
        "requestMethod",
        "responseStatusCode",
        "ipAddress",
        "userAgent",
        "appId",
    ] {
        record["properties"][field] = json!({ "odd": [] });
    }
    let event = graph(&record);
    assert_eq!(
        (event.status, event.method, event.app.id),
        (None, None, None)
    );
    assert_eq!(event.network.address.unwrap().to_string(), "192.0.2.1");
    let text = changed(record, "/properties/responseStatusCode", json!("403"));
    assert_eq!(graph(&text).status, Some(403));
    let undated = changed(graph_record(), "/properties/timeGenerated", json!("x"));
    assert!(reason(&undated).starts_with("records[0].properties.timeGenerated: saw \"x\""));
}
