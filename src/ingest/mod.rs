//! From bytes to events.
//!
//! A receiver per partition decodes each message where it arrives and hands
//! it on whole: its events, what was passed over, what could not be decoded,
//! and the place it was read from. Whatever happens to a record, its message's
//! position moves only with the pipeline's commit.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::body::{Body, Room};
use crate::model::Event;

mod body;
pub mod entra;
pub mod eventhub;
mod pieces;
pub mod recorded;

/// One message read from a partition and decoded.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it was read.
    pub source: Source,
    /// When Event Hubs took it in.
    pub enqueued_at: Timestamp,
    /// When we had its bytes.
    pub received_at: Timestamp,
    /// What it held.
    pub content: Decoded,
    /// Its bytes as they came, where they are to be kept (`history`).
    pub body: Option<Body>,
}

/// The place of a message in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The event hub.
    pub hub: Arc<str>,
    /// The partition id, `"0"` and up.
    pub partition: Arc<str>,
    /// The sequence number, ascending within the partition.
    pub sequence: i64,
}

/// What the bytes of one message decoded to. The sum of the parts is the
/// number of records that the message held.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Records of the categories that evictd judges, in their order, each
    /// with the name of its category.
    pub events: Vec<(Category, Event)>,
    /// Records of other categories, and those of a judged one that no verdict
    /// can use: most audits, calls of Graph without a user or a session.
    pub passed_over: Vec<Category>,
    /// Records that could not be decoded.
    pub quarantined: Vec<Undecodable>,
}

/// The category of a record, for metrics. A closed set: what evictd has not
/// heard of is [`Category::OTHER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Category(pub &'static str);

impl Category {
    /// Any category that entra-records.md does not list.
    pub const OTHER: Self = Self("other");
}

/// A record, or a stretch of bytes, that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecodable {
    /// The bytes as they came, the whole record or the whole message.
    pub bytes: Vec<u8>,
    /// The record's index in its message; `None` where the message itself
    /// could not be taken apart.
    pub index: Option<u32>,
    /// What is wrong, in one line: the field, the value seen, what was expected.
    pub reason: String,
}
