//! The log of every request Graph received, for tests to read.
//!
//! Invariant: a request is logged when it is judged, before its answer leaves,
//! so one whose answer never comes is in the log too. The newest are kept.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// Calls kept; past it the oldest goes.
const CALLS_MAX: usize = 100_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Its place among all calls, from 1.
    pub number: u64,
    /// When it was received.
    pub received: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, with `/v1.0`, without the query, as it was sent.
    pub path: String,
    /// The known users it is about.
    pub users: Vec<Uuid>,
    /// The app its token belongs to, if that was good.
    pub app: Option<Uuid>,
    /// The status sent; `None` when no answer leaves.
    pub status: Option<u16>,
    /// Whether the call was carried out with success, whatever was sent.
    pub applied: bool,
    /// The fault it met.
    pub fault: Option<&'static str>,
    /// Its `client-request-id` header.
    pub client_request_id: Option<String>,
    /// Its `x-ms-throttle-priority` header.
    pub throttle_priority: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: VecDeque<Call>,
    last: u64,
}

impl CallLog {
    /// Keeps the call under the next number.
    pub(super) fn push(&mut self, mut call: Call) {
        self.last += 1;
        call.number = self.last;
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }
}
