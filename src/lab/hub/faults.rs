//! The faults a test can switch on, and the counters it can read.
//!
//! Each fault is acted on where the real one would strike: resets, silence and
//! outages at the socket, refused tokens at `$cbs`, refused readers at attach.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::refusal::Refusal;

/// What is switched on. All off at first.
pub(super) struct Faults {
    stalled: watch::Sender<bool>,
    outage: AtomicBool,
    deny_tokens: AtomicBool,
    refuse_receivers: Mutex<Option<Refusal>>,
    /// Cancelled to cut the connections of now; replaced for those to come.
    cut: Mutex<CancellationToken>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self {
            stalled: watch::Sender::new(false),
            outage: AtomicBool::new(false),
            deny_tokens: AtomicBool::new(false),
            refuse_receivers: Mutex::new(None),
            cut: Mutex::new(CancellationToken::new()),
        }
    }

    pub(super) fn cut_connections(&self) {
        std::mem::take(&mut *lock(&self.cut)).cancel();
    }

    /// What is cancelled when the connections of now are cut.
    pub(super) fn cut(&self) -> CancellationToken {
        lock(&self.cut).clone()
    }

    pub(super) fn stall(&self, on: bool) {
        self.stalled.send_replace(on);
    }

    pub(super) fn stalled(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    /// Switches the outage; the connections of now die with its start.
    pub(super) fn set_outage(&self, on: bool) {
        self.outage.store(on, Ordering::SeqCst);
        if on {
            self.cut_connections();
        }
    }

    pub(super) fn outage(&self) -> bool {
        self.outage.load(Ordering::SeqCst)
    }

    pub(super) fn set_deny_tokens(&self, on: bool) {
        self.deny_tokens.store(on, Ordering::SeqCst);
    }

    pub(super) fn deny_tokens(&self) -> bool {
        self.deny_tokens.load(Ordering::SeqCst)
    }

    pub(super) fn set_refuse_receivers(&self, reason: Option<Refusal>) {
        *lock(&self.refuse_receivers) = reason;
    }

    pub(super) fn refuse_receivers(&self) -> Option<Refusal> {
        lock(&self.refuse_receivers).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the stand-in did so far, all hubs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections accepted, those an outage reset at once left out.
    pub connections_opened: u64,
    /// Events handed to receivers' links, within their credit.
    pub messages_delivered: u64,
    /// Tokens `$cbs` took.
    pub tokens_granted: u64,
    /// Tokens `$cbs` refused.
    pub tokens_refused: u64,
}

/// The live form of [`Counts`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) connections_opened: AtomicU64,
    pub(super) messages_delivered: AtomicU64,
    pub(super) tokens_granted: AtomicU64,
    pub(super) tokens_refused: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        Counts {
            connections_opened: self.connections_opened.load(Ordering::Relaxed),
            messages_delivered: self.messages_delivered.load(Ordering::Relaxed),
            tokens_granted: self.tokens_granted.load(Ordering::Relaxed),
            tokens_refused: self.tokens_refused.load(Ordering::Relaxed),
        }
    }
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
