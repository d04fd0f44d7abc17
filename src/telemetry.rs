//! Metrics and logs.
//!
//! One [`Metrics`] for a daemon, made with its own recorder, so that two
//! daemons in one process (as in the tests) do not mix. Handles are cached:
//! a counter through its handle costs a tenth of a macro with labels
//! (performance.md). Invariant: every label takes its values from a closed
//! set or from configuration; never a user, an address or a session.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tracing_subscriber::EnvFilter;

use crate::model::{ActionKind, ActionState, Effect, GuardReason, ProofOutcome};

/// Buckets of `evictd_response_seconds`: from a loopback hop to the two days
/// that an offline risk event may lag.
const RESPONSE_BUCKETS: [f64; 20] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3600.0, 21_600.0, 172_800.0,
];

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The stages of a response, each a label of `evictd_response_seconds`.
#[derive(Debug, Clone)]
pub struct ResponseStages {
    /// Event happened → enqueued by Event Hubs.
    pub source: Histogram,
    /// Enqueued → received by us.
    pub transport: Histogram,
    /// Received → decision committed.
    pub decision: Histogram,
    /// Committed → request sent to Graph.
    pub dispatch: Histogram,
    /// Sent → acknowledged.
    pub graph: Histogram,
    /// Enqueued → acknowledged: what evictd answers for.
    pub reaction: Histogram,
    /// Event → acknowledged: what the thief had.
    pub total: Histogram,
}

/// Every metric of the daemon. `docs/operations.md` lists them for operators.
#[derive(Debug)]
pub struct Metrics {
    recorder: PrometheusRecorder,
    /// `evictd_response_seconds{stage}`.
    pub response: ResponseStages,
    /// `evictd_commit_seconds`: one commit of the pipeline.
    pub commit_seconds: Histogram,
    /// `evictd_duplicates_total`: records recognised as delivered before.
    pub duplicates: Counter,
    /// `evictd_quarantined_total`: records put in quarantine.
    pub quarantined: Counter,
    /// `evictd_quarantine_dropped_total`: the oldest dropped at the bound.
    pub quarantine_dropped: Counter,
    /// `evictd_quarantine_records`: records in quarantine now.
    pub quarantine_records: Gauge,
    /// `evictd_commit_failures_total`: commits that failed and are tried again.
    pub commit_failures: Counter,
    /// `evictd_history_bytes`: bytes of kept records on disk.
    pub history_bytes: Gauge,
    /// `evictd_history_failures_total`: messages that were judged and not kept.
    pub history_failures: Counter,
    /// `evictd_memory_cached_users`: users whose memory is in RAM.
    pub memory_cached_users: Gauge,
    /// `evictd_surroundings_entries{kind}`, `kind` common: countries, networks
    /// and applications of the tenant that are remembered.
    pub surroundings_common: Gauge,
    /// The same, `kind` address: addresses from which sign-ins failed.
    pub surroundings_addresses: Gauge,
    /// `evictd_pipeline_queue_depth`: decoded messages waiting.
    pub pipeline_queue_depth: Gauge,
    /// `evictd_paused`: 1 while a human has paused effects.
    pub paused: Gauge,
    /// `evictd_policies_stale`: 1 while the files on disk do not compile and
    /// the last good set serves.
    pub policies_stale: Gauge,
    policies_serve: Mutex<String>,
}

