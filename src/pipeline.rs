//! The one writer: load → step → commit → acknowledge.
//!
//! Messages of all partitions come through one bounded channel. A batch is
//! judged under one policy set and one intelligence snapshot, and everything
//! it changed, the stream's positions included, is committed in one
//! transaction. Only then is the responder woken. A commit that fails is
//! tried again until it succeeds or the daemon stops: nothing is skipped, and
//! readiness says so meanwhile. Each try judges anew, so that the guard's word
//! is as old as the commit: what became stale meanwhile is asked about.

mod finding;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use lru::LruCache;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::console::control::{Retried, RetryError};
use crate::console::health::{Component, Health};
use crate::detect::{self, intel::Intel};
use crate::engine::{self, Given};
use crate::history::Keeper;
use crate::ingest::{Message, Source, entra};
use crate::model::{Admission, CaseId, Decision, ProofOutcome, Surroundings, UserId};
use crate::policy::{Acted, BUDGET_WINDOW, PolicySet, Situation};
use crate::store::{
    Commit, Committed, Decided, Position, Quarantined, Remembered, Store, StoreError, Withdrawn,
};
use crate::telemetry::Metrics;

/// Messages judged and committed together at most. A message holds up to
/// some hundred records, so a batch is a few megabytes at worst.
const BATCH_MESSAGES_MAX: usize = 256;
/// Users whose memory is kept in RAM; others are read from the store when they
/// come. At the bounds of `model::limits` a user who is known takes some 50 KiB,
/// so all of them stay under half a gigabyte.
const CACHED_USERS_MAX: usize = 10_000;
/// The pause between attempts at a commit that fails.
const COMMIT_RETRY: Duration = Duration::from_secs(1);
/// How often an idle pipeline says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Why a question is taken back.
const SETTLED: &str =
    "the risk was dismissed, remediated or confirmed safe in Entra, or its sign-in had failed";

/// What is asked of the pipeline besides messages.
#[derive(Debug)]
pub enum Request {
    /// Decode a quarantined record again and, if it reads now, judge it.
    Retry {
        /// The row's id.
        id: i64,
        /// Told what came of it.
        reply: oneshot::Sender<Result<Retried, RetryError>>,
    },
}

/// The pipeline's parts; [`Pipeline::run`] consumes them.
#[derive(Debug)]
pub struct Pipeline {
    /// Where everything is written.
    pub store: Store,
    /// The policy set that serves.
    pub policies: watch::Receiver<Arc<PolicySet>>,
    /// The intelligence that serves.
    pub intel: watch::Receiver<Arc<Intel>>,
    /// Keeps what was received, beside the way.
    pub history: Keeper,
    /// Decoded messages.
    pub inbox: mpsc::Receiver<Message>,
    /// Requests of the console.
    pub requests: mpsc::Receiver<Request>,
    /// Woken when a commit queued actions.
    pub wake: Arc<Notify>,
    /// Whether a human paused effects.
    pub paused: Arc<AtomicBool>,
    /// Told that the pipeline lives and whether the store takes writes.
    pub health: Arc<Health>,
    /// Counted.
    pub metrics: Arc<Metrics>,
}

/// What survives from batch to batch.
struct State {
    cache: LruCache<UserId, Remembered>,
    around: Surroundings,
    positions: HashMap<(Arc<str>, Arc<str>), i64>,
    acted: Acted,
}

