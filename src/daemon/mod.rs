//! Starts the stages, keeps them, and stops them in order.
//!
//! Everything that can fail at start fails before anything is read: policies,
//! lists at hand, the store, the credential, the ports. Then receivers → pipeline →
//! responder → console run until a signal, or until one of them ends early,
//! which stops the rest and the process non-zero. Stopping goes the same way,
//! each stage draining into the next, within 10 s.

mod reload;
mod stage;
mod systemd;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use azure_core::credentials::TokenCredential;
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::reload::Serving;
use self::stage::Stage;
use crate::config::{Config, VERSION};
use crate::console::control::{About, Control, Desk, Kept, Partition, Retried, RetryError};
use crate::console::health::{Component, Health};
use crate::console::pages;
use crate::history::{History, Keeper, Standing};
use crate::ingest::eventhub::{Inlet, LagBoard, receive};
use crate::ingest::{Room, Source, entra};
use crate::intel_files::{Fetcher, Refresher, at_hand};
use crate::model::UserRef;
use crate::pipeline::{Pipeline, Request};
use crate::respond::credential::{Authority, Credential};
use crate::respond::graph::{GraphClient, http_client};
use crate::respond::outbox::Responder;
use crate::store::Store;
use crate::telemetry::Metrics;

/// The whole stop: SIGTERM drains within it, and the unit allows 15 s.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// What the stages before the responder may take of it, so that requests in
/// flight keep their share.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Decoded messages between receivers and pipeline. A full channel stops the
/// receivers, whose link credit then stops the broker.
const INBOX_MESSAGES_MAX: usize = 512;
/// Bytes of their bodies, those of the batch at hand included: as many as the
/// history may have waiting.
const INBOX_BYTES_MAX: u32 = 64 << 20;
/// Requests of the console that wait for the pipeline.
const REQUESTS_MAX: usize = 16;
/// How often gauges that age by themselves are published.
const TICK: Duration = Duration::from_secs(1);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    http: SocketAddr,
    serving: Arc<Serving>,
    stages: Stages,
}

/// The tasks, in the order they stop.
#[derive(Debug)]
struct Stages {
    receivers: Stage,
    pipeline: Stage,
    history: Stage,
    responder: Stage,
    console: Stage,
    lists: Stage,
}

impl Daemon {
    /// Starts every stage.
    ///
    /// # Errors
    /// Whatever is wrong with configuration, policies, files of lists, store,
    /// credential or ports, named exactly. What is wrong with the network is not
    /// an error: receivers, responder and lists try for as long as it takes.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let health = Arc::new(Health::new(Timestamp::now()));
        let refresher = refresher(&config, Arc::clone(&metrics))?;
        let serving = Arc::new(Serving::load(
            &config,
            refresher.nudge(),
            Arc::clone(&health),
            Arc::clone(&metrics),
        )?);
        let http = http_client(config.graph.ca_file.as_deref())?;
        let credential = credential(&config, http.clone())?;
        let endpoint = config.graph.endpoint.parse().context("graph.endpoint")?;
        let graph = GraphClient::new(endpoint, http, Arc::clone(&credential))?;
        let listener = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("http.listen: cannot listen at {}", config.http.listen))?;
        let address = listener.local_addr()?;
        let store = Store::open(&config.state)
            .await
            .with_context(|| format!("state: {}", config.state.display()))?;
        let control =
            Control::bind(&config.control.socket, config.control.group.as_deref()).await?;
        let paused = store.paused().await?.is_some();
        metrics.paused.set(f64::from(u8::from(paused)));
        health.set_ready(Component::Store, true, "");
        let parts = Parts {
            paused: Arc::new(AtomicBool::new(paused)),
            wake: Arc::new(Notify::new()),
            board: LagBoard::new(Arc::clone(&metrics)),
            config: Arc::new(config),
            http: address,
            store,
            metrics,
            health,
            serving: Arc::clone(&serving),
        };
        let stages = parts
            .spawn(credential, graph, listener, control, refresher)
            .await?;
        Ok(Self {
            http: address,
            serving,
            stages,
        })
    }

    /// Where health and metrics are served.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Reads the policies again and has the lists refreshed, as SIGHUP does.
    ///
    /// # Errors
    /// When the policies do not compile; the last good ones go on serving.
    /// How a list's refresh ends is in its metrics and the log.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.serving.reload()?;
        Ok(())
    }

    /// Ends when a stage ends early, with the reason.
    pub async fn failure(&mut self) -> anyhow::Error {
        let Stages {
            receivers,
            pipeline,
            // How it goes is in the status: it never stops the rest.
            history: _,
            responder,
            console,
            lists,
        } = &mut self.stages;
        tokio::select! {
            error = receivers.ends_early() => error,
            error = pipeline.ends_early() => error,
            error = responder.ends_early() => error,
            error = console.ends_early() => error,
            error = lists.ends_early() => error,
        }
    }

    /// Stops in order: nothing more is received, what was received is
    /// committed, what is on the wire is answered, then the console goes.
    ///
    /// # Errors
    /// When a stage fails while it drains. Nothing is lost by that: the
    /// position moves only with what was committed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stages.stop(STOP_WITHIN, DRAIN_WITHIN).await
    }
}

