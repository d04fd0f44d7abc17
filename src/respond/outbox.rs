//! The responder: takes actions from the outbox, most dangerous first, and
//! does them through Graph.
//!
//! ```text
//! lane ready ─► claim ─► guard ─► take cell ─► Graph ─► settle
//! ```
//!
//! Invariants: the lane is waited for first and the claim made last, so a more
//! dangerous user overtakes whoever came before. Level-triggered: a wake-up
//! only shortens the poll, so a lost one costs a second and no action. What
//! was claimed is settled, or is `sending` at the next start and repeated.

mod books;
mod ending;
#[cfg(test)]
#[cfg(feature = "lab")]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::books::Books;
use self::ending::Before;
use super::graph::{End, GraphClient, Outcome, Priority, Tag};
use super::lanes::Lane;
use super::reset::Approved;
use super::workload;
use crate::model::{ActionKind, ActionState, Admission, UserId, UserRef};
use crate::store::{Claimed, Store};
use crate::telemetry::Metrics;

/// Writes to users under way at once. At Graph's usual 200 ms it is four times what
/// the lane lets through; at 800 ms it is all of it.
const IN_FLIGHT_MAX: usize = 16;

/// Users confirmed in one request. Undocumented for `confirmCompromised`; its
/// sibling `dismiss` states 60 per call.
pub(super) const BATCH_MAX: usize = 60;

/// How long until the outbox is looked at without a wake-up.
const POLL: Duration = Duration::from_secs(1);

/// How long requests in flight may take to finish once we are told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// The guard as it is now: asked again just before each call.
pub type GuardCheck = Arc<dyn Fn(&UserRef) -> Admission + Send + Sync>;

/// What the responder works with.
pub struct Responder {
    /// The outbox.
    pub store: Store,
    /// Where actions are done.
    pub graph: GraphClient,
    /// The guard's word on a user.
    pub guard: GuardCheck,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Flipped by the console with the store's pause, so that it is obeyed
    /// even by what has been claimed and not yet sent.
    pub paused: Arc<AtomicBool>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}

impl Responder {
    /// Does what the outbox holds until `cancel`; then claims nothing more,
    /// lets requests in flight finish (at most 8 s) and returns. `wake` says
    /// that something may have been queued.
    pub async fn run(self, cancel: CancellationToken, wake: Arc<Notify>) {
        let lanes = Lanes {
            directory: Lane::directory_writes(),
            protection: Lane::identity_protection(),
        };
        self.run_in(lanes, cancel, &wake).await;
    }

    async fn run_in(self, lanes: Lanes, stop: CancellationToken, wake: &Notify) {
        self.desk(lanes, stop).run(wake).await;
    }

    fn desk(self, lanes: Lanes, stop: CancellationToken) -> Arc<Desk> {
        for lane in [&lanes.directory, &lanes.protection] {
            // From zero, so that the first 429 is an increase to whoever alerts.
            self.metrics.graph_throttled(lane.name()).increment(0);
        }
        Arc::new(Desk {
            books: Books::new(self.store, Arc::clone(&self.metrics)),
            graph: self.graph,
            guard: self.guard,
            metrics: self.metrics,
            paused: self.paused,
            lanes,
            tokenless: AtomicBool::new(false),
            stop,
        })
    }
}

struct Lanes {
    directory: Lane,
    protection: Lane,
}

struct Desk {
    books: Books,
    graph: GraphClient,
    guard: GuardCheck,
    metrics: Arc<Metrics>,
    paused: Arc<AtomicBool>,
    lanes: Lanes,
    /// Whether Entra gave no token when last asked: said once, not each time.
    tokenless: AtomicBool,
    stop: CancellationToken,
}