impl Pipeline {
    /// Runs until the inbox is closed and empty. Everything received by then
    /// is committed.
    ///
    /// # Errors
    /// When the store refuses what it holds itself, which a restart must mend.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut state = self.load().await?;
        let mut batch = Vec::new();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut requests_open = true;
        loop {
            self.health.beat(Timestamp::now());
            self.metrics
                .pipeline_queue_depth
                .set(self.inbox.len() as f64);
            tokio::select! {
                received = self.inbox.recv_many(&mut batch, BATCH_MESSAGES_MAX) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.judge_messages(&mut state, std::mem::take(&mut batch)).await?;
                }
                request = self.requests.recv(), if requests_open => match request {
                    Some(Request::Retry { id, reply }) => {
                        let outcome = self.retry(&mut state, id).await;
                        // A caller that went away needs no answer.
                        let _ = reply.send(outcome);
                    }
                    None => requests_open = false,
                },
                _ = heartbeat.tick() => {}
            }
        }
    }

    async fn load(&self) -> anyhow::Result<State> {
        let positions = self
            .store
            .positions()
            .await
            .context("reading the positions")?;
        let since = Timestamp::now() - BUDGET_WINDOW;
        let acted = self
            .store
            .acted_since(since)
            .await
            .context("reading the guard's budget")?;
        let around = self
            .store
            .surroundings()
            .await
            .context("reading the surroundings")?;
        Ok(State {
            around,
            cache: LruCache::new(NonZeroUsize::new(CACHED_USERS_MAX).unwrap_or(NonZeroUsize::MIN)),
            positions: positions
                .into_iter()
                .map(|p| ((p.hub, p.partition), p.sequence))
                .collect(),
            acted: acted.into(),
        })
    }

    async fn judge_messages(
        &self,
        state: &mut State,
        messages: Vec<Message>,
    ) -> anyhow::Result<()> {
        let mut batch = Batch::default();
        for message in messages {
            let key = (message.source.hub.clone(), message.source.partition.clone());
            let committed = state.positions.get(&key).copied().unwrap_or(i64::MIN);
            if message.source.sequence > committed {
                state.positions.insert(key.clone(), message.source.sequence);
                batch.positions.insert(key, message.source.sequence);
                batch.messages.push(message);
            }
        }
        self.judge(state, batch).await
    }

    /// Judges a batch and commits it, however often the commit must be tried.
    async fn judge(&self, state: &mut State, batch: Batch) -> anyhow::Result<()> {
        // Before the commit, so that a crash between both repeats a message in
        // the history and loses none.
        let mut handed = Some(self.history.keep(&batch.messages));
        loop {
            let judged = match self.step_all(state, &batch).await {
                Ok(judged) => judged,
                Err(error) if error.may_pass() => {
                    self.store_failed(&error).await;
                    continue;
                }
                Err(error) => return Err(error).context("loading memories"),
            };
            if let Some(handed) = handed.take() {
                handed.written().await;
            }
            let started = std::time::Instant::now();
            match self
                .store
                .commit(judged.commit.clone(), Timestamp::now())
                .await
            {
                Ok(committed) => {
                    self.metrics.commit_seconds.record(started.elapsed());
                    self.health.set_ready(Component::Store, true, "");
                    self.committed(state, judged, committed);
                    self.count(&batch);
                    return Ok(());
                }
                Err(error) if error.may_pass() => self.store_failed(&error).await,
                Err(StoreError::Conflict { .. }) => {
                    // Somebody else wrote: what we hold in RAM is stale.
                    state.cache.clear();
                    self.metrics.commit_failures.increment(1);
                    tracing::warn!("the store changed under us; judging the batch again");
                }
                Err(error) => return Err(error).context("committing a batch"),
            }
        }
    }

    /// Steps every event over memories taken out of the cache; the cache gets
    /// them back only after the commit.
    async fn step_all(&self, state: &mut State, batch: &Batch) -> Result<Judged, StoreError> {
        let policies = self.policies.borrow().clone();
        let intel = self.intel.borrow().clone();
        let mut memories = self.recall(state, batch).await?;
        let revoked = self.revoked(&memories).await?;
        // Whatever an attempt that failed left there.
        state.around.roll_back();
        let mut judged = Judged::default();
        let mut acting = state.acted.clone();
        // Not when the message came: it may have waited for the store.
        let now = Timestamp::now();
        for message in &batch.messages {
            for (_, event) in &message.content.events {
                let Some(remembered) = memories.get_mut(&event.user().id) else {
                    continue;
                };
                let given = Given {
                    intel: &intel,
                    policies: &policies,
                    revoked_at: remembered
                        .memory
                        .incident
                        .as_ref()
                        .and_then(|incident| revoked.get(&incident.case).copied()),
                };
                let step = engine::step(&mut remembered.memory, &mut state.around, event, &given);
                if step.duplicate {
                    judged.duplicates += 1;
                    continue;
                }
                judged.commit.proofs.extend(step.proof);
                let word = finding::said_in_entra(event, &remembered.memory);
                judged.commit.findings.extend(word);
                // What is asked after a question was withdrawn stands: a commit
                // withdraws last.
                judged
                    .commit
                    .withdrawn
                    .retain(|withdrawn| Some(withdrawn.case) != step.case);
                judged
                    .commit
                    .withdrawn
                    .extend(step.withdrawn.map(|case| Withdrawn {
                        case,
                        reason: SETTLED.into(),
                    }));
                if let (Some(case), None) = (step.case, &step.decision) {
                    judged
                        .commit
                        .signals
                        .extend(step.signals.iter().map(|s| (case, s.clone())));
                }
                judged.raised.extend(
                    step.signals
                        .iter()
                        .map(|s| detect::metric_label(s.name.as_str())),
                );
                if let Some(mut decision) = step.decision {
                    self.admit(&policies, &mut decision, now, &mut acting);
                    judged.commit.decisions.push(Decided {
                        decision,
                        enqueued_at: message.enqueued_at,
                        received_at: message.received_at,
                    });
                }
            }
            judged
                .commit
                .quarantine
                .extend(
                    message
                        .content
                        .quarantined
                        .iter()
                        .map(|record| Quarantined {
                            source: message.source.clone(),
                            enqueued_at: message.enqueued_at,
                            record: record.clone(),
                        }),
                );
        }
        judged.acting = acting;
        judged.commit.surroundings = state
            .around
            .changes()
            .map(|(thing, entry)| (thing, entry.cloned()))
            .collect();
        judged.commit.memories = memories.into_iter().collect();
        judged.commit.released = batch.released.clone();
        judged.commit.positions = batch
            .positions
            .iter()
            .map(|((hub, partition), sequence)| Position {
                hub: hub.clone(),
                partition: partition.clone(),
                sequence: *sequence,
                epoch: 0,
            })
            .collect();
        Ok(judged)
    }

    /// When Graph acknowledged the revoke of each incident in the batch.
    async fn revoked(
        &self,
        memories: &HashMap<UserId, Remembered>,
    ) -> Result<HashMap<CaseId, Timestamp>, StoreError> {
        let incident = |remembered: &Remembered| Some(remembered.memory.incident.as_ref()?.case);
        let cases: Vec<CaseId> = memories.values().filter_map(incident).collect();
        if cases.is_empty() {
            return Ok(HashMap::new());
        }
        let revoked = self.store.revoked_at(cases.clone()).await?;
        Ok(cases
            .into_iter()
            .zip(revoked)
            .filter_map(|(case, at)| Some((case, at?)))
            .collect())
    }

    /// The memories of everybody in the batch: from RAM, else from the store.
    async fn recall(
        &self,
        state: &mut State,
        batch: &Batch,
    ) -> Result<HashMap<UserId, Remembered>, StoreError> {
        let users: HashSet<&UserId> = batch
            .messages
            .iter()
            .flat_map(|message| &message.content.events)
            .map(|(_, event)| &event.user().id)
            .collect();
        let mut memories = HashMap::with_capacity(users.len());
        let mut missing = Vec::new();
        for user in users {
            match state.cache.get(user) {
                Some(remembered) => {
                    memories.insert(user.clone(), remembered.clone());
                }
                None => missing.push(user.clone()),
            }
        }
        let loaded = self.store.memories(missing.clone()).await?;
        memories.extend(missing.into_iter().zip(loaded));
        Ok(memories)
    }

    /// Asks the guard, and writes its word into the decision.
    fn admit(
        &self,
        policies: &PolicySet,
        decision: &mut Decision,
        now: Timestamp,
        acting: &mut Acted,
    ) {
        let within = |at| now.duration_since(at) <= BUDGET_WINDOW;
        let situation = Situation {
            now,
            paused: self.paused.load(Ordering::Relaxed),
            acts_last_hour: acting.others(&decision.user.id, within),
        };
        engine::admit(decision, policies, &situation);
        acting.take(decision, now);
    }

    /// Says that the store failed, and waits before the next attempt. The
    /// pipeline still lives: the watchdog must not kill what a full disk holds up.
    async fn store_failed(&self, error: &StoreError) {
        self.metrics.commit_failures.increment(1);
        self.health
            .set_ready(Component::Store, false, &error.to_string());
        self.health.beat(Timestamp::now());
        tracing::error!(%error, retry_seconds = COMMIT_RETRY.as_secs(), "the store failed; trying again");
        tokio::time::sleep(COMMIT_RETRY).await;
    }

    fn committed(&self, state: &mut State, judged: Judged, committed: Committed) {
        let now = Timestamp::now();
        for (user, mut remembered) in judged.commit.memories {
            remembered.version += 1;
            state.cache.put(user, remembered);
        }
        state.around.settle();
        let (common, addresses) = state.around.len();
        self.metrics.surroundings_common.set(common as f64);
        self.metrics.surroundings_addresses.set(addresses as f64);
        state.acted = judged.acting;
        self.metrics
            .memory_cached_users
            .set(state.cache.len() as f64);
        self.metrics.duplicates.increment(judged.duplicates);
        self.metrics
            .quarantine_dropped
            .increment(committed.quarantine_dropped);
        for (outcome, count) in [
            (ProofOutcome::Proven, committed.proven),
            (ProofOutcome::Evaded, committed.evaded),
        ] {
            self.metrics.containments(outcome).increment(count.into());
        }
        for label in judged.raised {
            self.metrics.signals(label).increment(1);
        }
        for decided in &judged.commit.decisions {
            let Decided {
                decision,
                enqueued_at,
                received_at,
            } = decided;
            self.metrics.decisions(decision.effect).increment(1);
            match decision.admission {
                Admission::Admitted => {}
                Admission::Demoted(reason) => self.metrics.guard(reason, "demoted").increment(1),
                Admission::Refused(reason) => self.metrics.guard(reason, "refused").increment(1),
            }
            let stages = &self.metrics.response;
            stages.source.record(seconds(decision.at, *enqueued_at));
            stages.transport.record(seconds(*enqueued_at, *received_at));
            stages.decision.record(seconds(*received_at, now));
            tracing::info!(
                decision.id = %decision.id,
                case.id = %decision.case,
                effect = decision.effect.as_str(),
                score = decision.score,
                admission = ?decision.admission,
                "decided"
            );
        }
        if committed.queued > 0 {
            self.wake.notify_one();
        }
    }

    /// Counts records once they are committed; those that leave quarantine
    /// were counted when they came.
    fn count(&self, batch: &Batch) {
        if !batch.released.is_empty() {
            return;
        }
        for message in &batch.messages {
            let content = &message.content;
            for (category, _) in &content.events {
                self.metrics.records(category.0, "event").increment(1);
            }
            for category in &content.passed_over {
                self.metrics.records(category.0, "passed_over").increment(1);
            }
            for record in &content.quarantined {
                self.metrics.records("unknown", "quarantined").increment(1);
                self.metrics.quarantined.increment(1);
                tracing::warn!(
                    hub = &*message.source.hub,
                    partition = &*message.source.partition,
                    sequence = message.source.sequence,
                    index = record.index,
                    "a record could not be decoded and is in quarantine"
                );
            }
        }
    }

    /// Decodes a quarantined record again. Its message's position was
    /// committed long ago and stays.
    async fn retry(&self, state: &mut State, id: i64) -> Result<Retried, RetryError> {
        let failed = |error: anyhow::Error| RetryError::Failed(format!("{error:#}"));
        let row = self
            .store
            .quarantine(id.saturating_sub(1), 1)
            .await
            .map_err(|error| failed(error.into()))?
            .into_iter()
            .find(|row| row.id == id)
            .ok_or(RetryError::NotThere(id))?;
        let mut content = entra::decode_enqueued(&row.record.bytes, row.enqueued_at);
        if let Some(still_bad) = content.quarantined.pop() {
            return Ok(Retried {
                released: false,
                events: 0,
                reason: Some(still_bad.reason),
            });
        }
        let events = content.events.len();
        let message = Message {
            source: Source {
                hub: row.hub.into(),
                partition: row.partition.into(),
                sequence: row.sequence,
            },
            enqueued_at: row.enqueued_at,
            received_at: Timestamp::now(),
            content,
            body: Some(bytes::Bytes::from(row.record.bytes).into()),
        };
        let batch = Batch {
            messages: vec![message],
            released: vec![id],
            ..Batch::default()
        };
        self.judge(state, batch).await.map_err(failed)?;
        Ok(Retried {
            released: true,
            events,
            reason: None,
        })
    }
}

/// Messages to judge together.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    positions: HashMap<(Arc<str>, Arc<str>), i64>,
    released: Vec<i64>,
}

/// What judging a batch changed, not yet committed.
#[derive(Default)]
struct Judged {
    commit: Commit,
    acting: Acted,
    raised: Vec<&'static str>,
    duplicates: u64,
}

/// Seconds from one instant to a later one; never negative, since clocks of
/// two machines may disagree.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests;
