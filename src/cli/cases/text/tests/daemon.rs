//! What people read of the daemon itself.

use super::*;
use crate::console::control::About;
use crate::store::Pause;

#[test]
fn the_one_partition_in_trouble_is_seen_among_many() {
    let partition = |n: u32| Partition {
        hub: "insights".to_owned(),
        partition: n.to_string(),
        state: if n == 9 { "unauthorized" } else { "reading" }.to_owned(),
        sequence: (n < 10).then_some(10_i64.pow(n)),
        lag_seconds: if n == 9 { 4_211.04 } else { 0.31 },
    };
    let all: Vec<Partition> = (8..=10).map(partition).collect();
    insta::assert_snapshot!(plain(|out| partitions(out, &all)), @r"
    insights/8   reading       at message 100000000   lag    0.3 s
    insights/9   unauthorized  at message 1000000000  lag 4211.0 s
    insights/10  reading       at the start           lag    0.3 s
    ");
}

#[test]
fn status_of_a_daemon_at_work_and_of_one_in_trouble() {
    let partition = |partition: &str, sequence| Partition {
        hub: "insights".to_owned(),
        partition: partition.to_owned(),
        state: "reading".to_owned(),
        sequence,
        lag_seconds: 0.25,
    };
    let fine = Status {
        about: About {
            version: "1.2.3".to_owned(),
            since: at(-5 * 3_600),
            http: "127.0.0.1:9464".to_owned(),
            policy_set: "3f9a01".to_owned(),
            policies_stale: false,
            partitions: vec![partition("0", Some(4_711)), partition("1", None)],
            history: None,
        },
        ready: true,
        unready: Vec::new(),
        paused: None,
        outbox: vec![("queued".to_owned(), 0)],
        quarantined: 0,
    };
    let troubled = Status {
        ready: false,
        unready: vec!["Receivers: insights/0: \u{1b}[2Junauthorized".to_owned()],
        paused: Some(Pause {
            by: "kim".to_owned(),
            since: at(0),
        }),
        outbox: vec![
            ("awaiting_approval".to_owned(), 2),
            ("queued".to_owned(), 0),
            ("failed".to_owned(), 1),
        ],
        quarantined: 12,
        ..fine.clone()
    };
    insta::assert_snapshot!(plain(|out| status(out, &fine, now())), @r"
    evictd 1.2.3 up 5 h, policies 3f9a01, metrics at http://127.0.0.1:9464/metrics
    ready
    insights/0  reading  at message 4711  lag 0.2 s
    insights/1  reading  at the start     lag 0.2 s
    outbox: empty
    quarantine: empty
    ");
    insta::assert_snapshot!(plain(|out| status(out, &troubled, now())), @r"
    evictd 1.2.3 up 5 h, policies 3f9a01, metrics at http://127.0.0.1:9464/metrics
    not ready: Receivers: insights/0: \u{1b}[2Junauthorized
    PAUSED by kim 38 min ago: nothing is done until `evictd resume`
    insights/0  reading  at message 4711  lag 0.2 s
    insights/1  reading  at the start     lag 0.2 s
    outbox: 2 awaiting_approval, 1 failed
    quarantine: 12 records; see `evictd quarantine list`
    ");
}

#[test]
fn a_reload_says_what_serves_now() {
    let mut fine = Reloaded {
        hash: "0011".to_owned(),
        changed: true,
        policies: 5,
        warnings: vec!["a.yaml:3:1: nobody raises it".to_owned()],
    };
    insta::assert_snapshot!(plain(|out| reloaded(out, &fine)), @r"
    warning: a.yaml:3:1: nobody raises it

    Set 0011 serves now: 5 policies.
    The lists are being refreshed; `evictd intel show` says how old each is.
    ");
    fine.changed = false;
    let same = plain(|out| reloaded(out, &fine));
    assert!(same.contains("Set 0011 goes on serving"), "{same}");
}
