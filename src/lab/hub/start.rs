//! Where a reader starts: the selector filter of a receiver's attach.
//!
//! Event Hubs takes one comparison, `amqp.annotation.x-opt-offset > '-1'` and
//! its kin, in the filter `apache.org:selector-filter:string`. Anything else is
//! refused rather than guessed at: a start misread is events lost or repeated.

use fe2o3_amqp::types::messaging::FilterSet;
use fe2o3_amqp::types::primitives::{Symbol, Value};

use super::refusal::{ARGUMENT_ERROR, Refusal};

/// The filter's key in the attach's source.
const SELECTOR: &str = "apache.org:selector-filter:string";

/// A position in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// After, or with `inclusive` at, this byte offset.
    Offset { value: i64, inclusive: bool },
    /// After, or with `inclusive` at, this sequence number.
    SequenceNumber { value: i64, inclusive: bool },
    /// After, or with `inclusive` at, this time, in Unix milliseconds.
    EnqueuedTime { unix_ms: i64, inclusive: bool },
    /// Only what is enqueued from now on.
    Latest,
}

impl Start {
    /// The oldest event kept: what a reader without a filter gets.
    const EARLIEST: Self = Self::Offset {
        value: -1,
        inclusive: false,
    };

    /// Reads the start position out of an attach's filters.
    pub(super) fn from_filters(filters: Option<&FilterSet>) -> Result<Self, Refusal> {
        let Some(filter) = filters.and_then(|set| set.get(&Symbol::from(SELECTOR))) else {
            return Ok(Self::EARLIEST);
        };
        let selector = match filter {
            Value::Described(described) => &described.value,
            plain => plain,
        };
        match selector {
            Value::String(selector) => Self::parse(selector),
            other => Err(Refusal::new(
                ARGUMENT_ERROR,
                format!("a selector must be a string, not {other:?}"),
            )),
        }
    }

    fn parse(selector: &str) -> Result<Self, Refusal> {
        let unreadable =
            || Refusal::new(ARGUMENT_ERROR, format!("cannot read selector: {selector}"));
        let comparison = selector
            .trim()
            .strip_prefix("amqp.annotation.")
            .ok_or_else(unreadable)?;
        let (name, right) = comparison.split_once('>').ok_or_else(unreadable)?;
        let (inclusive, right) = match right.strip_prefix('=') {
            Some(right) => (true, right),
            None => (false, right),
        };
        let literal = right
            .trim()
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''))
            .ok_or_else(unreadable)?;

        let name = name.trim();
        if name == "x-opt-offset" && literal == "@latest" {
            return Ok(Self::Latest);
        }
        let value = literal.parse().map_err(|_| unreadable())?;
        match name {
            "x-opt-offset" => Ok(Self::Offset { value, inclusive }),
            "x-opt-sequence-number" => Ok(Self::SequenceNumber { value, inclusive }),
            "x-opt-enqueued-time" => Ok(Self::EnqueuedTime {
                unix_ms: value,
                inclusive,
            }),
            _ => Err(unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_the_sdks_write_is_read() {
        use Start::{EnqueuedTime, Latest, Offset, SequenceNumber};
        for (selector, start) in [
            ("amqp.annotation.x-opt-offset > '-1'", Start::EARLIEST),
            ("amqp.annotation.x-opt-offset > '@latest'", Latest),
            (
                "amqp.annotation.x-opt-offset >'12'",
                Offset {
                    value: 12,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-offset >='12'",
                Offset {
                    value: 12,
                    inclusive: true,
                },
            ),
            (
                "amqp.annotation.x-opt-sequence-number >'7'",
                SequenceNumber {
                    value: 7,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-sequence-number >= '7'",
                SequenceNumber {
                    value: 7,
                    inclusive: true,
                },
            ),
            (
                "amqp.annotation.x-opt-enqueued-time > '9'",
                EnqueuedTime {
                    unix_ms: 9,
                    inclusive: false,
                },
            ),
            (
                "amqp.annotation.x-opt-enqueued-time >='9'",
                EnqueuedTime {
                    unix_ms: 9,
                    inclusive: true,
                },
            ),
        ] {
            assert_eq!(Start::parse(selector), Ok(start), "{selector}");
        }
    }

    #[test]
    fn what_is_not_one_of_them_is_refused() {
        for selector in [
            "",
            "x-opt-offset > '1'",
            "amqp.annotation.x-opt-offset < '1'",
            "amqp.annotation.x-opt-offset > 1",
            "amqp.annotation.x-opt-sequence-number > '@latest'",
            "amqp.annotation.x-opt-partition-key > '1'",
        ] {
            assert!(Start::parse(selector).is_err(), "{selector}");
        }
    }
}
