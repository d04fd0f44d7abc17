//! Messages: whole, cut, broken and hostile. Whatever arrives, a record that
//! can be read is read, and the rest is kept.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{RECORDS_MAX, decode, decode_enqueued};
use super::{changed, risk_record, sign_in_record};
use crate::model::Event;

#[test]
fn only_the_bad_record_of_a_message_is_quarantined() {
    let bad = changed(sign_in_record(), "/properties/location", json!("Paris"));
    let body = json!({ "records": [sign_in_record(), bad, risk_record()] }).to_string();
    let decoded = decode(body.as_bytes());
    assert_eq!((decoded.events.len(), decoded.quarantined.len()), (2, 1));
    let kept = &decoded.quarantined[0];
    assert_eq!(kept.index, Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&kept.bytes).unwrap(), bad);
    assert_eq!(
        kept.reason,
        "records[1].properties.location: invalid type: string \"Paris\", expected an object"
    );
}

#[test]
fn a_record_from_the_future_is_quarantined_and_its_neighbours_are_judged() {
    let enqueued = |text: &str| text.parse().unwrap();
    let risk = risk_record();
    for (record, pointer) in [
        (sign_in_record(), "/properties/createdDateTime"),
        (risk.clone(), "/properties/activityDateTime"),
    ] {
        let future = changed(record, pointer, json!("9999-01-01T00:00:00Z"));
        let body = json!({ "records": [future, sign_in_record()] }).to_string();
        let decoded = decode_enqueued(body.as_bytes(), enqueued("2026-11-24T08:06:00Z"));
        assert_eq!((decoded.events.len(), decoded.quarantined.len()), (1, 1));
        assert_eq!(
            decoded.quarantined[0].reason,
            format!(
                "records[0]{}: saw 9999-01-01T00:00:00Z, expected no later than a day after \
                 Event Hubs took the message in, 2026-11-24T08:06:00Z",
                pointer.replace('/', ".")
            )
        );
    }
    // Clocks and zones may be wrong by some hours; a file says nothing of when.
    let body = sign_in_record().to_string();
    let decoded = decode_enqueued(body.as_bytes(), enqueued("2026-11-23T08:01:00Z"));
    assert_eq!((decoded.events.len(), decoded.quarantined.len()), (1, 0));
    let future = changed(
        sign_in_record(),
        "/properties/createdDateTime",
        json!("9999-01-01T00:00:00Z"),
    );
    assert_eq!(decode(future.to_string().as_bytes()).events.len(), 1);
}

#[test]
fn a_truncated_message_loses_only_what_was_cut() {
    let body = json!({ "records": [sign_in_record(), risk_record()] }).to_string();
    let decoded = decode(&body.as_bytes()[..body.len() - 40]);
    assert_eq!((decoded.events.len(), decoded.quarantined.len()), (1, 1));
    let rest = &decoded.quarantined[0];
    assert_eq!(rest.index, None);
    assert!(rest.bytes.starts_with(b"{\"category\":\"UserRiskEvents\""));
}

#[test]
fn bytes_that_are_no_json_are_kept_whole() {
    for body in [
        &b"\xff\xfe\x00"[..],
        b"",
        b"hello",
        b"{\"records\":5}",
        b"[[[[[[",
    ] {
        let decoded = decode(body);
        assert_eq!(
            (decoded.events.len(), decoded.quarantined.len()),
            (0, 1),
            "{body:?}"
        );
        assert_eq!(decoded.quarantined[0].bytes, body);
    }
}

