//! Records that somebody made to hurt: through the decoder, as they come.
//!
//! Two things hold of whatever a sender writes: nothing panics, and what
//! cannot be read says nothing against the user. An otherwise ordinary sign-in
//! of somebody who is known, from where they always are, raises nothing.

use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::detect::intel::Intel;
use crate::engine::{self, Given, Step};
use crate::ingest::entra;
use crate::model::{Incident, Surroundings, UserMemory};
use crate::policy::{self, PolicySet};
use crate::ruleset::known_signals;

const DAY: i64 = 24 * 3_600;
const HOSTING_ASN: u32 = 64500;

/// The shipped policies, compiled once: the properties run thousands of times.
static POLICIES: LazyLock<PolicySet> =
    LazyLock::new(|| PolicySet::compile(policy::shipped(), &known_signals()).unwrap());

/// A user agent that nobody's bounds were made for.
const TEN_MEGABYTES: usize = 10_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_507_200 + seconds).unwrap()
}

/// One user, judged record by record.
struct Life {
    memory: UserMemory,
    around: Surroundings,
    intel: Intel,
    revoked_at: Option<Timestamp>,
}

impl Life {
    fn new() -> Self {
        Self {
            memory: UserMemory::default(),
            around: Surroundings::default(),
            intel: Intel {
                hosting_asns: Some([HOSTING_ASN].into()),
                ..Intel::default()
            },
            revoked_at: None,
        }
    }

    fn incident(&self) -> &Incident {
        self.memory.incident.as_ref().unwrap()
    }
}

fn names(step: &Step) -> Vec<&str> {
    step.signals.iter().map(|s| s.name.as_str()).collect()
}

/// The session of [`sign_in_record`], continued on a rented machine.
fn stolen_record(seconds: i64) -> Value {
    let mut record = sign_in_record(seconds);
    let properties = &mut record["properties"];
    properties["ipAddress"] = "203.0.113.77".into();
    properties["autonomousSystemNumber"] = HOSTING_ASN.into();
    properties["deviceDetail"] = json!({});
    properties["location"] = json!({ "city": "Ashburn", "countryOrRegion": "US" });
    record
}

/// An ordinary sign-in at home on a managed laptop.
fn sign_in_record(seconds: i64) -> Value {
    json!({
        "time": at(seconds + 1).to_string(),
        "category": "SignInLogs",
        "resultType": "0",
        "callerIpAddress": "192.0.2.10",
        "correlationId": format!("C{seconds}"),
        "properties": {
            "id": format!("R{seconds}"),
            "createdDateTime": at(seconds).to_string(),
            "userId": "ana",
            "userPrincipalName": "ana@contoso.example",
            "userType": "Member",
            "isInteractive": true,
            "appId": "4765445b-32c6-49b0-83e6-1d93765276ca",
            "appDisplayName": "OfficeHome",
            "resourceId": "00000003-0000-0ff1-ce00-000000000000",
            "resourceDisplayName": "Office 365 SharePoint Online",
            "resourceTenantId": "t",
            "homeTenantId": "t",
            "originalRequestId": format!("R{seconds}"),
            "sessionId": format!("S{}", seconds.div_euclid(DAY)),
            "uniqueTokenIdentifier": format!("T{seconds}"),
            "incomingTokenType": "none",
            "authenticationProtocol": "none",
            "originalTransferMethod": "none",
            "ipAddress": "192.0.2.10",
            "autonomousSystemNumber": 3215,
            "clientAppUsed": "Browser",
            "userAgent": "Mozilla/5.0 (Windows NT 10.0) Chrome/128.0.0.0 Edg/128.0",
            "deviceDetail": {
                "deviceId": "laptop",
                "operatingSystem": "Windows10",
                "browser": "Edge 128.0.0",
                "isCompliant": true,
                "isManaged": true,
            },
            "location": {
                "city": "Paris",
                "countryOrRegion": "FR",
                "geoCoordinates": { "latitude": 48.86, "longitude": 2.35 },
            },
            "status": { "errorCode": 0, "additionalDetails": "" },
            "conditionalAccessStatus": "success",
            "authenticationRequirement": "multiFactorAuthentication",
            "authenticationDetails": [],
            "networkLocationDetails": [],
            "tokenProtectionStatusDetails": { "signInSessionStatus": "bound" },
            "isThroughGlobalSecureAccess": false,
            "riskLevelDuringSignIn": "none",
            "riskLevelAggregated": "none",
            "riskEventTypes_v2": [],
        },
    })
}

fn risk_record(seconds: i64) -> Value {
    json!({
        "category": "UserRiskEvents",
        "properties": {
            "id": format!("D{seconds}"),
            "requestId": format!("R{seconds}"),
            "riskEventType": "unfamiliarFeatures",
            "riskState": "atRisk",
            "riskLevel": "low",
            "activityDateTime": at(seconds).to_string(),
            "lastUpdatedDateTime": at(seconds).to_string(),
            "userId": "ana",
            "userPrincipalName": "ana@contoso.example",
            "ipAddress": "192.0.2.10",
            "location": { "city": "Paris", "countryOrRegion": "FR" },
        },
    })
}