impl Stages {
    /// Stops them all within `whole`, those before the responder within
    /// `drain` of it or little more.
    async fn stop(self, whole: Duration, drain: Duration) -> anyhow::Result<()> {
        let began = tokio::time::Instant::now();
        let deadline = began + whole;
        let left = || deadline.saturating_duration_since(tokio::time::Instant::now());
        let Self {
            receivers,
            pipeline,
            history,
            responder,
            console,
            lists,
        } = self;
        let mut outcome = Ok(());
        // The receivers hold the only senders; when they are gone the pipeline
        // finishes what the channel still holds and ends.
        outcome = outcome.and(receivers.stop(drain).await);
        // What the receivers left of the time, but never nothing: a commit
        // takes some milliseconds.
        let commit = drain.saturating_sub(began.elapsed()).max(drain / 5);
        outcome = outcome.and(pipeline.stop(commit).await);
        // Its input has ended with the pipeline; what waits is some megabytes.
        outcome = outcome.and(history.stop(drain / 5).await);
        outcome = outcome.and(responder.stop(left()).await);
        outcome = outcome.and(console.stop(left().max(Duration::from_millis(500))).await);
        // Whatever it is at, it may be cut off: a version is kept whole or not.
        outcome.and(lists.stop(Duration::from_millis(500)).await)
    }
}

/// What the stages are made of.
struct Parts {
    config: Arc<Config>,
    http: SocketAddr,
    store: Store,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    serving: Arc<Serving>,
    board: Arc<LagBoard>,
    paused: Arc<AtomicBool>,
    wake: Arc<Notify>,
}

impl Parts {
    async fn spawn(
        self,
        credential: Arc<Credential>,
        graph: GraphClient,
        listener: TcpListener,
        control: Control,
        refresher: Refresher,
    ) -> anyhow::Result<Stages> {
        let (out, inbox) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (ask, requests) = mpsc::channel(REQUESTS_MAX);
        let positions = self.store.positions().await?;
        let positions = positions
            .into_iter()
            .map(|p| Source {
                hub: p.hub,
                partition: p.partition,
                sequence: p.sequence,
            })
            .collect();
        let (keeper, history) = self.history()?;
        let standing = history.as_ref().map(History::watch);
        let inlet = Inlet {
            config: Arc::new(self.config.event_hubs.clone()),
            credential: credential as Arc<dyn TokenCredential>,
            decode: entra::decode_enqueued,
            bodies: history.is_some().then(|| Room::new(INBOX_BYTES_MAX)),
            out,
            metrics: Arc::clone(&self.metrics),
            board: Arc::clone(&self.board),
        };
        let pipeline = Pipeline {
            store: self.store.clone(),
            policies: self.serving.policies(),
            intel: refresher.intel(),
            history: keeper,
            inbox,
            requests,
            wake: Arc::clone(&self.wake),
            paused: Arc::clone(&self.paused),
            health: Arc::clone(&self.health),
            metrics: Arc::clone(&self.metrics),
        };
        let policies = self.serving.policies();
        let responder = Responder {
            store: self.store.clone(),
            graph,
            guard: Arc::new(move |user: &UserRef| policies.borrow().guard.before_call(user)),
            metrics: Arc::clone(&self.metrics),
            paused: Arc::clone(&self.paused),
        };
        let wake = Arc::clone(&self.wake);
        let token = CancellationToken::new;
        let stop = token();
        let receivers = Stage::spawn("receivers", stop.clone(), receive(inlet, positions, stop));
        let pipeline = Stage::spawn("pipeline", token(), pipeline.run()).that_ends_with_its_input();
        let history = Stage::spawn("history", token(), async move {
            match history {
                Some(history) => history.finished().await,
                None => Ok(()),
            }
        });
        let stop = token();
        let responder = Stage::spawn("responder", stop.clone(), async move {
            responder.run(stop, wake).await;
            Ok(())
        });
        let stop = token();
        let lists = Stage::spawn("lists", stop.clone(), async move {
            refresher.run(stop).await;
            Ok(())
        });
        let stop = token();
        let console = Stage::spawn(
            "console",
            stop.clone(),
            self.console(listener, control, ask, standing, stop),
        );
        Ok(Stages {
            receivers,
            pipeline,
            history,
            responder,
            console,
            lists,
        })
    }

