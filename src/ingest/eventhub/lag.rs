//! How far behind each partition is, for the metric and for `evictd status`.
//!
//! Invariant: silence is never taken for idleness. A partition's lag is 0 only
//! when its own properties said that we have all of it; when nothing is heard
//! beyond the time in which a check is due, the lag grows by the second, so an
//! alert on it also catches a receiver that is stuck.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::Gauge;
use serde::{Deserialize, Serialize};

use crate::telemetry::Metrics;

/// What the receiver of a partition is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Connecting and finding the beginning.
    Opening,
    /// Attached, taking messages.
    Reading,
    /// Waiting before the next attempt, after an error or silence.
    Waiting,
    /// Waiting because another reader has the partition.
    Stolen,
    /// Waiting because the broker or Entra ID refuses us.
    Unauthorized,
}

impl LinkState {
    /// The name used in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Reading => "reading",
            Self::Waiting => "waiting",
            Self::Stolen => "stolen",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// One partition, as `evictd status` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// The event hub.
    pub hub: Arc<str>,
    /// The partition id.
    pub partition: Arc<str>,
    /// What its receiver is doing.
    pub state: LinkState,
    /// The last sequence number handed on; `None` before the beginning is known.
    pub sequence: Option<i64>,
    /// Messages known to be unread; it was true at `contact_at`.
    pub behind: u64,
    /// How old the oldest unread message may be, in seconds.
    pub lag_seconds: f64,
    /// When the partition was last heard of: a message, or its properties.
    pub contact_at: Option<Timestamp>,
}

/// All partitions of a daemon. Each has one slot for good; there are as many
/// as the hubs have partitions.
#[derive(Debug)]
pub struct LagBoard {
    metrics: Arc<Metrics>,
    slots: Mutex<BTreeMap<Place, Arc<Slot>>>,
}

/// A hub and a partition of it.
type Place = (Arc<str>, Arc<str>);

/// One partition's place on the board, written by its receiver.
#[derive(Debug)]
pub(super) struct Slot {
    gauge: Gauge,
    entry: Mutex<Entry>,
}

#[derive(Debug)]
struct Entry {
    state: LinkState,
    sequence: Option<i64>,
    /// The newest sequence number known to exist.
    newest: Option<i64>,
    contact_at: Option<Timestamp>,
    /// What the lag is counted from while there was no contact.
    watched_from: Timestamp,
    /// The lag at the last contact.
    lag: Duration,
    /// Whether the lag stands until the next contact is due: not after a broken
    /// link, nor while messages of unknown age are unread.
    stands: bool,
    /// How long it stands.
    stands_for: Duration,
}

impl LagBoard {
    /// An empty board that publishes to `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            slots: Mutex::default(),
        })
    }

    /// Sets `evictd_ingest_lag_seconds` of every partition; a ticker calls it
    /// each second.
    pub fn publish(&self, now: Timestamp) {
        for slot in lock(&self.slots).values() {
            slot.gauge.set(lock(&slot.entry).lag_at(now).as_secs_f64());
        }
    }

    /// Every partition, by hub and partition id.
    pub fn snapshot(&self, now: Timestamp) -> Vec<PartitionStatus> {
        let slots = lock(&self.slots);
        let status = |((hub, partition), slot): (&Place, &Arc<Slot>)| {
            let entry = lock(&slot.entry);
            PartitionStatus {
                hub: Arc::clone(hub),
                partition: Arc::clone(partition),
                state: entry.state,
                sequence: entry.sequence,
                behind: entry.behind(),
                lag_seconds: entry.lag_at(now).as_secs_f64(),
                contact_at: entry.contact_at,
            }
        };
        slots.iter().map(status).collect()
    }

    /// Whether every partition is being read; if not, a line for `/readyz`.
    ///
    /// # Errors
    /// How many are not, and the first of them, e.g. `2 of 8 partitions are
    /// not being read; signins/3: unauthorized`.
    pub fn health(&self) -> Result<(), String> {
        let slots = lock(&self.slots);
        let state = |slot: &Slot| lock(&slot.entry).state;
        let mut unread = slots
            .iter()
            .map(|(key, slot)| (key, state(slot)))
            .filter(|(_, state)| *state != LinkState::Reading);
        let Some(((hub, partition), state)) = unread.next() else {
            return match slots.len() {
                0 => Err("no partition is known yet".into()),
                _ => Ok(()),
            };
        };
        Err(format!(
            "{} of {} partitions are not being read; {hub}/{partition}: {}",
            1 + unread.count(),
            slots.len(),
            state.as_str()
        ))
    }

    /// A partition's slot. `stands_for` is the time in which a contact is due.
    pub(super) fn slot(
        &self,
        hub: &Arc<str>,
        partition: &Arc<str>,
        stands_for: Duration,
        now: Timestamp,
    ) -> Arc<Slot> {
        let key = (Arc::clone(hub), Arc::clone(partition));
        let make = || {
            Arc::new(Slot {
                gauge: self.metrics.ingest_lag(hub, partition),
                entry: Mutex::new(Entry {
                    state: LinkState::Opening,
                    sequence: None,
                    newest: None,
                    contact_at: None,
                    watched_from: now,
                    lag: Duration::ZERO,
                    stands: false,
                    stands_for,
                }),
            })
        };
        Arc::clone(lock(&self.slots).entry(key).or_insert_with(make))
    }
}