fn audit_record(seconds: i64) -> Value {
    json!({
        "category": "AuditLogs",
        "operationName": "Register device",
        "properties": {
            "id": format!("A{seconds}"),
            "activityDateTime": at(seconds).to_string(),
            "activityDisplayName": "Register device",
            "result": "success",
            "initiatedBy": { "user": { "id": "ana", "userPrincipalName": "ana@contoso.example" } },
            "targetResources": [{ "type": "User", "id": "ana", "modifiedProperties": [] }],
        },
    })
}

/// Somebody known, as the decoder told it.
fn known() -> Life {
    let mut life = Life::new();
    for day in 1..=10 {
        let steps = deliver(&mut life, &sign_in_record(-day * DAY));
        assert!(steps.iter().all(|step| step.signals.is_empty()));
    }
    life
}

/// Decodes a record as a message and judges what is in it.
fn deliver(life: &mut Life, record: &Value) -> Vec<Step> {
    let decoded = entra::decode(record.to_string().as_bytes());
    let given = Given {
        intel: &life.intel,
        policies: &POLICIES,
        revoked_at: life.revoked_at,
    };
    let events = decoded.events.iter();
    events
        .map(|(_, event)| engine::step(&mut life.memory, &mut life.around, event, &given))
        .collect()
}

/// The paths of everything in a record, objects and leaves.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (key, value) in fields {
            let path = format!("{at}/{key}");
            paths(value, &path, found);
            found.push(path);
        }
    }
}

fn paths_of(record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    paths(record, "", &mut found);
    found
}

/// What a sender might write instead; none of it names anything.
fn nonsense() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!("\u{0}\u{1b}[2J\r\n\u{7f}"),
        json!("\u{202e}\u{2066}nimda\u{2069}"),
        json!("\u{feff}\u{200b}\u{ffff}𝕏🏴‍☠️"),
        json!("unknownFutureValue"),
        json!("<script>alert(1)</script>"),
        json!("' OR 1=1 --"),
        json!("1e999"),
        json!(-1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e308),
        json!(true),
        json!([]),
        json!({}),
        json!([[[[{}]]]]),
        json!({ "errorCode": {}, "latitude": [], "user": 7 }),
        json!("Z".repeat(5_000)),
    ]
}

/// Fields that say who or where: another value is another user, address or
/// place, and so a different story, which is no business of these tests. What
/// must hold for them is only that nothing panics.
fn says_who_or_where(path: &str) -> bool {
    const STORY: [&str; 5] = [
        "/category",
        "/properties/userId",
        "/properties/autonomousSystemNumber",
        "/properties/appId",
        "/properties/deviceDetail/operatingSystem",
    ];
    STORY.contains(&path)
}

#[test]
fn nonsense_in_any_one_field_raises_nothing() {
    let known = known();
    let ordinary = sign_in_record(0);
    for path in paths_of(&ordinary) {
        for value in nonsense() {
            let mut record = ordinary.clone();
            *record.pointer_mut(&path).unwrap() = value.clone();
            let mut life = Life {
                memory: known.memory.clone(),
                around: known.around.clone(),
                ..Life::new()
            };
            let steps = deliver(&mut life, &record);
            if !says_who_or_where(&path) {
                let raised: Vec<&str> = steps.iter().flat_map(names).collect();
                assert_eq!(raised, [""; 0], "{path} = {value}");
            }
        }
    }
}

#[test]
fn a_field_that_is_not_there_raises_nothing() {
    let known = known();
    let ordinary = sign_in_record(0);
    for path in paths_of(&ordinary) {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut record = ordinary.clone();
        let parent = record.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().remove(key);
        let mut life = Life {
            memory: known.memory.clone(),
            around: known.around.clone(),
            ..Life::new()
        };
        let steps = deliver(&mut life, &record);
        let raised: Vec<&str> = steps.iter().flat_map(names).collect();
        assert_eq!(raised, [""; 0], "without {path}");
    }
}

#[test]
fn a_user_agent_of_ten_megabytes_is_cut_and_raises_nothing() {
    for unit in ["A", "\u{202e}", "\u{0}", "(", "/", " ", "é"] {
        let mut life = known();
        let mut record = sign_in_record(0);
        record["properties"]["userAgent"] = unit.repeat(TEN_MEGABYTES / unit.len()).into();
        let steps = deliver(&mut life, &record);
        assert_eq!(steps.len(), 1, "{unit:?}");
        assert_eq!(names(&steps[0]), [""; 0], "{unit:?}");
        let stored = serde_json::to_string(&life.memory).unwrap();
        assert!(stored.len() < 64 * 1024, "{unit:?}: {} bytes", stored.len());
    }
}

