//! Policies at start, at SIGHUP, on request and when their files change: they
//! are read and compiled before anything is swapped; what fails leaves what
//! serves, and is said once and stays said until it is mended. Lists refresh
//! themselves, each on its own; a reload that was asked for makes them due.
//!
//! Invariant: one attempt at a time, and what is told of it (metrics, log,
//! status) is told of the last. Nobody who only looks waits for an attempt.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::watch::{LOOK_EVERY, Watch, Why};
use crate::config::Config;
use crate::console::control::Reloaded;
use crate::console::health::{Component, Health};
use crate::console::policies::{Attempt, Bar, OnDisk, ServingPolicy, ServingSet};
use crate::policy::{Policy, PolicyErrors, PolicySet};
use crate::ruleset::{self, Listing, Places};
use crate::telemetry::Metrics;

/// What serves now, and how to replace it.
#[derive(Debug)]
pub(super) struct Serving {
    directory: Option<PathBuf>,
    policies: watch::Sender<Arc<PolicySet>>,
    refresh_lists: Arc<Notify>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    /// Held for the length of an attempt.
    attempting: Mutex<()>,
    /// Held for a moment.
    told: Mutex<Told>,
}

/// What is told of the set that serves and of the last attempt.
#[derive(Debug)]
struct Told {
    since: Timestamp,
    /// The folder as the serving set was read from it.
    loaded: Listing,
    /// The folder at the last attempt.
    tried: Listing,
    attempt: Attempt,
}

impl Serving {
    /// Loads for the first time; `refresh_lists` is notified at each reload
    /// that was asked for.
    pub(super) fn load(
        config: &Config,
        refresh_lists: Arc<Notify>,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let directory = config.policies.clone();
        let (files, policies) = load(directory.as_deref());
        let policies = policies?;
        let now = Timestamp::now();
        let serving = Self {
            directory,
            policies: watch::Sender::new(Arc::new(policies)),
            refresh_lists,
            health,
            metrics,
            attempting: Mutex::new(()),
            told: Mutex::new(Told {
                since: now,
                loaded: files.clone(),
                tried: files,
                attempt: Attempt {
                    at: now,
                    problems: Vec::new(),
                },
            }),
        };
        serving.publish();
        Ok(serving)
    }

    pub(super) fn policies(&self) -> watch::Receiver<Arc<PolicySet>> {
        self.policies.subscribe()
    }

    /// Reads the policies again, and has the lists refreshed whether or not
    /// the policies compile. Blocks.
    pub(super) fn reload(&self) -> Result<Reloaded, PolicyErrors> {
        self.refresh_lists.notify_one();
        self.attempt(Why::Asked)
    }

    /// Whether the last attempt failed, so that what serves is not what lies
    /// on the disk.
    pub(super) fn is_stale(&self) -> bool {
        !self.told().attempt.problems.is_empty()
    }