    /// The thread that keeps what is received, unless it is switched off.
    fn history(&self) -> anyhow::Result<(Keeper, Option<History>)> {
        let metrics = Arc::clone(&self.metrics);
        let started = History::start(&self.config.state, self.config.history, metrics);
        Ok(match started.context("a thread for the history")? {
            Some((keeper, history)) => (keeper, Some(history)),
            None => (Keeper::off(), None),
        })
    }

    /// The pages, the control socket, the watchdog, the gauges that age and
    /// the policies' folder.
    async fn console(
        self,
        listener: TcpListener,
        control: Control,
        ask: mpsc::Sender<Request>,
        standing: Option<impl Fn() -> Standing + Send + Sync + 'static>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let health = Arc::clone(&self.health);
        let serve_pages = pages::serve(listener, health, Arc::clone(&self.metrics), stop.clone());
        let tick = tick(
            Arc::clone(&self.board),
            Arc::clone(&self.health),
            self.config.event_hubs.hubs.len(),
            stop.clone(),
        );
        let watchdog = systemd::watchdog(Arc::clone(&self.health), stop.clone());
        let follow = Arc::clone(&self.serving).follow(stop.clone());
        let serve_control = control.serve(self.desk(ask, standing), stop);
        let (pages, control, (), (), ()) =
            tokio::join!(serve_pages, serve_control, tick, watchdog, follow);
        pages.context("the health and metrics listener")?;
        control.context("the control socket")
    }

    fn desk(
        self,
        ask: mpsc::Sender<Request>,
        standing: Option<impl Fn() -> Standing + Send + Sync + 'static>,
    ) -> Desk {
        let days = self.config.history.days;
        let since = Timestamp::now();
        let policies = self.serving.policies();
        let board = self.board;
        let http = self.http.to_string();
        let (serving, stale, told) = (
            Arc::clone(&self.serving),
            Arc::clone(&self.serving),
            self.serving,
        );
        Desk {
            store: self.store,
            wake: self.wake,
            paused: self.paused,
            health: self.health,
            metrics: self.metrics,
            about: Box::new(move || About {
                version: VERSION.to_owned(),
                since,
                http: http.clone(),
                policy_set: policies.borrow().hash.to_string(),
                policies_stale: stale.is_stale(),
                partitions: board
                    .snapshot(Timestamp::now())
                    .into_iter()
                    .map(shown)
                    .collect(),
                history: standing.as_ref().map(|standing| kept(days, standing())),
            }),
            retry: Box::new(move |id| retry(ask.clone(), id).boxed()),
            reload: Box::new(move || serving.reload().map_err(|errors| errors.to_string())),
            policies: Box::new(move || told.status()),
        }
    }
}

fn shown(status: crate::ingest::eventhub::PartitionStatus) -> Partition {
    Partition {
        hub: status.hub.to_string(),
        partition: status.partition.to_string(),
        state: status.state.as_str().to_owned(),
        sequence: status.sequence,
        lag_seconds: status.lag_seconds,
    }
}

fn kept(days: u32, standing: Standing) -> Kept {
    Kept {
        days,
        bytes: standing.bytes,
        since: standing.since,
        failing: standing.failing,
    }
}

