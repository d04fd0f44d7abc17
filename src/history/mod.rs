//! What the daemon received, kept for `policy backtest` and `policy explain`.
//!
//! One file a UTC day of arrival below `<state>/history`, one message body a
//! line, in independent zstd frames. A batch of the pipeline is handed over
//! before it is judged and is mostly on its way to disk before it is
//! committed, so that a crash repeats a message rather than loses it; the
//! engine knows records that it has judged.
//!
//! Invariant: keeping never stops judging. It happens on a thread of its own
//! behind a bounded queue; a disk that is full, slow or gone costs history,
//! which is counted, logged once and shown by `evictd status`.

mod config;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::oneshot;

pub use self::config::HistoryConfig;
use self::segment::Shelf;
pub use self::segment::segments;
use self::writer::Writer;
use crate::ingest::Message;
use crate::telemetry::Metrics;

/// Batches that wait to be written.
const QUEUE_BATCHES_MAX: usize = 64;
/// Bytes of bodies that wait to be written, unless one batch alone has more.
/// At 7 KB a record, as the benchmarks' are, it is what a tenant with 2,000
/// records a second sends in four.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a commit waits for its batch to be written. Writing takes some
/// milliseconds while the batch is judged; a disk that takes longer is not
/// waited for until it has caught up.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// A message body on its way to disk.
struct Body {
    received_at: Timestamp,
    bytes: Bytes,
    /// Whether the decoder read all of it: else it may not be JSON.
    sound: bool,
}

/// Bodies that are written together, and whom to tell.
struct Batch {
    bodies: Vec<Body>,
    bytes: usize,
    written: oneshot::Sender<()>,
}

/// How keeping goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bytes on disk.
    pub bytes: u64,
    /// The oldest day of which anything is kept.
    pub since: Option<Date>,
    /// Why what is received now is not kept, where it is not.
    pub failing: Option<String>,
}

/// What the pipeline's side and the writer's share.
#[derive(Debug)]
struct Shared {
    standing: Mutex<Standing>,
    queued_bytes: AtomicUsize,
    /// The writer was not waited for, and has not caught up since.
    behind: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn failed(&self, messages: usize, reason: &str) {
        self.metrics.history_failures.increment(messages as u64);
        let mut standing = self.lock();
        if standing.failing.is_none() {
            tracing::error!(reason, "what is received is not kept; judging goes on");
        }
        standing.failing = Some(reason.to_owned());
    }

    fn kept(&self, shelf: &Shelf) {
        self.metrics.history_bytes.set(shelf.bytes() as f64);
        let mut standing = self.lock();
        standing.bytes = shelf.bytes();
        standing.since = shelf.since();
    }

    fn works(&self) {
        if self.lock().failing.take().is_some() {
            tracing::info!("what is received is kept again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        // A standing is set whole.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the pipeline's messages. Dropping it has the writer finish.
#[derive(Debug)]
pub struct Keeper(Option<(SyncSender<Batch>, Arc<Shared>)>);

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Hands the bodies of those messages over that held an event. Never
    /// waits: where the queue is full they are dropped and counted.
    pub fn keep(&self, messages: &[Message]) -> Handed {
        let Some((out, shared)) = &self.0 else {
            return Handed(None);
        };
        let with_event = messages.iter().filter(|m| !m.content.events.is_empty());
        let bodies: Vec<Body> = with_event
            .filter_map(|message| {
                Some(Body {
                    received_at: message.received_at,
                    bytes: message.body.as_ref()?.bytes.clone(),
                    sound: message.content.quarantined.is_empty(),
                })
            })
            .collect();
        if bodies.is_empty() {
            return Handed(None);
        }
        let bytes = bodies.iter().map(|body| body.bytes.len()).sum();
        let (count, (written, told)) = (bodies.len(), oneshot::channel());
        let batch = Batch {
            bodies,
            bytes,
            written,
        };
        let queued = shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = queued == 0 || queued + bytes <= QUEUE_BYTES_MAX;
        if !fits || out.try_send(batch).is_err() {
            shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            shared.failed(
                count,
                "the disk is slower than the stream: the queue is full",
            );
            return Handed(None);
        }
        Handed(Some((told, Arc::clone(shared))))
    }
}

/// A batch that was handed over.
#[must_use = "a commit waits for it"]
pub struct Handed(Option<(oneshot::Receiver<()>, Arc<Shared>)>);

impl Handed {
    /// Waits until it is written or was given up, or for `WAIT_MAX`; not at
    /// all while the writer is known to be behind.
    pub async fn written(self) {
        let Some((told, shared)) = self.0 else { return };
        if shared.behind.load(Ordering::Acquire) {
            return;
        }
        if tokio::time::timeout(WAIT_MAX, told).await.is_err() {
            shared.behind.store(true, Ordering::Release);
        }
    }
}

/// The writer's thread.
#[derive(Debug)]
pub struct History {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

impl History {
    /// Starts the thread that keeps what the [`Keeper`] is given below
    /// `state`. A directory that cannot be used shows in [`Standing`], not
    /// here. `None` where the configuration switches it off; what was kept
    /// before then stays.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        state: &Path,
        config: HistoryConfig,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Option<(Keeper, Self)>> {
        if config.days == 0 {
            return Ok(None);
        }
        let shared = Arc::new(Shared {
            standing: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            behind: AtomicBool::new(false),
            metrics,
        });
        let (out, queue) = sync_channel(QUEUE_BATCHES_MAX);
        let (end, ended) = oneshot::channel();
        let writer = Writer {
            shelf: Shelf::new(state, config),
            queue,
            shared: Arc::clone(&shared),
        };
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody may wait any more.
                let _ = end.send(());
            })?;
        let keeper = Keeper(Some((out, Arc::clone(&shared))));
        Ok(Some((keeper, Self { shared, ended })))
    }

    /// How keeping goes, for as long as the daemon runs.
    pub fn watch(&self) -> impl Fn() -> Standing + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.lock().clone()
    }

    /// Ends once the [`Keeper`] is gone and all it took is written.
    ///
    /// # Errors
    /// When the thread panicked.
    pub async fn finished(self) -> anyhow::Result<()> {
        self.ended
            .await
            .map_err(|_| anyhow::anyhow!("the history's thread panicked"))
    }
}
