//! Who reads a partition: epochs, theft and seats.
//!
//! Invariant, per consumer group: at most one reader with an epoch, and while
//! it sits nobody without one; otherwise at most five readers. A reader that
//! must go is told through its seat, exactly once; a seat dropped for any
//! reason is free again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::refusal::{LIMIT_EXCEEDED, Refusal, STOLEN};

/// Readers without an epoch allowed on a partition per consumer group:
/// <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
const NON_EPOCH_READERS_MAX: usize = 5;

struct Reader {
    seat: u64,
    epoch: Option<i64>,
    evict: oneshot::Sender<Refusal>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    by_group: HashMap<String, Vec<Reader>>,
}

/// The readers of one partition, by consumer group.
#[derive(Clone, Default)]
pub(super) struct Readers(Arc<Mutex<Seats>>);

/// The right to read, until dropped or told otherwise.
pub(super) struct Seat {
    readers: Readers,
    group: String,
    seat: u64,
    /// Resolves when the reader must be detached, with the reason.
    pub(super) evicted: oneshot::Receiver<Refusal>,
}

impl Readers {
    /// Seats a reader, evicting those its epoch steals from.
    pub(super) fn admit(&self, group: &str, epoch: Option<i64>) -> Result<Seat, Refusal> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = seats.next;
        let present = seats.by_group.entry(group.to_owned()).or_default();
        // A reader that left without its seat being dropped yet does not count.
        present.retain(|reader| !reader.evict.is_closed());

        let highest = present.iter().filter_map(|reader| reader.epoch).max();
        match (epoch, highest) {
            (Some(epoch), Some(highest)) if epoch < highest => {
                return Err(Refusal::new(
                    STOLEN,
                    format!("a receiver with a higher epoch of '{highest}' already exists"),
                ));
            }
            (Some(epoch), _) => {
                let stolen = Refusal::new(
                    STOLEN,
                    format!("new receiver with higher epoch of '{epoch}' is created"),
                );
                evict_all(present, &stolen);
            }
            (None, Some(highest)) => {
                return Err(Refusal::new(
                    STOLEN,
                    format!(
                        "at least one receiver is created with epoch of '{highest}', \
                         and so non-epoch receiver is not allowed"
                    ),
                ));
            }
            (None, None) if present.len() >= NON_EPOCH_READERS_MAX => {
                return Err(Refusal::new(
                    LIMIT_EXCEEDED,
                    format!(
                        "exceeded the maximum number of allowed receivers per partition in a consumer group which is {NON_EPOCH_READERS_MAX}"
                    ),
                ));
            }
            (None, None) => {}
        }

        let (evict, evicted) = oneshot::channel();
        present.push(Reader { seat, epoch, evict });
        seats.next += 1;
        Ok(Seat {
            readers: self.clone(),
            group: group.to_owned(),
            seat,
            evicted,
        })
    }

    /// Tells every reader of every group to go. Returns how many there were.
    pub(super) fn evict(&self, reason: &Refusal) -> usize {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = seats.by_group.values_mut();
        groups.map(|present| evict_all(present, reason)).sum()
    }
}

/// Empties the seats. Returns how many readers were there to be told.
fn evict_all(present: &mut Vec<Reader>, reason: &Refusal) -> usize {
    present
        .drain(..)
        .filter_map(|reader| reader.evict.send(reason.clone()).ok())
        .count()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self
            .readers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = seats.by_group.get_mut(&self.group) {
            present.retain(|reader| reader.seat != self.seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seat: &mut Seat) -> Option<String> {
        seat.evicted
            .try_recv()
            .ok()
            .map(|refusal| refusal.condition)
    }

    #[test]
    fn a_higher_or_equal_epoch_steals_and_a_lower_one_is_refused() {
        for (second, steals) in [(4, false), (5, true), (6, true)] {
            let readers = Readers::default();
            let mut first = readers.admit("g", Some(5)).unwrap();
            let admitted = readers.admit("g", Some(second));
            assert_eq!(admitted.is_ok(), steals, "{second}");
            assert_eq!(
                told(&mut first),
                steals.then(|| STOLEN.to_owned()),
                "{second}"
            );
        }
    }

    #[test]
    fn an_epoch_evicts_readers_without_one_and_keeps_them_out() {
        let readers = Readers::default();
        let mut plain = readers.admit("g", None).unwrap();
        let owner = readers.admit("g", Some(0)).unwrap();
        assert_eq!(told(&mut plain).as_deref(), Some(STOLEN));
        assert!(readers.admit("g", None).is_err());
        drop(owner);
        assert!(readers.admit("g", None).is_ok());
    }

    #[test]
    fn groups_do_not_disturb_each_other() {
        let readers = Readers::default();
        let mut one = readers.admit("one", Some(1)).unwrap();
        let _other = readers.admit("other", Some(9)).unwrap();
        assert_eq!(told(&mut one), None);
    }

    #[test]
    fn the_sixth_reader_without_an_epoch_is_refused() {
        let readers = Readers::default();
        let seated: Vec<_> = (0..5).map(|_| readers.admit("g", None).unwrap()).collect();
        let sixth = readers
            .admit("g", None)
            .err()
            .map(|refusal| refusal.condition);
        assert_eq!(sixth.as_deref(), Some(LIMIT_EXCEEDED));
        drop(seated);
        assert!(readers.admit("g", None).is_ok());
    }

    #[test]
    fn eviction_reaches_every_group_and_counts_them() {
        let readers = Readers::default();
        let mut a = readers.admit("a", None).unwrap();
        let mut b = readers.admit("b", Some(1)).unwrap();
        let reason = Refusal::new("com.microsoft:server-busy", "test");
        assert_eq!(readers.evict(&reason), 2);
        assert_eq!(told(&mut a).as_deref(), Some("com.microsoft:server-busy"));
        assert_eq!(told(&mut b).as_deref(), Some("com.microsoft:server-busy"));
        assert_eq!(readers.evict(&reason), 0);
    }
}
