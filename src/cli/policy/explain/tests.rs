//! What explanations look like, and that a test made of one passes.

use std::fs;

use super::*;
use crate::policy::Source;
use crate::story;

/// A sign-in by device code to the broker; one field may be changed.
fn record(id: &str, at: &str, country: &str) -> String {
    serde_json::json!({
        "category": "SignInLogs",
        "time": at,
        "properties": {
            "id": id,
            "createdDateTime": at,
            "userId": "0c9d3e1f-2b6a-4d11-9a53-7e0f5b8c2a10",
            "userPrincipalName": "ana@contoso.example",
            "appDisplayName": "Microsoft Authentication Broker",
            "appId": "29d9ed98-a469-4536-ade2-f981bc1d605e",
            "resourceDisplayName": "Device Registration Service",
            "authenticationProtocol": "deviceCode",
            "ipAddress": "192.0.2.10",
            "location": { "countryOrRegion": country, "city": "Paris" },
            "status": { "errorCode": 0 },
        }
    })
    .to_string()
}

fn policies() -> PolicySet {
    let sources = vec![
        Source {
            path: "device-code.yaml".into(),
            text: "policy: device-code
owner: identity-team
mode: approve
window: 24h
when: event.sign_in.succeeded && event.network.country in [\"FR\", \"DE\"]
signals: { device_code_broker: 80, custom.code: default }
except:
  - { name: rooms, when: event.user in lists.rooms, owner: ana, reason: rooms, until: 2099-01-31 }
rungs:
  - { at: 85, families: 2, do: [revoke_sessions, confirm_compromised] }
  - { at: 60, do: [revoke_sessions] }
"
            .into(),
        },
        Source {
            path: "shared.yaml".into(),
            text: "lists: { rooms: { users: [room-1@contoso.example] } }
signals:
  custom.code:
    description: a device code outside of the office
    family: behaviour
    weight: 45
    when: event.sign_in.protocol == \"deviceCode\" && event.network.city != \"Berlin\"
"
            .into(),
        },
    ];
    PolicySet::compile(sources, &ruleset::known_signals()).unwrap()
}

fn explained(policies: &PolicySet, records: &[String], record: Option<&str>) -> Vec<Explained> {
    let intel = Intel::default();
    let mut judging = Judging {
        judge: Judge::new(policies, &intel),
        record,
        explained: Vec::new(),
        untold: 0,
        last: None,
    };
    recorded::read(records.join("\n").as_bytes(), |located| {
        judging.read(located)
    })
    .unwrap();
    judging.told()
}

fn told(explained: &[Explained]) -> String {
    let mut out = Vec::new();
    for explained in explained {
        text::event(&mut out, explained).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn an_event_is_explained_policy_by_policy_with_what_was_asked_and_what_would_change_it() {
    let policies = policies();
    let records = [
        record("r1", "2026-11-24T08:00:00Z", "FR"),
        record("r2", "2026-11-24T08:30:00Z", "US"),
        record("r3", "2026-11-24T09:00:00Z", "FR"),
    ];
    insta::assert_snapshot!(told(&explained(&policies, &records, None)));
    let one = explained(&policies, &records, Some("r2"));
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].record.as_str(), "r2");
    assert!(explained(&policies, &records, Some("gone")).is_empty());
}

#[test]
fn where_nothing_raised_anything_the_last_event_is_explained() {
    let policies = policies();
    let quiet = record("r1", "2026-11-24T08:00:00Z", "FR").replace("deviceCode", "oAuth2");
    let quiet = quiet.replace("29d9ed98-a469-4536-ade2-f981bc1d605e", "other");
    let told = told(&explained(&policies, &[quiet], None));
    assert!(told.contains("it raised no signal"), "{told}");
    assert!(
        told.contains("✗ event.sign_in.protocol == \"deviceCode\""),
        "{told}"
    );
}

#[test]
fn an_event_as_a_test_passes_under_the_same_policies() {
    let policies = policies();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.ndjson");
    let records = [
        record("r1", "2026-11-24T08:00:00Z", "FR"),
        record("r2", "2026-11-24T08:30:00Z", "US"),
    ];
    fs::write(&file, records.join("\n")).unwrap();
    for id in ["r1", "r2"] {
        let explained = explained(&policies, &records, Some(id));
        let text = as_test::text(std::slice::from_ref(&file), &explained).unwrap();
        let source = Source {
            path: "made.test.yaml".into(),
            text,
        };
        let suite = story::parse(&source, &policies, &|_| Err("none".into()))
            .unwrap_or_else(|problems| panic!("{}\n{}", problems[0], source.text));
        let told = story::tell(&suite, 0, &policies, &mut story::Coverage::default()).unwrap();
        assert!(
            told.failures.is_empty(),
            "{:?}\n{}",
            told.failures,
            source.text
        );
    }
}
