//! What happens to a stolen session, in process, on free ports.

use evictd::lab::scenario::{self, Outcome};
use evictd::model::{
    ActionKind, ActionState, CaseStatus, CaseView, Effect, ReservationGround, Signal,
};
use jiff::Timestamp;

use crate::support::{House, theft, victims};

#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_morning_ends_as_scripted() {
    let house = House::start().await;
    let staff = scenario::staff();
    let now = Timestamp::now();
    let mut morning = scenario::fortnight(&staff, now);
    morning.extend(scenario::ordinary_morning(&staff, now));
    for records in morning.chunks(20) {
        house.lab.publish(records);
    }
    house.wait_for_records(morning.len() as u64).await;
    assert_eq!(
        house.client.cases(10).await.unwrap(),
        [],
        "an ordinary morning raises no case"
    );
    let mut published = morning.len() as u64;
    for act in scenario::acts(&staff, Timestamp::now()) {
        house.publish(&act.records);
        published += act.records.len() as u64;
        let (status, revoked) = match act.outcome {
            Outcome::Quiet => {
                house.wait_for_records(published).await;
                let cases = house.client.cases(100).await.unwrap();
                let of_person = |case: &CaseView| case.user.id.as_str() == act.person.id;
                assert!(!cases.iter().any(of_person), "{}", act.title);
                continue;
            }
            Outcome::Contained => (CaseStatus::Contained, true),
            Outcome::Queued => (CaseStatus::AwaitingApproval, false),
            Outcome::Protected => (CaseStatus::Protected, false),
        };
        house.wait_for_case(&act.person, status).await;
        assert_eq!(house.revoked(&act.person), revoked, "{}", act.title);
    }
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authors_policy_evicts_the_phisher_and_leaves_the_meeting_room_alone() {
    let policy = "policy: device-code
mode: enforce
window: 1h
signals: { custom.code: default, device_code_two_places: 70 }
except:
  - name: meeting-rooms
    when: event.user in lists.rooms
    owner: facilities
    reason: a screen has no keyboard
    until: 2099-12-31
rungs: [{ at: 85, families: 2, do: [revoke_sessions] }, { at: 60, ask: {}, do: [revoke_sessions] }]
";
    let set = "lists: { rooms: { users: [room.curie@contoso.example] } }
signals:
  custom.code:
    description: a sign-in by device code
    family: auth_method
    weight: 65
    when: event.sign_in.protocol == \"deviceCode\" && event.sign_in.succeeded
";
    let files = [("device-code.yaml", policy), ("set.yaml", set)];
    let house = House::with_policies(Some(&files)).await;
    let staff = scenario::staff();
    let before = scenario::fortnight(&staff, Timestamp::now());
    let mut published = before.len() as u64;
    for records in before.chunks(20) {
        house.lab.publish(records);
    }
    house.wait_for_records(published).await;
    let acts = scenario::acts(&staff, Timestamp::now());
    let act = |title| acts.iter().find(|act| act.title == title).unwrap();
    let (phished, room) = (act("A device code, phished"), act("A meeting room"));
    assert_eq!(room.person.principal_name, scenario::MEETING_ROOM);
    // One after the other: what a late record completes is only asked about.
    for record in room.records.iter().chain(&phished.records) {
        house.publish(std::slice::from_ref(record));
        published += 1;
        house.wait_for_records(published).await;
    }
    house
        .wait_for_case(&phished.person, CaseStatus::Contained)
        .await;
    assert!(house.revoked(&phished.person));
    let cases = house.client.cases(100).await.unwrap();
    assert_eq!(cases.len(), 1, "the exception holds on every morning");
    let known = house.client.memory(&room.person.id).await.unwrap();
    let by_the_room = |ground: &ReservationGround| matches!(ground, ReservationGround::Exception { name } if &**name == "meeting-rooms");
    let excepted = |signal: &Signal| signal.reservations.iter().any(|r| by_the_room(&r.ground));
    assert!(known.memory.signals.iter().any(excepted));
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_says_why_and_how_fast() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    let listed = house.wait_for_case(victim, CaseStatus::Contained).await;
    let case = house.client.case(&listed.id.short()).await.unwrap();
    let names: Vec<&str> = case
        .signals
        .iter()
        .map(|s| s.signal.name.as_str())
        .collect();
    assert!(
        names.contains(&"session_hosting") && names.contains(&"device_lost"),
        "{names:?}"
    );
    assert_eq!(case.decisions.len(), 1);
    assert_eq!(
        (case.decisions[0].decision.effect, case.score),
        (Effect::Act, 94)
    );
    for action in &case.actions {
        assert_eq!(action.state, ActionState::Acknowledged, "{action:?}");
        let seconds = action.event_to_acknowledged_seconds.unwrap();
        assert!((0.0..30.0).contains(&seconds), "{seconds}");
    }
    // What it was judged against can be asked for, by name in any case.
    let name = victim.principal_name.to_uppercase();
    let known = house.client.memory(&name).await.unwrap();
    assert_eq!(known.user.as_str(), victim.id);
    // Every stage of the response is measured.
    let metrics = house.metrics().await;
    for stage in [
        "source",
        "transport",
        "decision",
        "dispatch",
        "graph",
        "reaction",
        "total",
    ] {
        let count = format!("evictd_response_seconds_count{{stage=\"{stage}\"}}");
        let value = metrics
            .lines()
            .find_map(|l| l.strip_prefix(&count))
            .map(str::trim);
        assert!(
            value.is_some_and(|v| v != "0"),
            "{stage}: {value:?}\n{metrics}"
        );
    }
    // Nobody's name or address is a label.
    for secret in [&victim.principal_name, &victim.id, "198.19."] {
        assert!(!metrics.contains(secret), "{secret}");
    }
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_human_approves_one_case_and_denies_another() {
    let policy = "policy: ask\nmode: approve\nwindow: 1h\nsignals: { session_hosting: 90 }\n\
                  rungs: [{ at: 90, ask: { approvers: 1, expires: 30m, on_silence: deny }, do: [revoke_sessions] }]\n";
    let house = House::with_policies(Some(&[("ask.yaml", policy)])).await;
    let people = victims(2);
    let (yes, no) = (&people[0], &people[1]);
    house.publish(&theft(yes, Timestamp::now()));
    house.publish(&theft(no, Timestamp::now()));
    let asked = house.wait_for_case(yes, CaseStatus::AwaitingApproval).await;
    let refused = house.wait_for_case(no, CaseStatus::AwaitingApproval).await;
    assert!(!house.revoked(yes));

    house.client.approve(&asked.id.to_string()).await.unwrap();
    let case = house.wait_for_case(yes, CaseStatus::Contained).await;
    assert!(house.revoked(yes));
    let me = nix::unistd::User::from_uid(nix::unistd::getuid())
        .unwrap()
        .unwrap()
        .name;
    assert_eq!(
        case.actions[0].approved_by,
        std::slice::from_ref(&me),
        "the approver is the peer's user"
    );
    // A human asked for it: Graph throttles others first.
    let call = house.lab.graph.calls().pop().unwrap();
    assert_eq!(call.throttle_priority.as_deref(), Some("high"));

    let denied = house.client.deny(&refused.id.to_string()).await.unwrap();
    assert_eq!(denied.status, CaseStatus::Denied);
    assert_eq!(denied.actions[0].denied_by.as_ref(), Some(&me));
    assert!(!house.revoked(no));
    let again = house
        .client
        .approve(&refused.id.to_string())
        .await
        .unwrap_err();
    assert!(again.to_string().contains("nothing to approve"), "{again}");
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_everything_survives_a_restart_and_ends_with_a_resume() {
    let house = House::start().await;
    let people = victims(2);
    house.client.pause(true).await.unwrap();
    house.publish(&theft(&people[0], Timestamp::now()));
    // What is decided while paused asks.
    let case = house
        .wait_for_case(&people[0], CaseStatus::AwaitingApproval)
        .await;
    // What a human approves meanwhile waits.
    house.client.approve(&case.id.to_string()).await.unwrap();
    house
        .wait_for_case(&people[0], CaseStatus::Responding)
        .await;
    let house = house.restart().await;
    let status = house.wait_for_status("ready", |status| status.ready).await;
    assert!(status.paused.is_some());
    assert_eq!(house.lab.graph.calls(), [], "nothing reached Graph");

    house.client.pause(false).await.unwrap();
    house.wait_until_revoked(&people[0]).await;
    house.publish(&theft(&people[1], Timestamp::now()));
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_policy_records_and_never_acts() {
    let policy = "policy: quiet\nmode: shadow\nwindow: 1h\nsignals: { session_hosting: 90 }\n\
                  rungs: [{ at: 90, do: [revoke_sessions, confirm_compromised] }]\n";
    let house = House::with_policies(Some(&[("quiet.yaml", policy)])).await;
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    let case = house.wait_for_case(victim, CaseStatus::Shadow).await;
    assert!(case.actions.is_empty());
    house.daemon.stop().await.unwrap();
    assert_eq!(house.lab.graph.calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_event_asks_instead_of_acting() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    let long_ago = Timestamp::now() - jiff::SignedDuration::from_hours(3);
    house.publish(&theft(victim, long_ago));
    let case = house
        .wait_for_case(victim, CaseStatus::AwaitingApproval)
        .await;
    let case = house.client.case(&case.id.to_string()).await.unwrap();
    assert_eq!(
        serde_json::to_value(case.decisions[0].decision.admission).unwrap(),
        serde_json::json!({ "verdict": "demoted", "reason": "stale_event" })
    );
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_echo_of_our_own_confirmation_changes_nothing() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    let now = Timestamp::now();
    house.publish(&theft(victim, now));
    let case = house.wait_for_case(victim, CaseStatus::Contained).await;
    let calls = house.lab.graph.calls().len();
    let sign_in = evictd::lab::records::SignInRecord::at_home(victim, Timestamp::now());
    let mut echo =
        evictd::lab::records::risk_event(&sign_in, "adminConfirmedUserCompromised", "high");
    echo["properties"]["riskState"] = "confirmedCompromised".into();
    house.publish(&[echo]);
    house.wait_for_records(3).await;
    let after = house.client.case(&case.id.to_string()).await.unwrap();
    assert_eq!(after.decisions.len(), 1);
    assert!(
        after
            .actions
            .iter()
            .any(|a| a.kind == ActionKind::ConfirmCompromised)
    );
    house.daemon.stop().await.unwrap();
    assert_eq!(house.lab.graph.calls().len(), calls);
}
