//! Policies and lists, at start and at SIGHUP: everything is read and compiled
//! before anything is swapped; what fails leaves what serves.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::console::health::{Component, Health};
use crate::detect::intel::{Intel, ListName};
use crate::policy::PolicySet;
use crate::ruleset;
use crate::telemetry::Metrics;

/// What serves now, and how to replace it.
#[derive(Debug)]
pub(super) struct Serving {
    config: Config,
    policies: watch::Sender<Arc<PolicySet>>,
    intel: watch::Sender<Arc<Intel>>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Serving {
    /// Loads for the first time.
    pub(super) fn load(
        config: &Config,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let policies = ruleset::load(config.policies.as_deref())?;
        let intel = config.intel.load()?;
        let serving = Self {
            config: config.clone(),
            policies: watch::Sender::new(Arc::new(policies)),
            intel: watch::Sender::new(Arc::new(intel)),
            health,
            metrics,
        };
        serving.publish();
        Ok(serving)
    }

    pub(super) fn policies(&self) -> watch::Receiver<Arc<PolicySet>> {
        self.policies.subscribe()
    }

    pub(super) fn intel(&self) -> watch::Receiver<Arc<Intel>> {
        self.intel.subscribe()
    }

    /// Reads everything again. Both are swapped, or neither is.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        match self.read() {
            Ok((policies, intel)) => {
                self.metrics
                    .policy_set(&self.policies.borrow().hash)
                    .set(0.0);
                self.policies.send_replace(Arc::new(policies));
                self.intel.send_replace(Arc::new(intel));
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
                    "the reload failed; the last good policies and lists serve"
                );
                Err(error)
            }
        }
    }

    fn read(&self) -> anyhow::Result<(PolicySet, Intel)> {
        Ok((
            ruleset::load(self.config.policies.as_deref())?,
            self.config.intel.load()?,
        ))
    }

    fn publish(&self) {
        let policies = self.policies.borrow();
        for warning in &policies.warnings {
            tracing::warn!("policy: {warning}");
        }
        self.metrics.policies_stale.set(0.0);
        self.metrics.policy_set(&policies.hash).set(1.0);
        self.health.set_ready(Component::Policies, true, "");
        let intel = self.intel.borrow();
        for name in ListName::ALL {
            let entries = intel.status(name).map(|list| list.entries);
            let list = name.as_str();
            self.metrics
                .intel_entries(list)
                .set(entries.unwrap_or(0) as f64);
            if entries.is_none() {
                tracing::warn!(list, "no such list is configured: its signals stay silent");
            }
        }
    }
}
