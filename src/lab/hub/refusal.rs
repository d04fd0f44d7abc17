//! Why the stand-in says no: an AMQP error condition and its words.
//!
//! The conditions are those Event Hubs answers with, so a client's own
//! classification of errors is what gets exercised.

use fe2o3_amqp::types::definitions::{Error, ErrorCondition};
use fe2o3_amqp::types::primitives::Symbol;

/// The peer lacks a token for what it asked.
pub(super) const UNAUTHORIZED: &str = "amqp:unauthorized-access";
/// The hub, the consumer group or the node does not exist.
pub(super) const NOT_FOUND: &str = "amqp:not-found";
/// Another reader owns the partition, by a higher or equal epoch.
pub(super) const STOLEN: &str = "amqp:link:stolen";
/// Too many readers, connections or links.
pub(super) const LIMIT_EXCEEDED: &str = "amqp:resource-limit-exceeded";
/// A position or a request that makes no sense to the service.
pub(super) const ARGUMENT_ERROR: &str = "com.microsoft:argument-error";
/// A partition the hub does not have.
pub(super) const OUT_OF_RANGE: &str = "com.microsoft:argument-out-of-range";
/// Bytes that are not an AMQP message.
pub(super) const DECODE_ERROR: &str = "amqp:decode-error";

/// An error condition, such as `amqp:link:stolen`, with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) condition: String,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(condition: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            condition: condition.into(),
            description: description.into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        // On the wire a custom condition and a standard one are both a symbol.
        let condition = ErrorCondition::Custom(Symbol::from(refusal.condition));
        Error::new(condition, refusal.description, None)
    }
}