impl Metrics {
    /// Makes the recorder and registers every metric with its description.
    ///
    /// # Errors
    /// When the bucket tables are refused, which a test would show.
    pub fn new() -> anyhow::Result<Arc<Self>> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Full("evictd_response_seconds".into()),
                &RESPONSE_BUCKETS,
            )
            .and_then(|b| {
                b.set_buckets_for_metric(
                    Matcher::Suffix("_seconds".into()),
                    &RESPONSE_BUCKETS[..15],
                )
            })
            .context("metric buckets")?
            .build_recorder();
        describe(&recorder);
        let stage = |name| histogram(&recorder, "evictd_response_seconds", &[("stage", name)]);
        let response = ResponseStages {
            source: stage("source"),
            transport: stage("transport"),
            decision: stage("decision"),
            dispatch: stage("dispatch"),
            graph: stage("graph"),
            reaction: stage("reaction"),
            total: stage("total"),
        };
        let metrics = Self {
            response,
            commit_seconds: histogram(&recorder, "evictd_commit_seconds", &[]),
            duplicates: counter(&recorder, "evictd_duplicates_total", &[]),
            quarantined: counter(&recorder, "evictd_quarantined_total", &[]),
            quarantine_dropped: counter(&recorder, "evictd_quarantine_dropped_total", &[]),
            quarantine_records: gauge(&recorder, "evictd_quarantine_records", &[]),
            commit_failures: counter(&recorder, "evictd_commit_failures_total", &[]),
            history_bytes: gauge(&recorder, "evictd_history_bytes", &[]),
            history_failures: counter(&recorder, "evictd_history_failures_total", &[]),
            memory_cached_users: gauge(&recorder, "evictd_memory_cached_users", &[]),
            surroundings_common: gauge(
                &recorder,
                "evictd_surroundings_entries",
                &[("kind", "common")],
            ),
            surroundings_addresses: gauge(
                &recorder,
                "evictd_surroundings_entries",
                &[("kind", "address")],
            ),
            pipeline_queue_depth: gauge(&recorder, "evictd_pipeline_queue_depth", &[]),
            paused: gauge(&recorder, "evictd_paused", &[]),
            policies_stale: gauge(&recorder, "evictd_policies_stale", &[]),
            policies_serve: Mutex::new(String::new()),
            recorder,
        };
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        gauge(&metrics.recorder, "evictd_build_info", &build).set(1.0);
        // A series that appears with its first event has no rate: those that
        // alerts watch begin at zero.
        for reason in GuardReason::ALL {
            metrics.guard(reason, "demoted").increment(0);
            metrics.guard(reason, "refused").increment(0);
        }
        for effect in [Effect::Shadow, Effect::Ask, Effect::Act] {
            metrics.decisions(effect).increment(0);
        }
        for outcome in ProofOutcome::ALL {
            metrics.containments(outcome).increment(0);
        }
        metrics.policy_reloads("ok").increment(0);
        metrics.policy_reloads("failed").increment(0);
        for state in ActionState::ALL {
            metrics.outbox_depth(state).set(0.0);
        }
        Ok(Arc::new(metrics))
    }

    /// The exposition text for `/metrics`.
    pub fn render(&self) -> String {
        let handle = self.recorder.handle();
        handle.run_upkeep();
        let mut text = handle.render();
        let serving = self
            .policies_serve
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !serving.is_empty() {
            text.push_str(&format!(
                "# HELP {POLICIES_INFO} {POLICIES_INFO_HELP}\n# TYPE {POLICIES_INFO} gauge\n\
                 {POLICIES_INFO}{{hash=\"{}\"}} 1\n",
                *serving
            ));
        }
        text
    }

    /// `evictd_records_total{category,result}`; `category` must come from the
    /// decoder's closed list, `result` is `event`, `passed_over` or `quarantined`.
    pub fn records(&self, category: &'static str, result: &'static str) -> Counter {
        self.counter(
            "evictd_records_total",
            &[("category", category), ("result", result)],
        )
    }

    /// `evictd_signals_total{signal}`; the caller maps names outside the
    /// catalogue to `risk.other`.
    pub fn signals(&self, signal: &str) -> Counter {
        self.counter("evictd_signals_total", &[("signal", signal)])
    }

    /// `evictd_decisions_total{effect}`, after the guard.
    pub fn decisions(&self, effect: Effect) -> Counter {
        self.counter("evictd_decisions_total", &[("effect", effect.as_str())])
    }

    /// `evictd_guard_total{reason,verdict}`; `verdict` is `demoted`, `refused` or `held`.
    pub fn guard(&self, reason: GuardReason, verdict: &'static str) -> Counter {
        self.counter(
            "evictd_guard_total",
            &[("reason", reason.as_str()), ("verdict", verdict)],
        )
    }

    /// `evictd_actions_total{action,outcome}`; `outcome` is a name of
    /// `respond`'s typed outcomes.
    pub fn actions(&self, kind: ActionKind, outcome: &'static str) -> Counter {
        self.counter(
            "evictd_actions_total",
            &[("action", kind.as_str()), ("outcome", outcome)],
        )
    }

    /// `evictd_containments_total{outcome}`: evictions proven or evaded, each
    /// counted once a revoke.
    pub fn containments(&self, outcome: ProofOutcome) -> Counter {
        self.counter(
            "evictd_containments_total",
            &[("outcome", outcome.as_str())],
        )
    }

    /// `evictd_outbox_depth{state}`.
    pub fn outbox_depth(&self, state: ActionState) -> Gauge {
        gauge(
            &self.recorder,
            "evictd_outbox_depth",
            &[("state", state.as_str())],
        )
    }

    /// `evictd_throttle_wait_seconds{lane}`: waiting for our own quota.
    pub fn throttle_wait(&self, lane: &'static str) -> Histogram {
        histogram(
            &self.recorder,
            "evictd_throttle_wait_seconds",
            &[("lane", lane)],
        )
    }

    /// `evictd_graph_throttled_total{lane}`: 429 answers.
    pub fn graph_throttled(&self, lane: &'static str) -> Counter {
        self.counter("evictd_graph_throttled_total", &[("lane", lane)])
    }

    /// `evictd_graph_requests_total{lane}`: requests sent.
    pub fn graph_requests(&self, lane: &'static str) -> Counter {
        self.counter("evictd_graph_requests_total", &[("lane", lane)])
    }

    /// `evictd_ingest_lag_seconds{hub,partition}`: how old the oldest unread
    /// message may be.
    pub fn ingest_lag(&self, hub: &str, partition: &str) -> Gauge {
        gauge(
            &self.recorder,
            "evictd_ingest_lag_seconds",
            &[("hub", hub), ("partition", partition)],
        )
    }

    /// `evictd_ingest_reopened_total{hub,reason}`; `reason` is `error`,
    /// `silent`, `stolen` or `unauthorized`.
    pub fn ingest_reopened(&self, hub: &str, reason: &'static str) -> Counter {
        self.counter(
            "evictd_ingest_reopened_total",
            &[("hub", hub), ("reason", reason)],
        )
    }

    /// `evictd_ingest_lost_total{hub}`: messages that retention dropped before
    /// they were read.
    pub fn ingest_lost(&self, hub: &str) -> Counter {
        self.counter("evictd_ingest_lost_total", &[("hub", hub)])
    }

    /// `evictd_policy_reloads_total{result}`; `result` is `ok` or `failed`.
    pub fn policy_reloads(&self, result: &'static str) -> Counter {
        self.counter("evictd_policy_reloads_total", &[("result", result)])
    }

    /// `evictd_policies_info{hash}` 1: the set that serves, and that alone. A
    /// gauge of the recorder would leave a series behind for each set before.
    pub fn policies_serve(&self, hash: &str) {
        let mut serving = self
            .policies_serve
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        hash.clone_into(&mut serving);
    }

    /// `evictd_intel_entries{list}`: entries of an intelligence list; 0 when
    /// it is missing, which means "unknown".
    pub fn intel_entries(&self, list: &'static str) -> Gauge {
        gauge(&self.recorder, "evictd_intel_entries", &[("list", list)])
    }

    /// `evictd_intel_refreshes_total{list,outcome}`; `outcome` is `changed`,
    /// `unchanged`, `failed`, `refused` or `unkept`.
    pub fn intel_refreshes(&self, list: &'static str, outcome: &'static str) -> Counter {
        self.counter(
            "evictd_intel_refreshes_total",
            &[("list", list), ("outcome", outcome)],
        )
    }

    /// `evictd_intel_as_of_timestamp_seconds{list}`: when a list was last
    /// known to be true, in seconds after 1970.
    pub fn intel_as_of(&self, list: &'static str) -> Gauge {
        gauge(
            &self.recorder,
            "evictd_intel_as_of_timestamp_seconds",
            &[("list", list)],
        )
    }

    /// `evictd_intel_stale{list}`: 1 while a configured list is missing or too
    /// old to say anything.
    pub fn intel_stale(&self, list: &'static str) -> Gauge {
        gauge(&self.recorder, "evictd_intel_stale", &[("list", list)])
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        counter(&self.recorder, name, labels)
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(k, v)| Label::new(*k, (*v).to_owned()))
        .collect();
    Key::from_parts(name, labels)
}