async fn retry(ask: mpsc::Sender<Request>, id: i64) -> Result<Retried, RetryError> {
    let stopping = || RetryError::Failed("the daemon is stopping".to_owned());
    let (reply, answer) = oneshot::channel();
    ask.send(Request::Retry { id, reply })
        .await
        .map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?
}

async fn tick(board: Arc<LagBoard>, health: Arc<Health>, hubs: usize, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    let mut told = String::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                let now = Timestamp::now();
                board.publish(now);
                report(&board, &health, hubs, now);
                tell(&health, &mut told);
            }
        }
    }
}

/// Tells systemd, and so `systemctl status`, when readiness changes.
fn tell(health: &Health, told: &mut String) {
    let unready: Vec<String> = health
        .unready()
        .into_iter()
        .map(|(component, reason)| format!("{component:?}: {reason}"))
        .collect();
    let status = if unready.is_empty() {
        "reading and judging".to_owned()
    } else {
        format!("not ready: {}", unready.join("; "))
    };
    if *told != status {
        systemd::status(&status);
        *told = status;
    }
}

/// Receivers are ready when every hub's partitions are known and attached.
fn report(board: &LagBoard, health: &Health, hubs: usize, now: Timestamp) {
    let partitions = board.snapshot(now);
    let mut known: Vec<&str> = partitions.iter().map(|p| &*p.hub).collect();
    known.dedup();
    let attached = board.health();
    match attached {
        Ok(()) if known.len() == hubs => health.set_ready(Component::Receivers, true, ""),
        Ok(()) => health.set_ready(
            Component::Receivers,
            false,
            "asking Event Hubs for the partitions",
        ),
        Err(reason) => health.set_ready(Component::Receivers, false, &reason),
    }
}

fn refresher(config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Refresher> {
    let now = Timestamp::now();
    let lists = at_hand(&config.intel, &config.state, now)?;
    let fetcher = Fetcher::new(config.graph.ca_file.as_deref())?;
    Ok(Refresher::new(lists, fetcher, metrics, now))
}

fn credential(config: &Config, http: reqwest::Client) -> anyhow::Result<Arc<Credential>> {
    let host = match &config.graph.authority {
        Some(authority) => Some(authority.parse().context("graph.authority")?),
        None => None,
    };
    let authority = Authority {
        tenant_id: Some(config.tenant.clone()),
        host,
    };
    Ok(Credential::new(config.credential.clone(), authority, http)?)
}

/// `evictd run`: starts, obeys signals, stops.
///
/// # Errors
/// When it cannot start, when a stage ends early, or when a stop does not drain.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let summary = config.to_string();
    let mut daemon = Daemon::start(config).await.context("cannot start")?;
    tracing::info!(version = VERSION, http = %daemon.http(), "evictd runs: {summary}");
    systemd::ready(&summary);
    let failure = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = hangup.recv() => {
                systemd::reloading();
                let status = match daemon.reload() {
                    Ok(()) => summary.clone(),
                    Err(_) => format!("{summary}; the last reload failed, see the log"),
                };
                systemd::ready(&status);
            }
            error = daemon.failure() => break Some(error),
        }
    };
    systemd::stopping();
    tracing::info!("stopping: draining what was received");
    let stopped = daemon.stop().await;
    match failure {
        Some(error) => Err(error),
        None => stopped,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test]
    async fn requests_in_flight_keep_their_share_of_a_stop_whatever_hangs_before_them() {
        let stuck = |name| Stage::spawn(name, CancellationToken::new(), std::future::pending());
        let answered = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let (told, done) = (stop.clone(), Arc::clone(&answered));
        let responder = Stage::spawn("responder", stop, async move {
            told.cancelled().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            done.store(true, Ordering::Relaxed);
            Ok(())
        });
        let stages = Stages {
            receivers: stuck("receivers"),
            pipeline: stuck("pipeline"),
            history: stuck("history"),
            responder,
            console: stuck("console"),
            lists: stuck("lists"),
        };
        let (whole, drain) = (Duration::from_secs(1), Duration::from_millis(500));
        let error = stages.stop(whole, drain).await.unwrap_err();
        assert!(
            error.to_string().starts_with("receivers did not drain"),
            "{error}"
        );
        assert!(answered.load(Ordering::Relaxed), "cut off in flight");
    }
}
