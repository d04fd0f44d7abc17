//! One partition's log: numbered events, oldest dropped first.
//!
//! Invariant: sequence numbers rise by one, offsets and enqueued times never
//! fall, and an event is encoded for its readers once, when it is appended.
//! Offsets count bytes, as in the service, so nobody mistakes one for a
//! sequence number and gets away with it.

use std::collections::VecDeque;
use std::sync::Arc;

use fe2o3_amqp::Sendable;
use fe2o3_amqp::types::messaging::annotations::OwnedKey;
use fe2o3_amqp::types::messaging::{Body, Message, MessageAnnotations};
use fe2o3_amqp::types::primitives::{Timestamp as AmqpTimestamp, Value};
use jiff::Timestamp;

use super::refusal::{ARGUMENT_ERROR, Refusal};
use super::start::Start;

/// An AMQP message with any body; the only message type the stand-in names,
/// which keeps the AMQP library's generics to one copy.
pub(super) type AnyMessage = Message<Body<Value>>;

/// The annotation that carries a partition key.
pub(super) const PARTITION_KEY: &str = "x-opt-partition-key";

/// Bytes counted for an event beyond its body: about what the service's own
/// framing takes. Only the growth of offsets depends on it.
const FRAMING_BYTES: usize = 48;

/// What the log says of an event it took in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Counts events in the partition from 0.
    pub sequence_number: i64,
    /// Where the event begins in the partition's bytes, as readers see it.
    pub offset: String,
    /// When it was taken in, to the millisecond, as on the wire.
    pub enqueued_at: Timestamp,
}

/// An event as readers get it.
pub(super) struct Event {
    pub(super) published: Published,
    offset: i64,
    pub(super) message: Sendable<Body<Value>>,
}

/// The events kept of one partition.
pub(super) struct Log {
    events: VecDeque<Arc<Event>>,
    /// The sequence number of `events[0]`, or of the next event when empty.
    first: i64,
    next_offset: i64,
    retained: usize,
}

impl Log {
    /// An empty log that keeps at most `retained` events.
    pub(super) fn new(retained: usize) -> Self {
        Self {
            events: VecDeque::new(),
            first: 0,
            next_offset: 0,
            retained: retained.max(1),
        }
    }

    /// The oldest sequence number kept.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// The sequence number the next event will get.
    pub(super) fn end(&self) -> i64 {
        self.first + self.events.len() as i64
    }

    /// The newest event, unless the log never had one.
    pub(super) fn last(&self) -> Option<&Event> {
        self.events.back().map(Arc::as_ref)
    }

    /// The event to deliver at `position`; of one dropped already, the oldest kept.
    pub(super) fn at(&self, position: i64) -> Option<Arc<Event>> {
        let index = usize::try_from(position.max(self.first) - self.first).ok()?;
        self.events.get(index).cloned()
    }

    /// Takes an event in, annotated as its readers will see it.
    pub(super) fn append(&mut self, mut message: AnyMessage, now: Timestamp) -> Published {
        let floor = self.last().map_or(now, |last| last.published.enqueued_at);
        let unix_ms = now.max(floor).as_millisecond();
        let enqueued_at = Timestamp::from_millisecond(unix_ms).unwrap_or(now);
        let published = Published {
            sequence_number: self.end(),
            offset: self.next_offset.to_string(),
            enqueued_at,
        };

        // Header and delivery annotations belong to the hop that is over.
        message.header = None;
        message.delivery_annotations = None;
        let annotations = message
            .message_annotations
            .get_or_insert_with(|| MessageAnnotations::builder().build());
        let stamps = [
            (
                "x-opt-sequence-number",
                Value::Long(published.sequence_number),
            ),
            ("x-opt-offset", Value::String(published.offset.clone())),
            (
                "x-opt-enqueued-time",
                Value::Timestamp(AmqpTimestamp::from_milliseconds(unix_ms)),
            ),
        ];
        for (name, value) in stamps {
            annotations.0.insert(OwnedKey::from(name), value);
        }

        let size = body_bytes(&message.body) + FRAMING_BYTES;
        self.events.push_back(Arc::new(Event {
            published: published.clone(),
            offset: self.next_offset,
            message: Sendable::from(message),
        }));
        self.next_offset += size as i64;
        if self.events.len() > self.retained {
            self.events.pop_front();
            self.first += 1;
        }
        published
    }