fn counter(r: &PrometheusRecorder, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
    r.register_counter(&key(name, labels), &METADATA)
}

fn gauge(r: &PrometheusRecorder, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
    r.register_gauge(&key(name, labels), &METADATA)
}

fn histogram(
    r: &PrometheusRecorder,
    name: &'static str,
    labels: &[(&'static str, &str)],
) -> Histogram {
    r.register_histogram(&key(name, labels), &METADATA)
}

/// The name of every metric.
pub const METRIC_NAMES: [&str; 34] = {
    let mut names = [""; DESCRIPTIONS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = DESCRIPTIONS[i].1;
        i += 1;
    }
    names
};

/// Written by hand at each render: one series, whatever served before.
const POLICIES_INFO: &str = "evictd_policies_info";
const POLICIES_INFO_HELP: &str = "Always 1; the label is the hash of the policy set that serves";

/// What each metric means, for `# HELP` lines: kind, name, text.
const DESCRIPTIONS: &[(char, &str, &str)] = &[
    (
        'h',
        "evictd_response_seconds",
        "Time of each stage from the event to Graph's acknowledgement",
    ),
    (
        'h',
        "evictd_commit_seconds",
        "Time of one commit of the pipeline",
    ),
    (
        'h',
        "evictd_throttle_wait_seconds",
        "Time an action waited for our own share of Graph's quota",
    ),
    (
        'c',
        "evictd_records_total",
        "Records read, by category and what became of them",
    ),
    (
        'c',
        "evictd_duplicates_total",
        "Records recognised as delivered before",
    ),
    (
        'c',
        "evictd_quarantined_total",
        "Records that could not be decoded and are kept in quarantine",
    ),
    (
        'c',
        "evictd_quarantine_dropped_total",
        "Quarantined records dropped at the bound, oldest first",
    ),
    ('g', "evictd_quarantine_records", "Records in quarantine"),
    (
        'c',
        "evictd_commit_failures_total",
        "Commits that failed and are tried again",
    ),
    (
        'g',
        "evictd_history_bytes",
        "Bytes on disk of the records kept for backtests",
    ),
    (
        'c',
        "evictd_history_failures_total",
        "Messages that were judged and could not be kept",
    ),
    (
        'g',
        "evictd_memory_cached_users",
        "Users whose memory is held in RAM",
    ),
    (
        'g',
        "evictd_surroundings_entries",
        "What is remembered of the tenant and of addresses, by kind; at its bound the oldest go",
    ),
    (
        'g',
        "evictd_pipeline_queue_depth",
        "Decoded messages waiting for the pipeline",
    ),
    ('g', "evictd_paused", "1 while a human has paused effects"),
    (
        'g',
        "evictd_policies_stale",
        "1 while the policy files do not compile and the last good set serves",
    ),
    (
        'g',
        "evictd_build_info",
        "Always 1; the label holds the version",
    ),
    ('c', "evictd_signals_total", "Signals raised"),
    (
        'c',
        "evictd_decisions_total",
        "Decisions after the guard, by effect",
    ),
    (
        'c',
        "evictd_guard_total",
        "Decisions and calls that the guard changed, by reason",
    ),
    (
        'c',
        "evictd_actions_total",
        "Attempts at actions, by outcome",
    ),
    (
        'c',
        "evictd_containments_total",
        "Evictions that a later sign-in proved or evaded",
    ),
    (
        'g',
        "evictd_outbox_depth",
        "Actions in the outbox, by state",
    ),
    (
        'c',
        "evictd_graph_throttled_total",
        "Answers 429 from Graph",
    ),
    ('c', "evictd_graph_requests_total", "Requests sent to Graph"),
    (
        'g',
        "evictd_ingest_lag_seconds",
        "How old the oldest unread message of a partition may be",
    ),
    (
        'c',
        "evictd_ingest_reopened_total",
        "Receivers reopened, by reason",
    ),
    (
        'c',
        "evictd_ingest_lost_total",
        "Messages that retention dropped before they were read",
    ),
    (
        'c',
        "evictd_policy_reloads_total",
        "Reloads of the policies, by result",
    ),
    ('g', POLICIES_INFO, POLICIES_INFO_HELP),
    (
        'g',
        "evictd_intel_entries",
        "Entries of an intelligence list; 0 means unknown",
    ),
    (
        'c',
        "evictd_intel_refreshes_total",
        "Attempts at a newer version of an intelligence list, by outcome",
    ),
    (
        'g',
        "evictd_intel_as_of_timestamp_seconds",
        "When an intelligence list was last known to be true",
    ),
    (
        'g',
        "evictd_intel_stale",
        "1 while a configured intelligence list is missing or too old to say anything",
    ),
];

fn describe(recorder: &PrometheusRecorder) {
    for &(kind, name, text) in DESCRIPTIONS {
        let unit = name.ends_with("_seconds").then_some(Unit::Seconds);
        match kind {
            'h' => recorder.describe_histogram(name.into(), unit, text.into()),
            'c' => recorder.describe_counter(name.into(), unit, text.into()),
            _ => recorder.describe_gauge(name.into(), unit, text.into()),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line of text, for a human or the journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines to standard error. `level` is a `tracing` filter such as
/// `info` or `evictd=debug,warn`.
///
/// # Errors
/// When the filter does not parse, or logging was set up before.
pub fn init_logging(format: LogFormat, level: &str) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    // The Azure SDK and its AMQP stack log whole frames, tokens among them.
    let filter = EnvFilter::try_new(format!("{level},azure_core=error,azure_core_amqp=off,azure_messaging_eventhubs=off,fe2o3_amqp=off,azure_identity=error"))
        .with_context(|| format!("log.level: {level:?} is not a filter such as \"info\" or \"evictd=debug,warn\""))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("cannot set up logging: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_help_line_and_a_registered_stage_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.response.total.record(2.0);
        metrics.records("SignInLogs", "event").increment(1);
        metrics.ingest_lag("insights", "0").set(1.5);
        metrics.policies_serve("0011");
        metrics.policies_serve("2233");
        let text = metrics.render();
        let info: Vec<&str> = text
            .lines()
            .filter(|l| l.starts_with(POLICIES_INFO))
            .collect();
        assert_eq!(info, ["evictd_policies_info{hash=\"2233\"} 1"]);
        assert!(
            text.contains("evictd_response_seconds_bucket{stage=\"total\",le=\"2.5\"} 1"),
            "{text}"
        );
        assert!(text.contains("evictd_ingest_lag_seconds{hub=\"insights\",partition=\"0\"} 1.5"));
        for line in text.lines().filter(|l| l.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(
                DESCRIPTIONS
                    .iter()
                    .any(|(_, described, _)| *described == name),
                "{name} has no description"
            );
        }
    }
}