impl Desk {
    async fn run(self: Arc<Self>, wake: &Notify) {
        if !self.books.release_claims(&self.stop).await {
            return;
        }
        let (bell, turns) = watch::channel(());
        let work = async { tokio::join!(self.write_users(turns.clone()), self.confirm(turns)) };
        let relay = async {
            loop {
                wake.notified().await;
                bell.send_replace(());
            }
        };
        let too_late = async {
            self.stop.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        tokio::select! {
            _ = work => {}
            () = too_late => warn!(
                "requests were still in flight at the stop; they are repeated at the next start"
            ),
            () = relay => {}
            () = self.books.upkeep() => {}
        }
    }

    /// The directory lane: one user per request, several requests at once.
    async fn write_users(self: &Arc<Self>, mut turns: watch::Receiver<()>) {
        let lane = &self.lanes.directory;
        let kinds = &[ActionKind::RevokeSessions, ActionKind::ResetPassword];
        let mut in_flight = JoinSet::new();
        loop {
            while let Some(done) = in_flight.try_join_next() {
                finished(done);
            }
            if in_flight.len() >= IN_FLIGHT_MAX {
                if let Some(done) = in_flight.join_next().await {
                    finished(done);
                }
                continue;
            }
            let Some(claimed) = self.next(lane, kinds, 1, &mut turns).await else {
                break;
            };
            for action in self.admitted(claimed).await {
                lane.take().await;
                let desk = Arc::clone(self);
                in_flight.spawn(async move { desk.write_one(action).await });
            }
        }
        while let Some(done) = in_flight.join_next().await {
            finished(done);
        }
    }

    async fn write_one(&self, action: Claimed) {
        let sent_at = Timestamp::now();
        let actions = [action];
        let tag = tag(&actions);
        let [action] = &actions;
        let outcome = match (action.kind, Approved::of(action)) {
            // Neither fits one; no policy that says so compiles.
            _ if action.user.workload => Outcome::Workload,
            (ActionKind::ResetPassword, Some(reset)) => {
                self.graph.reset_password(&reset, tag).await
            }
            // The store queues no such action: the second lock on the door.
            (ActionKind::ResetPassword, None) => Outcome::Unapproved,
            _ => self.graph.revoke_sessions(&action.user.id, tag).await,
        };
        let lane = &self.lanes.directory;
        self.conclude(lane, &actions, sent_at, &outcome).await;
    }

    /// The identity protection lane: many users per request, one at a time.
    async fn confirm(&self, mut turns: watch::Receiver<()>) {
        let lane = &self.lanes.protection;
        let kinds = &[ActionKind::ConfirmCompromised];
        while let Some(claimed) = self.next(lane, kinds, BATCH_MAX, &mut turns).await {
            self.confirm_batch(claimed).await;
        }
    }

    /// Sends a batch: users apart from service principals, which Graph takes
    /// at another address. Where it refuses one whole, it is halved until the
    /// users who are the reason stand alone: at most 2 × 60 − 1 requests, each
    /// through the lane and past the guard.
    async fn confirm_batch(&self, claimed: Vec<Claimed>) {
        let lane = &self.lanes.protection;
        let mut parts = workload::apart(claimed);
        // The last is sent first, and the first is the most dangerous.
        parts.reverse();
        while let Some(part) = parts.pop() {
            if !self.turn(lane).await {
                self.put_back(&part).await;
                continue;
            }
            let mut part = self.admitted(part).await;
            if part.is_empty() {
                continue;
            }
            lane.take().await;
            let sent_at = Timestamp::now();
            let outcome = self.confirm_part(&part).await;
            lane.answered();
            if part.len() > 1 && outcome.may_be_one_of_many() {
                info!(users = part.len(), outcome = %outcome.name(), "batch refused; halved");
                self.note(lane, &outcome);
                let second = part.split_off(part.len() / 2);
                parts.push(second);
                parts.push(part);
                continue;
            }
            self.conclude(lane, &part, sent_at, &outcome).await;
        }
    }

    /// One request for actions of one part of [`workload::apart`], or of half
    /// of one.
    async fn confirm_part(&self, part: &[Claimed]) -> Outcome {
        if part.iter().any(|action| action.user.workload) {
            let workloads: Result<Vec<_>, Outcome> =
                part.iter().map(workload::Approved::of).collect();
            return match workloads {
                Ok(workloads) => self.graph.confirm_workloads(&workloads, tag(part)).await,
                Err(refusal) => refusal,
            };
        }
        let users: Vec<UserId> = part.iter().map(|action| action.user.id.clone()).collect();
        self.graph.confirm_compromised(&users, tag(part)).await
    }

    /// Waits for the lane, then for work, and claims it. `None`: stop.
    async fn next(
        &self,
        lane: &Lane,
        kinds: &'static [ActionKind],
        limit: usize,
        turns: &mut watch::Receiver<()>,
    ) -> Option<Vec<Claimed>> {
        loop {
            let waited = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                waited = lane.ready() => waited,
            };
            if !self.has_token(lane).await {
                continue;
            }
            if !self.paused.load(Ordering::Relaxed) {
                // Not under the select: a claim that is dropped half way may
                // have been made.
                let claimed = self.books.claim(kinds, limit).await;
                if !claimed.is_empty() {
                    self.metrics.throttle_wait(lane.name()).record(waited);
                    return Some(claimed);
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                _ = tokio::time::timeout(POLL, turns.changed()) => {}
            }
        }
    }

    /// Waits until the lane may send. `false`: stop.
    async fn turn(&self, lane: &Lane) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = lane.ready() => true,
        }
    }

    /// Whether a request could be sent at all. While Entra gives no token,
    /// nothing is claimed: the outbox keeps its order and its attempts.
    async fn has_token(&self, lane: &Lane) -> bool {
        let probed = tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            probed = self.graph.probe() => probed,
        };
        match probed {
            Ok(()) => {
                if self.tokenless.swap(false, Ordering::Relaxed) {
                    info!("Entra gives tokens again");
                }
                true
            }
            Err(reason) => {
                lane.pause(None, rand::random());
                if !self.tokenless.swap(true, Ordering::Relaxed) {
                    warn!(reason, "no token for Graph: actions wait in the outbox");
                }
                false
            }
        }
    }

    /// Asks the guard and the pause again; what may not be sent is settled.
    async fn admitted(&self, claimed: Vec<Claimed>) -> Vec<Claimed> {
        let now = Timestamp::now();
        let paused = self.paused.load(Ordering::Relaxed);
        let mut send = Vec::with_capacity(claimed.len());
        let mut settled = Vec::new();
        for action in claimed {
            let waited = now.duration_since(action.queued_at);
            match ending::before_call((self.guard)(&action.user), action.approved, paused, waited) {
                Before::Send => send.push(action),
                // Not at once, or claim and guard would chase each other.
                Before::Hold => settled.push(ending::put_back(&action, now + POLL)),
                Before::End { state, reason } => {
                    let name = state.as_str();
                    self.metrics.actions(action.kind, name).increment(1);
                    warn!(
                        action.id = %action.id, case.id = %action.case, action.kind = %action.kind,
                        outcome = name, %reason, "the guard stopped an action before its call"
                    );
                    settled.push(ending::stopped(&action, state, reason));
                }
            }
        }
        self.books.settle(settled, now).await;
        send
    }

    async fn put_back(&self, claimed: &[Claimed]) {
        let now = Timestamp::now();
        let settled = claimed.iter().map(|action| ending::put_back(action, now));
        self.books.settle(settled.collect(), now).await;
    }

    /// Settles actions that shared a request, and says so.
    async fn conclude(
        &self,
        lane: &Lane,
        actions: &[Claimed],
        sent_at: Timestamp,
        outcome: &Outcome,
    ) {
        let now = Timestamp::now();
        let lane_pause = self.note(lane, outcome);
        let settled = actions.iter().map(|action| {
            let end = match (outcome.end(action.attempts, rand::random()), lane_pause) {
                // With the lane, not after it: else lower scores would go first.
                (End::Retry { .. }, Some(after)) => End::Retry { after },
                (end, _) => end,
            };
            let settlement = ending::after_call(action, outcome, end, now);
            self.measure(action, sent_at, now, outcome);
            report(action, outcome, settlement.state, seconds(sent_at, now));
            settlement
        });
        let settled = settled.collect();
        self.books.settle(settled, now).await;
    }

    /// Counts the request and lets the lane feel its outcome. Returns for how
    /// long the lane is held, if it is.
    fn note(&self, lane: &Lane, outcome: &Outcome) -> Option<Duration> {
        if outcome.was_sent() {
            self.metrics.graph_requests(lane.name()).increment(1);
        }
        if let Outcome::Throttled { scope, .. } = outcome {
            self.metrics.graph_throttled(lane.name()).increment(1);
            warn!(lane = lane.name(), scope, "throttled by Graph");
        }
        match outcome.pauses_lane() {
            Some(asked_for) => Some(lane.pause(asked_for, rand::random())),
            None => {
                lane.flowing();
                None
            }
        }
    }

    fn measure(&self, action: &Claimed, sent_at: Timestamp, now: Timestamp, outcome: &Outcome) {
        self.metrics
            .actions(action.kind, outcome.name())
            .increment(1);
        let stages = &self.metrics.response;
        if action.attempts == 0 && outcome.was_sent() {
            stages.dispatch.record(seconds(action.queued_at, sent_at));
        }
        if matches!(outcome, Outcome::Acknowledged { .. }) {
            stages.graph.record(seconds(sent_at, now));
            stages.total.record(seconds(action.event_at, now));
            // With a human in between it is their time, not ours.
            if !action.approved {
                stages.reaction.record(seconds(action.enqueued_at, now));
            }
        }
    }
}

fn report(action: &Claimed, outcome: &Outcome, state: ActionState, graph_seconds: f64) {
    let attempt = action.attempts.saturating_add(1);
    if state == ActionState::Failed {
        warn!(
            action.id = %action.id, case.id = %action.case, action.kind = %action.kind,
            outcome = outcome.name(), attempt, graph.seconds = graph_seconds,
            "action failed: a human must act"
        );
    } else {
        info!(
            action.id = %action.id, case.id = %action.case, action.kind = %action.kind,
            outcome = outcome.name(), attempt, graph.seconds = graph_seconds,
            state = state.as_str(), "action"
        );
    }
}

/// The first action's id, and a human's priority if a human asked for any.
fn tag(actions: &[Claimed]) -> Tag {
    let approved = actions.iter().any(|action| action.approved);
    Tag {
        request_id: actions
            .first()
            .map_or_else(uuid::Uuid::nil, |action| *action.id.as_uuid()),
        priority: if approved {
            Priority::High
        } else {
            Priority::Normal
        },
    }
}

/// Seconds from one time to another; clocks of two machines may disagree, so
/// never below zero.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// A panic in a request's task is a panic of the responder, which stops the
/// daemon.
fn finished(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