#[test]
fn a_record_in_another_encoding_does_not_take_its_neighbours_along() {
    let mut body = br#"{"records":[{"category":"SignInLogs","x":""#.to_vec();
    body.extend(b"\xff\xff\"},");
    body.extend(sign_in_record().to_string().as_bytes());
    body.extend(b"]}");
    let decoded = decode(&body);
    assert_eq!((decoded.events.len(), decoded.quarantined.len()), (1, 1));
    assert!(
        decoded.quarantined[0]
            .reason
            .contains("not UTF-8 from byte"),
        "{:?}",
        decoded.quarantined
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = format!(
        "{{\"records\":[{}{}]}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(decode(deep.as_bytes()).quarantined.len(), 1);
}

#[test]
fn half_a_character_in_a_user_agent_hides_nothing() {
    let text = sign_in_record()
        .to_string()
        .replace("Mozilla/5.0", r"Mozilla\ud83d/5.0");
    let mut decoded = decode(format!(r#"{{"records":[{text}]}}"#).as_bytes());
    match decoded.events.pop() {
        Some((_, Event::SignIn(event))) => {
            assert_eq!(event.user_agent.as_deref(), Some("Mozilla\u{fffd}/5.0"));
        }
        other => panic!("{other:?}, {:?}", decoded.quarantined),
    }
}

#[test]
fn of_a_key_that_stands_twice_the_last_one_counts() {
    let text = sign_in_record().to_string();
    for (key, doubled) in [
        (r#""userId""#, r#""userId":"other","userId""#),
        (r#""category""#, r#""category":"AuditLogs","category""#),
        (
            r#""callerIpAddress""#,
            r#""callerIpAddress":null,"callerIpAddress""#,
        ),
    ] {
        let decoded = decode(text.replacen(key, doubled, 1).as_bytes());
        assert!(decoded.quarantined.is_empty(), "{:?}", decoded.quarantined);
        let (category, event) = &decoded.events[0];
        assert_eq!(
            (category.0, event.user().id.as_str()),
            ("SignInLogs", "a1b2")
        );
    }
}

#[test]
fn an_envelope_with_more_to_it_than_records_is_still_one() {
    let record = sign_in_record();
    for envelope in [
        json!({ "category": "AuditLogs", "records": [record] }),
        json!({ "count": { "records": 1 }, "records": [record] }),
        json!({ "Records": [record] }),
    ] {
        let decoded = decode(envelope.to_string().as_bytes());
        assert_eq!(
            (decoded.events.len(), decoded.quarantined.len()),
            (1, 0),
            "{envelope}"
        );
    }
}

#[test]
fn a_byte_order_mark_is_tolerated() {
    let body = format!("\u{feff}{}", json!([sign_in_record()]));
    assert_eq!(decode(body.as_bytes()).events.len(), 1);
}

#[test]
fn records_beyond_the_bound_are_quarantined_in_one_piece() {
    let body = format!(
        "[{}{{}}]",
        "{\"category\":\"AuditLogs\"},".repeat(RECORDS_MAX)
    );
    let decoded = decode(body.as_bytes());
    assert_eq!(decoded.passed_over.len(), RECORDS_MAX);
    assert_eq!(decoded.quarantined.len(), 1);
    assert_eq!(decoded.quarantined[0].bytes, b"{}]");
}

proptest! {
    /// Whatever arrives, nothing panics and nothing vanishes.
    #[test]
    fn arbitrary_bytes_are_events_or_kept(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let decoded = decode(&body);
        prop_assert!(decoded.events.is_empty());
    }

    #[test]
    fn a_mutated_message_is_events_or_kept(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut body = json!({ "records": [sign_in_record(), risk_record()] }).to_string().into_bytes();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let decoded = decode(&body);
        let found = decoded.events.len() + decoded.passed_over.len() + decoded.quarantined.len();
        prop_assert!(found >= 1);
    }

    #[test]
    fn every_record_of_a_whole_message_is_accounted_for(kinds in prop::collection::vec(0..4_u8, 0..20)) {
        let records: Vec<Value> = kinds
            .iter()
            .map(|kind| match kind {
                0 => sign_in_record(),
                1 => risk_record(),
                2 => json!({ "category": "AuditLogs", "properties": { "status": [] } }),
                _ => json!({ "category": "SignInLogs", "properties": 5 }),
            })
            .collect();
        let decoded = decode(json!({ "records": records }).to_string().as_bytes());
        let of = |kind: u8| kinds.iter().filter(|k| **k == kind).count();
        prop_assert_eq!(decoded.events.len(), of(0) + of(1));
        prop_assert_eq!(decoded.passed_over.len(), of(2));
        prop_assert_eq!(decoded.quarantined.len(), of(3));
    }
}
