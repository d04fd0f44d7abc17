//! `kill -9` at any point of the path, many times over, under load.
//!
//! Two labs see the same morning. One daemon lives through it, the other is
//! killed again and again at instants drawn from a fixed seed, some relative to
//! progress (so many Graph calls, so many messages delivered), some to time.
//! Afterwards both stores and both tenants must agree, and nobody without a
//! decision may have been touched.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use evictd::lab::scenario;
use evictd::lab::{HUB, Lab, Transport};
use evictd::model::CaseStatus;
use evictd::store::Store;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::support::{self, victims};

const KILLS: usize = 14;
const VICTIMS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(120);

struct Run {
    lab: Lab,
    directory: tempfile::TempDir,
}

/// What must be the same in both runs.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// By user: the case's status and each action's state.
    cases: BTreeMap<String, (CaseStatus, Vec<String>)>,
    /// Users with more than one case, or a decision recorded twice.
    doubled: BTreeSet<String>,
    /// Users whose sessions the tenant says are revoked.
    revoked: BTreeSet<String>,
    /// Users the tenant says are confirmed compromised.
    confirmed: BTreeSet<String>,
}

impl Run {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Lab::start(directory.path(), &scenario::staff(), 4)
            .await
            .unwrap();
        lab.write_config(Transport::Tls, None).unwrap();
        Self { lab, directory }
    }

    fn spawn(&self) -> Child {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("evictd.log"))
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_evictd"))
            .args(["run", "--config"])
            .arg(self.directory.path().join("evictd.toml"))
            .env("SSL_CERT_FILE", self.lab.authority_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("evictd.log")).unwrap_or_default()
    }

    /// Waits until every victim is revoked and confirmed, then stops the
    /// daemon in order and reads what it left.
    async fn finish(&self, mut daemon: Child) -> End {
        let wanted = victims(VICTIMS).len();
        let done = self
            .lab
            .graph
            .wait_until(PATIENCE, |graph| {
                let tenant = graph.snapshot();
                let revoked = tenant
                    .users()
                    .filter(|u| u.sign_in_sessions_valid_from > Timestamp::UNIX_EPOCH)
                    .count();
                let confirmed = tenant
                    .users()
                    .filter(|u| tenant.risk(u.id).is_some())
                    .count();
                revoked >= wanted && confirmed >= wanted
            })
            .await;
        assert!(
            done,
            "the victims were not all contained; the daemon said:\n{}",
            self.log()
        );
        // A signal before the daemon has its handlers would simply end it.
        support::wait_until_up(&self.lab).await;
        support::terminate(&mut daemon, || self.log()).await;
        self.end().await
    }

    async fn end(&self) -> End {
        let store = Store::open(&self.lab.state_directory()).await.unwrap();
        let mut cases = BTreeMap::new();
        let mut doubled = BTreeSet::new();
        for case in store.cases(10_000).await.unwrap() {
            let whole = store.case(&case.id.to_string()).await.unwrap();
            let user = case.user.id.as_str().to_owned();
            let records: BTreeSet<_> = whole
                .decisions
                .iter()
                .map(|d| d.decision.record.as_str().to_owned())
                .collect();
            if records.len() != whole.decisions.len() {
                doubled.insert(user.clone());
            }
            let states = case
                .actions
                .iter()
                .map(|a| format!("{} {}", a.kind, a.state))
                .collect();
            if cases.insert(user.clone(), (case.status, states)).is_some() {
                doubled.insert(user);
            }
        }
        let tenant = self.lab.graph.snapshot();
        let revoked = tenant
            .users()
            .filter(|u| u.sign_in_sessions_valid_from > Timestamp::UNIX_EPOCH)
            .map(|u| u.id.to_string())
            .collect();
        let confirmed = tenant
            .users()
            .filter(|u| tenant.risk(u.id).is_some())
            .map(|u| u.id.to_string())
            .collect();
        End {
            cases,
            doubled,
            revoked,
            confirmed,
        }
    }
}

/// The morning and the thefts, in messages, mixed.
fn messages(now: Timestamp) -> Vec<Vec<Value>> {
    let staff = scenario::staff();
    let morning = scenario::ordinary_morning(&staff, now);
    let mut messages: Vec<Vec<Value>> = morning.chunks(10).map(<[Value]>::to_vec).collect();
    let step = messages.len() / (VICTIMS + 1);
    for (index, victim) in victims(VICTIMS).iter().enumerate() {
        messages.insert(
            (index + 1) * step,
            vec![support::replayed_session(victim, now)],
        );
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_nothing_is_lost_doubled_or_done_to_a_bystander() {
    let now = Timestamp::now();
    let messages = messages(now);

    let calm = Run::start().await;
    for message in &messages {
        calm.lab.publish(message);
    }
    let undisturbed = calm.finish(calm.spawn()).await;

    let stormy = Run::start().await;
    let mut random = StdRng::seed_from_u64(0x5eed);
    let mut waiting = messages.chunks(messages.len().div_ceil(KILLS));
    for kill in 0..KILLS {
        let mut daemon = stormy.spawn();
        for message in waiting.next().unwrap_or_default() {
            stormy.lab.publish(message);
        }
        let calls = stormy.lab.graph.calls().len();
        if kill % 2 == 0 {
            // Somewhere between the claim, the request, the answer and its record.
            let after = calls + random.random_range(1..4);
            let reached = stormy
                .lab
                .graph
                .wait_until(Duration::from_secs(5), |graph| graph.calls().len() >= after)
                .await;
            let _ = reached;
        } else {
            // Anywhere from the first bytes of the start to a commit.
            let pause = Duration::from_millis(random.random_range(50..1_500));
            let _ = tokio::time::timeout(pause, daemon.wait()).await;
        }
        daemon.kill().await.unwrap();
    }
    for message in waiting.flatten() {
        stormy.lab.publish(message);
    }
    let disturbed = stormy.finish(stormy.spawn()).await;

    let expected: BTreeSet<String> = victims(VICTIMS).into_iter().map(|v| v.id).collect();
    assert_eq!(undisturbed.revoked, expected);
    assert_eq!(disturbed.revoked, expected, "revoked");
    assert_eq!(disturbed.confirmed, expected, "confirmed compromised");
    assert_eq!(disturbed.doubled, BTreeSet::new(), "doubled");
    assert_eq!(disturbed, undisturbed);
    // Nobody without a decision was touched, not even by a request that failed.
    for call in stormy.lab.graph.calls() {
        for user in call.users {
            assert!(
                expected.contains(&user.to_string()),
                "{} {}",
                call.method,
                call.path
            );
        }
    }
    assert!(
        stormy.lab.hub.counts().connections_opened > KILLS as u64 / 2,
        "the kills disturbed nothing"
    );
    assert_eq!(stormy.lab.hub.partition_count(HUB), 4);
}
