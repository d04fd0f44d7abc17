//! Whether the daemon lives and whether it is ready.
//!
//! Alive: the pipeline's heart has beaten lately; the watchdog and `/healthz`
//! ask this. Ready: receivers attached, store writable, policies loaded;
//! `/readyz` asks this. The stages report, nobody polls them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// A pipeline that is silent for longer is taken for hung. It beats at least
/// each second, a commit under a busy disk takes some.
const HEARTBEAT_MAX: SignedDuration = SignedDuration::from_secs(15);

/// What must be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Every partition's receiver is attached.
    Receivers,
    /// The store takes writes.
    Store,
    /// A policy set serves.
    Policies,
}

/// The state of health, shared by all stages.
#[derive(Debug)]
pub struct Health {
    last_beat: AtomicI64,
    unready: Mutex<BTreeMap<Component, String>>,
}

impl Health {
    /// Nothing is ready yet; the heart beats as of `now`.
    pub fn new(now: Timestamp) -> Self {
        let waiting = "not started yet".to_owned();
        let components = [Component::Receivers, Component::Store, Component::Policies];
        Self {
            last_beat: AtomicI64::new(now.as_millisecond()),
            unready: Mutex::new(components.map(|c| (c, waiting.clone())).into()),
        }
    }

    /// The pipeline lives.
    pub fn beat(&self, now: Timestamp) {
        self.last_beat
            .store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Whether the pipeline's heart has beaten lately.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.silent_for(now) <= HEARTBEAT_MAX
    }

    /// How long ago the pipeline's heart last beat. Negative for a moment when
    /// the clock was set back; the next beat mends it.
    pub fn silent_for(&self, now: Timestamp) -> SignedDuration {
        let last_beat = self.last_beat.load(Ordering::Relaxed);
        SignedDuration::from_millis(now.as_millisecond().saturating_sub(last_beat))
    }

    /// Reports a component; `reason` says why it is not ready.
    pub fn set_ready(&self, component: Component, ready: bool, reason: &str) {
        let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready {
            unready.remove(&component);
        } else {
            unready.insert(component, reason.to_owned());
        }
    }

    /// What is not ready, and why; empty when everything is.
    pub fn unready(&self) -> Vec<(Component, String)> {
        let unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        unready
            .iter()
            .map(|(component, reason)| (*component, reason.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_death_and_every_component_must_report() {
        let start = Timestamp::UNIX_EPOCH;
        let health = Health::new(start);
        assert!(health.is_alive(start + HEARTBEAT_MAX));
        assert!(!health.is_alive(start + HEARTBEAT_MAX + SignedDuration::from_millis(1)));
        health.beat(start + HEARTBEAT_MAX);
        assert!(health.is_alive(start + HEARTBEAT_MAX + HEARTBEAT_MAX));
        assert_eq!(health.unready().len(), 3);
        health.set_ready(Component::Store, true, "");
        health.set_ready(Component::Policies, true, "");
        health.set_ready(Component::Receivers, false, "insights/0 is not attached");
        assert_eq!(
            health.unready(),
            [(
                Component::Receivers,
                "insights/0 is not attached".to_owned()
            )]
        );
    }
}
