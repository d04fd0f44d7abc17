//! What all connections share: the hubs, who may enter, faults and counters.
//!
//! Invariant: hubs, partitions and consumer groups are fixed at the start, so
//! looking one up needs no lock and a name not configured does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::address::SendTo;
use super::faults::{Counters, Faults};
use super::log::{AnyMessage, partition_key};
use super::partition::Partition;
use super::refusal::{NOT_FOUND, OUT_OF_RANGE, Refusal};
use super::{EventHubsOptions, SasKey, TokenCheck};

/// One event hub.
pub(super) struct Hub {
    pub(super) created_at: Timestamp,
    pub(super) partitions: Vec<Arc<Partition>>,
    next: AtomicUsize,
}

/// The stand-in's state.
pub(super) struct Broker {
    hubs: BTreeMap<String, Hub>,
    consumer_groups: BTreeSet<String>,
    pub(super) check_token: TokenCheck,
    pub(super) sas_key: Option<SasKey>,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
}

impl Broker {
    pub(super) fn new(options: EventHubsOptions) -> Self {
        let retained = options.retained_events_max;
        let created_at = Timestamp::now();
        let hub = |count: usize| Hub {
            created_at,
            partitions: std::iter::repeat_with(|| Arc::new(Partition::new(retained)))
                .take(count)
                .collect(),
            next: AtomicUsize::new(0),
        };
        Self {
            hubs: options
                .hubs
                .into_iter()
                .map(|(name, count)| (name, hub(count)))
                .collect(),
            consumer_groups: options.consumer_groups,
            check_token: options.check_token,
            sas_key: options.sas_key,
            faults: Faults::new(),
            counters: Counters::default(),
        }
    }

    /// A hub by its name.
    pub(super) fn hub(&self, name: &str) -> Result<&Hub, Refusal> {
        self.hubs
            .get(name)
            .ok_or_else(|| Refusal::new(NOT_FOUND, format!("no event hub '{name}'")))
    }

    /// A partition of a hub.
    pub(super) fn partition(&self, hub: &str, index: usize) -> Result<&Arc<Partition>, Refusal> {
        self.hub(hub)?.partitions.get(index).ok_or_else(|| {
            Refusal::new(
                OUT_OF_RANGE,
                format!("hub '{hub}' has no partition {index}"),
            )
        })
    }

    /// Refuses a consumer group that was not configured.
    pub(super) fn check_group(&self, group: &str) -> Result<(), Refusal> {
        if self.consumer_groups.contains(group) {
            return Ok(());
        }
        Err(Refusal::new(
            NOT_FOUND,
            format!("no consumer group '{group}'"),
        ))
    }

    /// The partition for a transfer to `to`: the one named, else the one its
    /// key hashes to, else the next in turn. The hash is stable but not
    /// Microsoft's: which partition a key lands on is no promise of theirs.
    pub(super) fn route(
        &self,
        to: &SendTo<'_>,
        transfer: &AnyMessage,
    ) -> Result<&Arc<Partition>, Refusal> {
        let hub = self.hub(to.hub)?;
        let index = match (to.partition, partition_key(transfer)) {
            (Some(index), _) => index,
            (None, Some(key)) => {
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                (hasher.finish() % hub.partitions.len() as u64) as usize
            }
            (None, None) => hub.next.fetch_add(1, Ordering::Relaxed) % hub.partitions.len(),
        };
        self.partition(to.hub, index)
    }
}
