//! Starts the stages, keeps them, and stops them in order.
//!
//! Everything that can fail at start fails before anything is read: policies,
//! lists, the store, the credential, the ports. Then receivers → pipeline →
//! responder → console run until a signal or until one of them ends early,
//! which stops the rest and the process non-zero. Stopping goes the same way,
//! each stage draining into the next, within [`STOP_WITHIN`].

mod reload;
mod systemd;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, VERSION};
use crate::detect::intel::Intel;
use crate::pipeline::Pipeline;
use crate::policy::PolicySet;
use crate::telemetry::Metrics;

pub use reload::load_policies;

/// The whole stop (issue: SIGTERM drains within 10 s; the unit allows 15).
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Decoded messages between receivers and pipeline. A full channel stops the
/// receivers, whose link credit then stops the broker.
const INBOX_MESSAGES_MAX: usize = 512;
