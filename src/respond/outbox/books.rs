//! The responder's dealings with the store.
//!
//! Invariant: what Graph has said is not lost to a store that fails for a
//! while. A settlement is tried until it is written; meanwhile it holds its
//! place in flight, so the number of such settlements is bounded and nothing
//! more is sent than the store could not write down. A store that fails is
//! said once, when it begins and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::super::graph::backoff;
use super::POLL;
use crate::model::{ActionKind, ActionState};
use crate::store::{Claimed, Settlement, Store, StoreError};
use crate::telemetry::Metrics;

/// The longest wait between two tries of a settlement.
const RETRY_MAX: Duration = Duration::from_secs(5);

pub(super) struct Books {
    store: Store,
    metrics: Arc<Metrics>,
    failing: AtomicBool,
}

impl Books {
    pub(super) fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            failing: AtomicBool::new(false),
        }
    }

    /// Queues again what an earlier process had claimed and not settled. Tried
    /// until it is done; `false`: stop.
    pub(super) async fn release_claims(&self, stop: &CancellationToken) -> bool {
        loop {
            match self.noted(self.store.release_claims(Timestamp::now()).await) {
                Some(0) => return true,
                Some(released) => {
                    info!(
                        released,
                        "actions that may have been sent before are sent again"
                    );
                    return true;
                }
                None => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Claims what is due; nothing while effects are paused or the store fails.
    pub(super) async fn claim(&self, kinds: &'static [ActionKind], limit: usize) -> Vec<Claimed> {
        match self.noted(self.store.paused().await) {
            Some(None) => {}
            Some(Some(_)) | None => return Vec::new(),
        }
        let claimed = self.store.claim(kinds, limit, Timestamp::now()).await;
        self.noted(claimed).unwrap_or_default()
    }

    /// Writes settlements, trying until they are written. `now` is when the
    /// outcomes were known. One that makes no sense to the store is an error
    /// of ours and said loudly; the others of its batch are written.
    pub(super) async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) {
        if settlements.is_empty() {
            return;
        }
        match self.try_settle(&settlements, now).await {
            Ok(()) => {}
            Err(_) if settlements.len() > 1 => {
                for settlement in settlements {
                    if let Err(error) = self.try_settle(&[settlement], now).await {
                        error!(%error, "an action could not be settled");
                    }
                }
            }
            Err(error) => error!(%error, "an action could not be settled"),
        }
    }

    async fn try_settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut failures = 0;
        loop {
            match self.store.settle(settlements.to_vec(), now).await {
                Err(error) if error.may_pass() => {
                    self.failed(&error);
                    let wait = backoff(failures, rand::random()).min(RETRY_MAX);
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.recovered();
                    return Ok(());
                }
            }
        }
    }

    /// Once a second: questions that nobody answered expire, and the gauges
    /// show what the outbox holds. Never returns.
    pub(super) async fn upkeep(&self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let expired = self.store.expire(Timestamp::now()).await;
            if let Some(expired @ 1..) = self.noted(expired) {
                info!(expired, "nobody answered in time, which counts as no");
            }
            if let Some(stats) = self.noted(self.store.stats().await) {
                for state in ActionState::ALL {
                    let held = stats.by_state.iter().find(|(held, _)| *held == state);
                    let count = held.map_or(0, |(_, count)| *count);
                    // A gauge is a float; counts stay far below 2^53.
                    self.metrics.outbox_depth(state).set(count as f64);
                }
            }
        }
    }

    fn noted<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.recovered();
                Some(value)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        self.metrics.commit_failures.increment(1);
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(%error, "the responder cannot use the store; it tries again");
        }
    }

    fn recovered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!("the responder can use the store again");
        }
    }
}
