//! The task that keeps every list fresh: each on its own schedule, all of them
//! when asked.
//!
//! Invariant: this is the one writer of the snapshot and of the shelves. Time
//! is read once a round, here, and is a parameter below.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::upkeep::{Outcome, Upkeep};
use super::{AtHand, Fetcher};
use crate::detect::intel::{Intel, ListName};
use crate::telemetry::Metrics;

/// How often it is looked what is due, and what has grown stale.
const TICK: Duration = Duration::from_secs(1);

/// Keeps the lists fresh.
#[derive(Debug)]
pub struct Refresher {
    serving: watch::Sender<Arc<Intel>>,
    upkeeps: Vec<Upkeep>,
    fetcher: Fetcher,
    nudge: Arc<Notify>,
    metrics: Arc<Metrics>,
}

impl Refresher {
    /// Starts with what is at hand at `now`, and says what is not.
    pub fn new(at_hand: AtHand, fetcher: Fetcher, metrics: Arc<Metrics>, now: Timestamp) -> Self {
        let AtHand { intel, upkeeps } = at_hand;
        for name in ListName::ALL {
            let list = name.as_str();
            let Some(upkeep) = upkeeps.iter().find(|upkeep| upkeep.name() == name) else {
                tracing::warn!(list, "no such list is configured: its signals stay silent");
                continue;
            };
            if let Some(trouble) = upkeep.opening_trouble() {
                tracing::warn!(list, trouble, "a version kept on disk is passed over");
            }
            for outcome in Outcome::ALL {
                metrics.intel_refreshes(list, outcome.as_str()).increment(0);
            }
        }
        let mut refresher = Self {
            serving: watch::Sender::new(Arc::new(intel)),
            upkeeps,
            fetcher,
            nudge: Arc::new(Notify::new()),
            metrics,
        };
        refresher.publish(now);
        refresher
    }

    /// The snapshot that serves.
    pub fn intel(&self) -> watch::Receiver<Arc<Intel>> {
        self.serving.subscribe()
    }

    /// What makes every list due at once.
    pub fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Keeps the lists fresh until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let nudge = self.nudge();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = nudge.notified() => self.hasten(),
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round(Timestamp::now()) => {}
            }
        }
    }

    /// Makes every list due at once.
    pub(super) fn hasten(&mut self) {
        self.upkeeps.iter_mut().for_each(Upkeep::hasten);
    }

    /// Refreshes what is due, side by side, so that a slow publisher holds up
    /// no other list; then publishes how they are.
    pub(super) async fn round(&mut self, now: Timestamp) {
        let (fetcher, serving, metrics) = (&self.fetcher, &self.serving, &self.metrics);
        let due = self.upkeeps.iter_mut().filter(|upkeep| upkeep.is_due(now));
        join_all(due.map(|upkeep| async move {
            let outcome = upkeep.refresh(fetcher, serving, now).await;
            let list = upkeep.name().as_str();
            metrics.intel_refreshes(list, outcome.as_str()).increment(1);
        }))
        .await;
        self.publish(now);
    }

    fn publish(&mut self, now: Timestamp) {
        let intel = self.serving.borrow();
        for name in ListName::ALL {
            let entries = intel.status(name).map_or(0, |list| list.entries);
            self.metrics
                .intel_entries(name.as_str())
                .set(entries as f64);
        }
        for upkeep in &mut self.upkeeps {
            let status = intel.status(upkeep.name());
            let list = upkeep.name().as_str();
            let stale = upkeep.watch_staleness(status, now);
            self.metrics
                .intel_stale(list)
                .set(f64::from(u8::from(stale)));
            if let Some(status) = status {
                let as_of = status.as_of.as_duration().as_secs_f64();
                self.metrics.intel_as_of(list).set(as_of);
            }
        }
    }
}