    /// Loads the policies whenever their files have changed and settled, until
    /// `stop`. Ends only then; where the shipped ones serve nothing changes.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if self.directory.is_none() {
            stop.cancelled().await;
            return;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = Watch::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let serving = Arc::clone(&self);
            // A folder on a network may hang; a stop does not wait for it.
            let looked = tokio::task::spawn_blocking(move || {
                serving.look_once(&mut watch);
                watch
            });
            tokio::select! {
                () = stop.cancelled() => return,
                looked = looked => match looked {
                    Ok(after) => watch = after,
                    Err(error) => {
                        tracing::error!(%error, "the policies' folder could not be looked at");
                        watch = Watch::default();
                    }
                },
            }
        }
    }

    fn look_once(&self, watch: &mut Watch<Listing>) {
        let (tried, failed) = {
            let told = self.told();
            (told.tried.clone(), !told.attempt.problems.is_empty())
        };
        if let Some(why) = watch.look(tried.again(), &tried, failed) {
            // How it ended is told where it is told to everybody.
            let _ = self.attempt(why);
        }
    }

    fn attempt(&self, why: Why) -> Result<Reloaded, PolicyErrors> {
        let _alone = self
            .attempting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (files, policies) = load(self.directory.as_deref());
        match policies {
            Ok(policies) => Ok(self.swap(policies, files, why)),
            Err(errors) => {
                self.keep(&errors, files, why);
                Err(errors)
            }
        }
    }

    /// The new set serves.
    fn swap(&self, policies: PolicySet, files: Listing, why: Why) -> Reloaded {
        let now = Timestamp::now();
        let before = self.policies.borrow().hash.clone();
        let changed = before != policies.hash;
        let mended = {
            let mut told = self.told();
            let mended = !told.attempt.problems.is_empty();
            if changed {
                told.since = now;
            }
            told.loaded = files.clone();
            told.tried = files;
            told.attempt = Attempt {
                at: now,
                problems: Vec::new(),
            };
            mended
        };
        let reloaded = Reloaded {
            hash: policies.hash.to_string(),
            changed,
            policies: policies.policies.len(),
            warnings: policies.warnings.iter().map(ToString::to_string).collect(),
        };
        self.policies.send_replace(Arc::new(policies));
        // A file that was touched is no news.
        if why == Why::Asked || changed || mended {
            self.metrics.policy_reloads("ok").increment(1);
            self.publish();
            tracing::info!(
                policy.set = &*reloaded.hash,
                policy.set.before = &*before,
                "reloaded"
            );
        }
        reloaded
    }

    /// What serves goes on serving. A failure that is known already is told
    /// again only to whoever asks.
    fn keep(&self, errors: &PolicyErrors, files: Listing, why: Why) {
        let problems: Vec<String> = errors.problems.iter().map(ToString::to_string).collect();
        let news = {
            let mut told = self.told();
            let news = told.attempt.problems != problems;
            told.tried = files;
            told.attempt = Attempt {
                at: Timestamp::now(),
                problems,
            };
            news
        };
        self.metrics.policies_stale.set(1.0);
        if news || why == Why::Asked {
            self.metrics.policy_reloads("failed").increment(1);
            tracing::error!(
                error = %errors,
                policy.set = &*self.policies.borrow().hash,
                "the reload failed; the last good policies serve"
            );
        }
    }

    /// What is told of the policies. Reads and compiles what lies on the disk:
    /// blocks.
    pub(super) fn status(&self) -> (ServingSet, Attempt, Option<OnDisk>) {
        let (since, loaded, attempt) = {
            let told = self.told();
            (told.since, told.loaded.clone(), told.attempt.clone())
        };
        let set = Arc::clone(&self.policies.borrow());
        let directory = self.directory.as_deref();
        let mut places = Places::default();
        let on_disk = directory.map(|directory| {
            let (now, found) = ruleset::load_listed(directory);
            places = Places::read(&now);
            let hash = found.ok().map(|set| set.hash);
            let same = hash.as_deref() == Some(&*set.hash);
            OnDisk {
                differs: if same {
                    Vec::new()
                } else {
                    loaded.differences(&now)
                },
                hash: hash.map(Into::into),
            }
        });
        let serving = ServingSet {
            hash: set.hash.to_string(),
            since,
            directory: directory.map(|directory| directory.display().to_string()),
            policies: set
                .policies
                .iter()
                .map(|policy| shown(policy, &places))
                .collect(),
        };
        (serving, attempt, on_disk)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let policies = self.policies.borrow();
        for warning in &policies.warnings {
            tracing::warn!("policy: {warning}");
        }
        self.metrics.policies_stale.set(0.0);
        self.metrics.policies_serve(&policies.hash);
        self.health.set_ready(Component::Policies, true, "");
    }
}

/// The set, and what it was read from: of the shipped policies nothing.
fn load(directory: Option<&Path>) -> (Listing, Result<PolicySet, PolicyErrors>) {
    match directory {
        Some(directory) => ruleset::load_listed(directory),
        None => (Listing::default(), ruleset::load(None)),
    }
}

fn shown(policy: &Policy, places: &Places) -> ServingPolicy {
    let name = policy.name.as_str();
    ServingPolicy {
        mode_at: places.of_mode(name),
        name: name.to_owned(),
        mode: policy.mode,
        owner: policy.owner.to_string(),
        bar: policy.promote.map(|bar| Bar {
            precision: bar.precision,
            cases: bar.cases,
        }),
    }
}