#[test]
fn absurd_coordinates_move_nobody() {
    let known = known();
    let texts = ["NaN", "inf", "1e400", "-0", "48,86", "٤٨"];
    let coordinates = [
        json!({ "latitude": 91, "longitude": 0 }),
        json!({ "latitude": -90.000_001, "longitude": 2 }),
        json!({ "latitude": 0, "longitude": 0 }),
        json!({ "latitude": 1e308, "longitude": -1e308 }),
        json!({ "latitude": 48.86 }),
        json!({ "latitude": 48.86, "longitude": 540 }),
        json!([48.86, 2.35]),
        json!("48.86,2.35"),
    ];
    let in_words = texts.map(|text| json!({ "latitude": text, "longitude": text }));
    for point in coordinates.into_iter().chain(in_words) {
        let mut life = Life {
            memory: known.memory.clone(),
            ..Life::new()
        };
        deliver(&mut life, &sign_in_record(0));
        let mut record = sign_in_record(60);
        record["properties"]["location"]["geoCoordinates"] = point.clone();
        for step in deliver(&mut life, &record) {
            assert_eq!(names(&step), [""; 0], "{point}");
        }
        // The next ordinary one has nowhere to have come from.
        for step in deliver(&mut life, &sign_in_record(120)) {
            assert_eq!(names(&step), [""; 0], "after {point}");
        }
    }
}

/// Times at which no sign-in happened: what comes with them raises nothing.
const NO_TIMES: [&str; 9] = [
    "0001-01-01T00:00:00Z",
    "0001-06-01T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "1601-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "2038-01-19T03:14:08Z",
    "9999-12-30T22:00:00Z",
    "9999-12-31T23:59:59Z",
];

#[test]
fn a_time_at_the_ends_of_the_calendar_raises_nothing() {
    for time in NO_TIMES {
        let mut life = known();
        let mut record = sign_in_record(0);
        record["properties"]["createdDateTime"] = time.into();
        for step in deliver(&mut life, &record) {
            assert_eq!(names(&step), [""; 0], "{time}");
        }
        let mut record = risk_record(0);
        record["properties"]["activityDateTime"] = time.into();
        deliver(&mut life, &record);
        let mut record = audit_record(0);
        record["properties"]["activityDateTime"] = time.into();
        deliver(&mut life, &record);
    }
}

/// An old date must not reach into what is happening now: a detection of years
/// ago neither stretches the incident nor unlearns the user.
#[test]
fn evidence_dated_long_ago_changes_nothing_of_an_incident() {
    for time in [
        "0001-06-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-09-01T00:00:00Z",
    ] {
        let mut life = known();
        deliver(&mut life, &sign_in_record(0));
        deliver(&mut life, &stolen_record(1_800));
        let before = life.incident().clone();
        let mut record = risk_record(0);
        record["properties"]["activityDateTime"] = time.into();
        record["properties"]["riskEventType"] = "anonymizedIPAddress".into();
        let steps = deliver(&mut life, &record);
        assert_eq!(steps.len(), 1, "{time}");
        assert_eq!(steps[0].decision, None, "{time}");
        assert_eq!(life.incident(), &before, "{time}");
        let tainted = life.memory.habits.tainted();
        assert_eq!(tainted.len(), 1, "{time}");
    }
}

fn any_nonsense() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(nonsense()),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(NO_TIMES.to_vec()).prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any fields of any records, in any number, in one memory that goes on.
    #[test]
    fn nothing_panics_whatever_the_fields_hold(
        records in prop::collection::vec(
            (0..3_u8, 0..7_200_i64, prop::collection::vec((any::<prop::sample::Index>(), any_nonsense()), 0..6)),
            1..8,
        )
    ) {
        let mut life = Life::new();
        life.revoked_at = Some(at(0));
        for (kind, seconds, changes) in records {
            let mut record = match kind {
                0 => sign_in_record(seconds),
                1 => risk_record(seconds),
                _ => audit_record(seconds),
            };
            let paths = paths_of(&record);
            for (index, value) in changes {
                // A field may have gone with its object.
                if let Some(field) = record.pointer_mut(&paths[index.index(paths.len())]) {
                    *field = value;
                }
            }
            deliver(&mut life, &record);
        }
        prop_assert!(life.memory.footprints.is_sorted_by_key(|f| f.first));
        prop_assert!(life.memory.signals.is_sorted_by_key(|s| s.at));
        // It is kept, and can be read back.
        let stored = serde_json::to_string(&life.memory).unwrap();
        let read: UserMemory = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(read.signals.len(), life.memory.signals.len());
        prop_assert_eq!(read.footprints.len(), life.memory.footprints.len());
    }
}
