//! A sender's link: events in, one by one or in batches.
//!
//! Invariant: a transfer is accepted only once all its events are in the log,
//! and a batch goes to one partition, whole or not at all.

use fe2o3_amqp::link::Receiver;
use fe2o3_amqp::link::delivery::Delivery;
use fe2o3_amqp::types::definitions::{Error, MessageFormat};
use fe2o3_amqp::types::messaging::Body;
use fe2o3_amqp::types::messaging::message::DecodeIntoMessage as _;
use fe2o3_amqp::types::primitives::Value;
use serde_amqp::read::SliceReader;

use super::address::send_to;
use super::connection::Peer;
use super::log::AnyMessage;
use super::refusal::{DECODE_ERROR, Refusal};

/// The message format of a batch: each data section is an encoded message.
const BATCH: MessageFormat = 0x8001_3700;

/// Judges a sender's attach to `path`.
pub(super) fn check(path: &str, peer: &Peer) -> Result<(), Refusal> {
    let to = send_to(path)?;
    peer.broker.hub(to.hub)?;
    if let Some(index) = to.partition {
        peer.broker.partition(to.hub, index)?;
    }
    peer.check_granted(path)
}

/// Takes events in until the sender leaves.
pub(super) async fn serve(mut link: Receiver, path: &str, peer: &Peer) {
    while let Ok(delivery) = link.recv::<Body<Value>>().await {
        let settled = match append(&delivery, path, peer) {
            Ok(()) => link.accept(&delivery).await,
            Err(refusal) => link.reject(&delivery, Error::from(refusal)).await,
        };
        if settled.is_err() {
            return;
        }
    }
}

fn append(delivery: &Delivery<Body<Value>>, path: &str, peer: &Peer) -> Result<(), Refusal> {
    let transfer = delivery.message();
    let partition = peer.broker.route(&send_to(path)?, transfer)?;
    let events = match delivery.message_format() {
        Some(BATCH) => unpack(transfer)?,
        _ => vec![transfer.clone()],
    };
    for event in events {
        partition.append(event);
    }
    Ok(())
}

fn unpack(batch: &AnyMessage) -> Result<Vec<AnyMessage>, Refusal> {
    let Body::Data(sections) = &batch.body else {
        return Err(Refusal::new(
            DECODE_ERROR,
            "a batch is made of data sections",
        ));
    };
    let decode = |bytes: &[u8]| {
        Body::decode_message_from_reader(SliceReader::new(bytes))
            .map_err(|error| Refusal::new(DECODE_ERROR, format!("in a batch: {error}")))
    };
    sections.iter().map(|section| decode(&section.0)).collect()
}
