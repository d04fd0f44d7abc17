//! A reader's link: events out, in order, within the reader's credit.
//!
//! Invariant: from its start position on a reader gets every event once and in
//! order, until it leaves or is told to go. At the end of the log it waits for
//! the next event; it does not poll.

use std::sync::Arc;

use fe2o3_amqp::acceptor::LinkEndpoint;
use fe2o3_amqp::link::Sender;
use fe2o3_amqp::types::performatives::Attach;
use fe2o3_amqp::types::primitives::{Symbol, Value};

use super::address::read_from;
use super::connection::{Peer, close};
use super::faults::count;
use super::partition::Partition;
use super::readers::Seat;
use super::refusal::Refusal;
use super::start::Start;

/// The link property that carries an owner level.
const EPOCH: &str = "com.microsoft:epoch";

/// A reader admitted to a partition, with where it goes on.
pub(super) struct Reading {
    partition: Arc<Partition>,
    seat: Seat,
    /// The sequence number to deliver next.
    position: i64,
}

impl Reading {
    /// Judges a receiver's attach to `path`, and seats the reader.
    pub(super) fn admit(path: &str, attach: &Attach, peer: &Peer) -> Result<Self, Refusal> {
        let from = read_from(path)?;
        let partition = peer.broker.partition(from.hub, from.partition)?;
        partition.count_attach();
        peer.check_granted(path)?;
        peer.broker.check_group(from.group)?;
        if let Some(refusal) = peer.broker.faults.refuse_receivers() {
            return Err(refusal);
        }
        let filters = attach
            .source
            .as_deref()
            .and_then(|source| source.filter.as_ref());
        let position = partition.log().resolve(Start::from_filters(filters)?)?;
        let seat = partition.readers.admit(from.group, epoch(attach))?;
        Ok(Self {
            partition: Arc::clone(partition),
            seat,
            position,
        })
    }
}

fn epoch(attach: &Attach) -> Option<i64> {
    let properties = attach.properties.as_ref()?;
    match properties.get(&Symbol::from(EPOCH))? {
        Value::Long(epoch) => Some(*epoch),
        Value::Int(epoch) => Some(i64::from(*epoch)),
        _ => None,
    }
}

/// Delivers until the reader leaves or is evicted.
pub(super) async fn serve(mut link: Sender, mut reading: Reading, peer: &Peer) {
    let mut end = reading.partition.watch_end();
    loop {
        let evicted = match reading.partition.at(reading.position) {
            Some(event) => tokio::select! {
                biased;
                evicted = &mut reading.seat.evicted => evicted,
                sent = link.send_batchable_ref(&event.message) => {
                    // The outcome is the reader's affair: nothing is kept for
                    // it, as in the service. Batchable: see `request`.
                    if sent.is_err() {
                        return;
                    }
                    count(&peer.broker.counters.messages_delivered);
                    reading.position = event.published.sequence_number + 1;
                    continue;
                }
            },
            None => tokio::select! {
                evicted = &mut reading.seat.evicted => evicted,
                _ = link.on_detach() => return,
                // The partition outlives its readers, so this is news.
                _ = end.wait_for(|end| *end > reading.position) => continue,
            },
        };
        // A seat is never taken away without a reason.
        if let Ok(refusal) = evicted {
            close(LinkEndpoint::Sender(link), refusal).await;
        }
        return;
    }
}
