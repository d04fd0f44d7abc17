//! The receiver: Azure Event Hubs to decoded messages.
//!
//! ```text
//! hub ──► partition ids ──► a reader each: link ─► decode ─► channel
//!  └─ asked again now and then: a hub may grow
//! ```
//!
//! Invariant: each message goes into the channel exactly once and in the order
//! of its partition, from the given positions on. The channel is the bound:
//! while it is full, readers wait, and the links' credit stops the broker. The
//! SDK's own recovery is not used because it loses and repeats messages.

mod backoff;
mod config;
mod error;
mod lag;
mod link;
mod partition;
mod start;
#[cfg(test)]
#[cfg(feature = "lab")]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use azure_core::credentials::TokenCredential;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use self::config::{EventHubsConfig, Start};
pub use self::error::EventHubsError;
pub use self::lag::{LagBoard, LinkState, PartitionStatus};

use self::backoff::Backoff;
use self::link::Link;
use self::partition::{Reader, or_stop};
use super::{Decoded, Message, Room, Source};
use crate::telemetry::Metrics;

/// How often a hub is asked whether it has grown.
const REDISCOVER: Duration = Duration::from_secs(300);
/// The most partitions a hub can have, on a Dedicated cluster
/// (learn.microsoft.com/azure/event-hubs/event-hubs-quotas).
const PARTITIONS_MAX: usize = 1024;

/// What the receiver is made of; [`receive`] consumes it.
pub struct Inlet {
    /// What to read.
    pub config: Arc<EventHubsConfig>,
    /// Who reads.
    pub credential: Arc<dyn TokenCredential>,
    /// Makes events of a message's bytes and the time it was enqueued; it runs
    /// in the partition's task.
    pub decode: fn(&[u8], Timestamp) -> Decoded,
    /// Room for the bytes of messages with an event in them; without it they
    /// are not kept.
    pub bodies: Option<Room>,
    /// Where messages go. A message without any record only marks a place: the
    /// pipeline is to store its position as it does any other.
    pub out: mpsc::Sender<Message>,
    /// Counted.
    pub metrics: Arc<Metrics>,
    /// Told how far each partition is.
    pub board: Arc<LagBoard>,
}

/// Reads every partition of every hub, each after its position, until `stop`.
/// Trouble is logged, counted and tried again for as long as it takes.
///
/// # Errors
/// When a hub or the consumer group of the configuration is not there.
pub async fn receive(
    inlet: Inlet,
    positions: Vec<Source>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if inlet.config.consumer_group == config::SHARED_GROUP {
        tracing::warn!(
            "event_hubs.consumer_group is $Default: give evictd a consumer group of its own, \
             or another tool can take its partitions away"
        );
    }
    let inlet = Arc::new(inlet);
    // When one hub fails for good, the others stop too.
    let stop = stop.child_token();
    let mut hubs = JoinSet::new();
    for hub in &inlet.config.hubs {
        let known = positions.iter().filter(|p| *p.hub == **hub);
        hubs.spawn(read_hub(
            Arc::clone(&inlet),
            hub.as_str().into(),
            known
                .map(|p| (Arc::clone(&p.partition), p.sequence))
                .collect(),
            stop.clone(),
        ));
    }
    let mut outcome = Ok(());
    while let Some(ended) = hubs.join_next().await {
        stop.cancel();
        outcome = outcome.and(ended.context("a receiver panicked").flatten());
    }
    outcome
}

/// The partitions of every configured hub: what `evictd doctor` asks to show
/// that address, credential, role and names are right.
///
/// # Errors
/// The first thing that is wrong.
pub async fn discover(
    config: &Arc<EventHubsConfig>,
    credential: &Arc<dyn TokenCredential>,
) -> Result<Vec<(String, Vec<String>)>, EventHubsError> {
    let mut found = Vec::with_capacity(config.hubs.len());
    for hub in &config.hubs {
        let partitions = partitions(config, &hub.as_str().into(), credential).await?;
        found.push((hub.clone(), partitions));
    }
    Ok(found)
}

async fn partitions(
    config: &Arc<EventHubsConfig>,
    hub: &Arc<str>,
    credential: &Arc<dyn TokenCredential>,
) -> Result<Vec<String>, EventHubsError> {
    let link = Link::open(config, hub, credential).await?;
    let found = link.partitions().await;
    link.close().await;
    found
}

/// Reads one hub: a reader for each partition, those that come later included.
async fn read_hub(
    inlet: Arc<Inlet>,
    hub: Arc<str>,
    positions: HashMap<Arc<str>, i64>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut readers = JoinSet::new();
    let mut known: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut backoff = Backoff::new();
    // Of a partition that was not there when we first looked, every message
    // is new.
    let mut start = inlet.config.start;
    let mut proven = false;
    loop {
        let discovering = partitions(&inlet.config, &hub, &inlet.credential);
        let wait = match or_stop(&stop, discovering).await {
            None => break,
            Some(Ok(found)) => {
                if found.len() > PARTITIONS_MAX {
                    tracing::error!(eventhub.name = %hub, partitions = found.len(), "more partitions than evictd reads");
                }
                for partition in found.into_iter().take(PARTITIONS_MAX) {
                    let partition: Arc<str> = partition.into();
                    if known.insert(Arc::clone(&partition)) {
                        let position = positions.get(&partition).copied();
                        let reader = Reader::new(
                            Arc::clone(&inlet),
                            Arc::clone(&hub),
                            partition,
                            position,
                            start,
                        );
                        readers.spawn(reader.run(stop.clone()));
                    }
                }
                start = Start::Earliest;
                proven = true;
                backoff = Backoff::new();
                REDISCOVER
            }
            Some(Err(error)) if error.is_not_found() && !proven => return Err(error.into()),
            Some(Err(error)) => {
                let wait = backoff.after(Duration::ZERO);
                let retry_ms = wait.as_millis();
                tracing::warn!(eventhub.name = %hub, %error, retry_ms, "cannot ask for the partitions");
                wait
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(wait) => {}
            Some(ended) = readers.join_next() => {
                // It ends well only when stopped, or when nobody listens.
                ended.context("a reader panicked")??;
                stop.cancel();
                break;
            }
        }
    }
    while let Some(ended) = readers.join_next().await {
        ended.context("a reader panicked")??;
    }
    Ok(())
}
