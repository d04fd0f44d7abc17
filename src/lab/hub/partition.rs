//! One partition: its log, its readers and the wake-up that joins them.
//!
//! Invariant: the end of the log is published in a watch channel after the
//! event is in the log, so a reader that waits at the end misses nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fe2o3_amqp::types::messaging::{Batch, Body, Data, Message};
use fe2o3_amqp::types::primitives::Binary;
use jiff::Timestamp;
use tokio::sync::watch;

use super::log::{AnyMessage, Event, Log, Published};
use super::readers::Readers;

/// A partition of a hub.
pub(super) struct Partition {
    log: Mutex<Log>,
    end: watch::Sender<i64>,
    pub(super) readers: Readers,
    attaches: AtomicU64,
}

impl Partition {
    /// An empty partition that keeps at most `retained` events.
    pub(super) fn new(retained: usize) -> Self {
        Self {
            log: Mutex::new(Log::new(retained)),
            end: watch::Sender::new(0),
            readers: Readers::default(),
            attaches: AtomicU64::new(0),
        }
    }

    /// The log, locked: for a look, never across an await.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in and wakes the readers that wait for it.
    pub(super) fn append(&self, message: AnyMessage) -> Published {
        let mut log = self.log();
        let published = log.append(message, Timestamp::now());
        // Under the lock, so ends are published in order.
        self.end.send_replace(log.end());
        published
    }

    /// The event at `position`, or nothing while the log ends before it.
    pub(super) fn at(&self, position: i64) -> Option<Arc<Event>> {
        self.log().at(position)
    }

    /// Watches the end of the log: the sequence number the next event gets.
    pub(super) fn watch_end(&self) -> watch::Receiver<i64> {
        self.end.subscribe()
    }

    /// Counts one attach of a receiver, served or refused.
    pub(super) fn count_attach(&self) {
        self.attaches.fetch_add(1, Ordering::Relaxed);
    }

    /// Attaches of receivers so far.
    pub(super) fn attaches(&self) -> u64 {
        self.attaches.load(Ordering::Relaxed)
    }
}

/// A message with `body` as its one data section.
pub(super) fn data_message(body: Vec<u8>) -> AnyMessage {
    let data = Data(Binary::from(body));
    Message {
        header: None,
        delivery_annotations: None,
        message_annotations: None,
        properties: None,
        application_properties: None,
        body: Body::Data(Batch::from(vec![data])),
        footer: None,
    }
}
