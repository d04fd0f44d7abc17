//! `$management`: READ of a hub and of a partition.
//!
//! The maps hold what the service's hold, down to the AMQP types the SDKs
//! insist on: `partition_ids` is an array, times are timestamps, the last
//! offset is a string.

use fe2o3_amqp::types::primitives::{Array, OrderedMap, Timestamp as AmqpTimestamp, Value};
use jiff::Timestamp;

use super::address::partition_id;
use super::connection::Peer;
use super::log::AnyMessage;
use super::refusal::{NOT_FOUND, OUT_OF_RANGE, Refusal, UNAUTHORIZED};
use super::request::{Answer, property};

const HUB: &str = "com.microsoft:eventhub";
const PARTITION: &str = "com.microsoft:partition";

/// Answers a `READ` request.
pub(super) fn answer(request: &AnyMessage, peer: &Peer) -> Answer {
    if property(request, "operation") != Some("READ") {
        return Answer::failed(400, "unknown operation");
    }
    let read = match (property(request, "type"), property(request, "name")) {
        (Some(HUB), Some(hub)) => read_hub(hub, peer),
        (Some(PARTITION), Some(hub)) => read_partition(
            hub,
            property(request, "partition").unwrap_or_default(),
            peer,
        ),
        _ => return Answer::failed(400, "unknown type, or no name"),
    };
    match read {
        Ok(body) => Answer {
            status: 200,
            description: "OK".to_owned(),
            body,
        },
        Err(refusal) => {
            let status = match refusal.condition.as_str() {
                UNAUTHORIZED => 401,
                NOT_FOUND | OUT_OF_RANGE => 404,
                _ => 400,
            };
            Answer::failed(status, refusal.description)
        }
    }
}

fn read_hub(name: &str, peer: &Peer) -> Result<Value, Refusal> {
    peer.check_described(name)?;
    let hub = peer.broker.hub(name)?;
    let ids = (0..hub.partitions.len()).map(|id| Value::String(id.to_string()));
    Ok(map([
        ("type", Value::String(HUB.to_owned())),
        ("name", Value::String(name.to_owned())),
        ("created_at", timestamp(hub.created_at)),
        ("partition_count", Value::Int(hub.partitions.len() as i32)),
        ("partition_ids", Value::Array(Array(ids.collect()))),
    ]))
}

fn read_partition(name: &str, id: &str, peer: &Peer) -> Result<Value, Refusal> {
    peer.check_described(name)?;
    let created_at = peer.broker.hub(name)?.created_at;
    let partition = peer.broker.partition(name, partition_id(id)?)?;
    let log = partition.log();
    let last = log.last().map(|event| &event.published);
    let last_offset = last.map_or("-1", |last| last.offset.as_str());
    let last_time = last.map_or(created_at, |last| last.enqueued_at);
    Ok(map([
        ("type", Value::String(PARTITION.to_owned())),
        ("name", Value::String(name.to_owned())),
        ("partition", Value::String(id.to_owned())),
        ("begin_sequence_number", Value::Long(log.first())),
        ("last_enqueued_sequence_number", Value::Long(log.end() - 1)),
        ("last_enqueued_sequence_number_epoch", Value::Long(-1)),
        (
            "last_enqueued_offset",
            Value::String(last_offset.to_owned()),
        ),
        ("last_enqueued_time_utc", timestamp(last_time)),
        ("is_partition_empty", Value::Bool(last.is_none())),
    ]))
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.map(|(key, value)| (Value::String(key.to_owned()), value));
    Value::Map(OrderedMap::from_iter(entries))
}

fn timestamp(time: Timestamp) -> Value {
    Value::Timestamp(AmqpTimestamp::from_milliseconds(time.as_millisecond()))
}