impl Slot {
    /// The receiver does something else.
    pub(super) fn set_state(&self, state: LinkState) {
        let mut entry = lock(&self.entry);
        entry.state = state;
        entry.stands &= state == LinkState::Reading;
    }

    /// A message was handed on.
    pub(super) fn message(&self, sequence: i64, enqueued_at: Timestamp, received_at: Timestamp) {
        let mut entry = lock(&self.entry);
        entry.sequence = Some(sequence);
        entry.newest = entry.newest.max(Some(sequence));
        entry.contact_at = Some(received_at);
        // The broker's clock may be ahead of ours.
        entry.lag = unsigned(received_at.duration_since(enqueued_at));
        entry.stands = true;
    }

    /// The partition's properties came: we are at `sequence` and it holds
    /// messages up to `newest`.
    pub(super) fn properties(&self, sequence: i64, newest: i64, now: Timestamp) {
        let mut entry = lock(&self.entry);
        // While messages are unread, the properties say nothing of their age:
        // the lag grows on from the last contact. So it does while we are
        // beyond the partition's end, which proves nothing.
        entry.stands = newest == sequence;
        if entry.stands {
            entry.lag = Duration::ZERO;
            entry.contact_at = Some(now);
        }
        entry.sequence = Some(sequence);
        entry.newest = Some(newest);
    }
}

impl Entry {
    fn behind(&self) -> u64 {
        match (self.newest, self.sequence) {
            (Some(newest), Some(sequence)) => {
                u64::try_from(newest.saturating_sub(sequence)).unwrap_or(0)
            }
            _ => 0,
        }
    }

    fn lag_at(&self, now: Timestamp) -> Duration {
        let Some(contact) = self.contact_at else {
            return unsigned(now.duration_since(self.watched_from));
        };
        let silent = unsigned(now.duration_since(contact));
        if self.stands && silent <= self.stands_for {
            self.lag
        } else {
            self.lag.saturating_add(silent)
        }
    }
}

fn unsigned(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or(Duration::ZERO)
}

/// Each value is written whole, so a panic elsewhere leaves none half made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDS_FOR: Duration = Duration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn board() -> (Arc<LagBoard>, Arc<Slot>) {
        let board = LagBoard::new(Metrics::new().unwrap());
        let slot = board.slot(&"signins".into(), &"0".into(), STANDS_FOR, at(0));
        (board, slot)
    }

    fn lag(board: &LagBoard, second: i64) -> f64 {
        board.snapshot(at(second))[0].lag_seconds
    }

    #[test]
    fn before_the_first_contact_the_lag_grows_from_the_start() {
        let (board, slot) = board();
        assert_eq!(lag(&board, 7), 7.0);
        slot.set_state(LinkState::Reading);
        assert_eq!(lag(&board, 8), 8.0);
    }

    #[test]
    fn a_message_sets_the_lag_and_silence_makes_it_grow() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        slot.message(4, at(7), at(10));
        assert_eq!(lag(&board, 10), 3.0);
        assert_eq!(lag(&board, 70), 3.0);
        assert_eq!(lag(&board, 71), 64.0);
        slot.properties(4, 4, at(71));
        assert_eq!(lag(&board, 72), 0.0);
        assert_eq!(lag(&board, 132), 61.0);
    }

    #[test]
    fn unread_messages_keep_the_lag_growing() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        slot.properties(4, 9, at(20));
        assert_eq!(lag(&board, 30), 30.0);
        assert_eq!(board.snapshot(at(30))[0].behind, 5);
        slot.message(5, at(28), at(30));
        assert_eq!(lag(&board, 30), 2.0);
        assert_eq!(board.snapshot(at(30))[0].behind, 4);
    }

    #[test]
    fn a_broken_link_makes_the_lag_grow_at_once() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        slot.properties(4, 4, at(10));
        slot.set_state(LinkState::Waiting);
        assert_eq!(lag(&board, 15), 5.0);
        slot.set_state(LinkState::Reading);
        assert_eq!(lag(&board, 16), 6.0);
        slot.properties(4, 9, at(17));
        assert_eq!(lag(&board, 17), 7.0);
        slot.properties(4, 4, at(18));
        assert_eq!(lag(&board, 18), 0.0);
    }

    #[test]
    fn a_broker_whose_clock_is_ahead_makes_no_negative_lag() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        slot.message(4, at(12), at(10));
        assert_eq!(lag(&board, 10), 0.0);
    }

    #[test]
    fn health_names_the_first_partition_that_is_not_read() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        assert_eq!(board.health(), Ok(()));
        let other = board.slot(&"signins".into(), &"1".into(), STANDS_FOR, at(0));
        other.set_state(LinkState::Unauthorized);
        let expected = "1 of 2 partitions are not being read; signins/1: unauthorized";
        assert_eq!(board.health(), Err(expected.into()));
    }

    #[test]
    fn the_gauge_holds_what_was_published() {
        let (board, slot) = board();
        slot.set_state(LinkState::Reading);
        slot.message(4, at(8), at(10));
        board.publish(at(11));
        let text = board.metrics.render();
        let line = "evictd_ingest_lag_seconds{hub=\"signins\",partition=\"0\"} 2";
        assert!(text.contains(line), "{text}");
    }
}
