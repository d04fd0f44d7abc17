//! Every verb against a real database file.

mod committing;
mod containing;
mod judging;
mod measuring;
mod migrating;
mod ordering;
mod quarantining;
mod reading;
mod remembering;
mod responding;
mod speed;

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::model::{
    Admission, Effect, Evidence, Family, GuardReason, Mode, NetworkClass, Order, Place, PolicyName,
    PolicyVerdict, RecordId, Sighting, SignalName,
};
use crate::model::{CaseStatus, DecisionId};
use ActionKind::{ConfirmCompromised, RevokeSessions};

/// A store in a directory of its own.
struct Fixture {
    directory: TempDir,
    store: Store,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        Self { directory, store }
    }

    async fn reopened(self) -> Self {
        let Self { directory, store } = self;
        drop(store);
        let store = Store::open(directory.path()).await.unwrap();
        Self { directory, store }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("evictd.db")
    }

    async fn decide(
        &self,
        decided: impl IntoIterator<Item = &Decided>,
        now: Timestamp,
    ) -> Committed {
        let commit = Commit {
            decisions: decided.into_iter().cloned().collect(),
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap()
    }

    async fn state(&self, decided: &Decided, kind: ActionKind) -> ActionState {
        let case = self.case(decided).await;
        let action = case.actions.iter().find(|a| a.kind == kind).unwrap();
        action.state
    }

    async fn case(&self, decided: &Decided) -> CaseView {
        let id = decided.decision.case.to_string();
        self.store.case(&id).await.unwrap()
    }

    async fn claim(&self, limit: usize, now: Timestamp) -> Vec<Claimed> {
        let claimed = self.store.claim(&ActionKind::ALL, limit, now).await;
        claimed.unwrap()
    }

    async fn settle(&self, claimed: &Claimed, state: ActionState, now: Timestamp) {
        let settlement = settlement(claimed.id, state);
        self.store.settle(vec![settlement], now).await.unwrap();
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn order(kind: ActionKind, effect: Effect) -> Order {
    Order {
        kind,
        effect,
        policy: PolicyName::new("stolen-session"),
        score: 90,
        // As the engine orders: what acts would be asked on the default terms.
        approvers: if effect == Effect::Ask { 2 } else { 1 },
        expires_seconds: if effect == Effect::Ask { 600 } else { 1_800 },
    }
}

fn signal(name: &str, record: &str) -> Signal {
    Signal {
        name: SignalName::new(name),
        family: Family::Network,
        at: at(0),
        record: RecordId::new(record),
        evidence: Evidence::TorExit {
            sighting: Sighting {
                at: at(0),
                place: Place::default(),
                asn: Some(64_500),
                prefix: None,
                class: NetworkClass::Tor,
            },
            succeeded: true,
        },
        reservations: Vec::new(),
        asked: Vec::new(),
    }
}

/// A decision on `record` in the case that `opened` opened for `user`.
fn decided(user: &str, opened: &str, record: &str, orders: Vec<Order>) -> Decided {
    let id = UserId::new(user);
    let opened_by = RecordId::new(opened);
    let record = RecordId::new(record);
    Decided {
        enqueued_at: at(1),
        received_at: at(2),
        decision: Decision {
            id: DecisionId::derive(&id, &record),
            case: CaseId::derive(&id, &opened_by),
            opened_by,
            at: at(0),
            effect: orders
                .iter()
                .map(|o| o.effect)
                .max()
                .unwrap_or(Effect::Shadow),
            score: orders.iter().map(|o| o.score).max().unwrap_or(50),
            signals: vec![signal("tor_exit", record.as_str())],
            record,
            user: UserRef {
                id,
                principal_name: format!("{user}@contoso.example").into(),
                guest: false,
                workload: false,
            },
            verdicts: Vec::new(),
            orders,
            admission: Admission::Admitted,
            policy_set: "0011".into(),
        },
    }
}

/// The verdict of a policy that called for that.
fn verdict(policy: &str, effect: Option<Effect>) -> PolicyVerdict {
    PolicyVerdict {
        policy: PolicyName::new(policy),
        mode: Mode::Enforce,
        window_start: at(-60),
        window_end: at(0),
        score: 90,
        families: Vec::new(),
        rung: None,
        effect,
        out_of_scope: false,
        set_aside: Vec::new(),
    }
}

fn act(user: &str) -> Decided {
    decided(user, "r1", "r1", vec![order(RevokeSessions, Effect::Act)])
}

fn ask(user: &str) -> Decided {
    decided(user, "r1", "r1", vec![order(RevokeSessions, Effect::Ask)])
}

fn settlement(id: ActionId, state: ActionState) -> Settlement {
    Settlement {
        id,
        state,
        not_before: None,
        outcome: "200".to_owned(),
        sent: true,
    }
}

fn memory_of(records: &[&str]) -> UserMemory {
    let mut memory = UserMemory::default();
    for record in records {
        memory.mark_judged(&RecordId::new(*record), at(0), 0);
        memory.remember_signal(signal("tor_exit", record));
    }
    memory
}

fn remembered(records: &[&str], version: u64) -> Remembered {
    Remembered {
        memory: memory_of(records),
        version,
    }
}

fn position(sequence: i64, epoch: i64) -> Position {
    Position {
        hub: "signins".into(),
        partition: "3".into(),
        sequence,
        epoch,
    }
}

fn quarantined(sequence: i64, bytes: usize) -> Quarantined {
    Quarantined {
        source: Source {
            hub: "signins".into(),
            partition: "3".into(),
            sequence,
        },
        enqueued_at: at(1),
        record: Undecodable {
            bytes: vec![b'x'; bytes],
            index: None,
            reason: "not JSON".to_owned(),
        },
    }
}
