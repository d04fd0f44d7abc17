//! Policies at start and at SIGHUP: they are read and compiled before anything
//! is swapped; what fails leaves what serves. Lists refresh themselves, each
//! on its own; a reload makes them due at once.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::console::health::{Component, Health};
use crate::policy::PolicySet;
use crate::ruleset;
use crate::telemetry::Metrics;

/// What serves now, and how to replace it.
#[derive(Debug)]
pub(super) struct Serving {
    config: Config,
    policies: watch::Sender<Arc<PolicySet>>,
    refresh_lists: Arc<Notify>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Serving {
    /// Loads for the first time; `refresh_lists` is notified at each reload.
    pub(super) fn load(
        config: &Config,
        refresh_lists: Arc<Notify>,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let policies = ruleset::load(config.policies.as_deref())?;
        let serving = Self {
            config: config.clone(),
            policies: watch::Sender::new(Arc::new(policies)),
            refresh_lists,
            health,
            metrics,
        };
        serving.publish();
        Ok(serving)
    }

    pub(super) fn policies(&self) -> watch::Receiver<Arc<PolicySet>> {
        self.policies.subscribe()
    }

    /// Reads the policies again, and has the lists refreshed whether or not
    /// the policies compile.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        self.refresh_lists.notify_one();
        match ruleset::load(self.config.policies.as_deref()) {
            Ok(policies) => {
                self.metrics
                    .policy_set(&self.policies.borrow().hash)
                    .set(0.0);
                self.policies.send_replace(Arc::new(policies));
                self.metrics.policy_reloads("ok").increment(1);
                self.publish();
                tracing::info!(policy.set = &*self.policies.borrow().hash, "reloaded");
                Ok(())
            }
            Err(error) => {
                self.metrics.policy_reloads("failed").increment(1);
                self.metrics.policies_stale.set(1.0);
                tracing::error!(
                    error = format!("{error:#}"),
                    policy.set = &*self.policies.borrow().hash,
                    "the reload failed; the last good policies serve"
                );
                Err(error.into())
            }
        }
    }

    fn publish(&self) {
        let policies = self.policies.borrow();
        for warning in &policies.warnings {
            tracing::warn!("policy: {warning}");
        }
        self.metrics.policies_stale.set(0.0);
        self.metrics.policy_set(&policies.hash).set(1.0);
        self.health.set_ready(Component::Policies, true, "");
    }
}