    /// The sequence number a reader that starts at `start` gets first.
    ///
    /// A sequence number beyond the end is refused, as the service does: it
    /// means the hub is not the one the reader's position came from.
    pub(super) fn resolve(&self, start: Start) -> Result<i64, Refusal> {
        match start {
            Start::Latest => Ok(self.end()),
            Start::SequenceNumber { value, inclusive } => {
                let position = value.saturating_add(i64::from(!inclusive));
                if position > self.end() {
                    let last = self.end() - 1;
                    return Err(Refusal::new(
                        ARGUMENT_ERROR,
                        format!(
                            "The supplied sequence number '{value}' is invalid. \
                             The last sequence number in the system is '{last}'"
                        ),
                    ));
                }
                Ok(position.max(self.first))
            }
            Start::Offset { value, inclusive } => {
                Ok(self.first_with(|event| event.offset, value, inclusive))
            }
            Start::EnqueuedTime { unix_ms, inclusive } => Ok(self.first_with(
                |event| event.published.enqueued_at.as_millisecond(),
                unix_ms,
                inclusive,
            )),
        }
    }

    fn first_with(&self, key: impl Fn(&Event) -> i64, bound: i64, inclusive: bool) -> i64 {
        let before = |event: &Arc<Event>| {
            let key = key(event);
            key < bound || (key == bound && !inclusive)
        };
        self.first + self.events.partition_point(before) as i64
    }
}

/// The partition key of a message, if its sender gave one.
pub(super) fn partition_key(message: &AnyMessage) -> Option<&str> {
    let annotations = message.message_annotations.as_ref()?;
    match annotations.0.get(&OwnedKey::from(PARTITION_KEY))? {
        Value::String(key) => Some(key),
        _ => None,
    }
}

fn body_bytes(body: &Body<Value>) -> usize {
    match body {
        Body::Data(sections) => sections.iter().map(|data| data.0.len()).sum(),
        // Readers of such bodies are not served by exact offsets.
        Body::Value(_) | Body::Sequence(_) | Body::Empty => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::hub::partition::data_message;

    fn log_of(times_ms: &[i64], retained: usize) -> Log {
        let mut log = Log::new(retained);
        for &time in times_ms {
            let now = Timestamp::from_millisecond(time).unwrap();
            log.append(data_message(vec![b'x'; 52]), now);
        }
        log
    }

    #[test]
    fn each_start_position_leads_to_its_event() {
        use Start::{EnqueuedTime, Latest, Offset, SequenceNumber};
        // Offsets 0, 100, 200, 300; two events share a time.
        let log = log_of(&[10, 20, 20, 30], 100);
        for (start, first) in [
            (Latest, 4),
            (
                Offset {
                    value: -1,
                    inclusive: false,
                },
                0,
            ),
            (
                Offset {
                    value: 100,
                    inclusive: false,
                },
                2,
            ),
            (
                Offset {
                    value: 100,
                    inclusive: true,
                },
                1,
            ),
            (
                Offset {
                    value: 150,
                    inclusive: true,
                },
                2,
            ),
            (
                SequenceNumber {
                    value: 2,
                    inclusive: false,
                },
                3,
            ),
            (
                SequenceNumber {
                    value: 2,
                    inclusive: true,
                },
                2,
            ),
            (
                SequenceNumber {
                    value: 3,
                    inclusive: false,
                },
                4,
            ),
            (
                SequenceNumber {
                    value: -1,
                    inclusive: false,
                },
                0,
            ),
            (
                EnqueuedTime {
                    unix_ms: 20,
                    inclusive: true,
                },
                1,
            ),
            (
                EnqueuedTime {
                    unix_ms: 20,
                    inclusive: false,
                },
                3,
            ),
            (
                EnqueuedTime {
                    unix_ms: 99,
                    inclusive: true,
                },
                4,
            ),
        ] {
            assert_eq!(log.resolve(start), Ok(first), "{start:?}");
        }
    }

    #[test]
    fn a_sequence_number_beyond_the_end_is_refused() {
        let log = log_of(&[10, 20], 100);
        for (value, inclusive, refused) in [
            (1, false, false),
            (2, true, false),
            (2, false, true),
            (3, true, true),
        ] {
            let start = Start::SequenceNumber { value, inclusive };
            assert_eq!(log.resolve(start).is_err(), refused, "{start:?}");
        }
    }

    #[test]
    fn the_oldest_are_dropped_and_a_start_before_them_gets_the_oldest_kept() {
        let log = log_of(&[1, 2, 3, 4, 5], 2);
        assert_eq!((log.first(), log.end()), (3, 5));
        let start = Start::SequenceNumber {
            value: 0,
            inclusive: true,
        };
        assert_eq!(log.resolve(start), Ok(3));
        assert_eq!(log.at(0).unwrap().published.sequence_number, 3);
        assert!(log.at(5).is_none());
    }

    #[test]
    fn enqueued_times_do_not_fall_when_the_clock_does() {
        let log = log_of(&[50, 40], 100);
        assert_eq!(
            log.last().unwrap().published.enqueued_at.as_millisecond(),
            50
        );
    }
}
