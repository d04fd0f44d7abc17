//! What systemd is told (sd_notify(3)): ready, status, reloading, stopping,
//! and, as long as the pipeline's heart beats, the watchdog's ping.
//!
//! Without systemd (`NOTIFY_SOCKET` unset) every call does nothing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::console::health::Health;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// `READY=1` with a first status.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// `STATUS=`.
pub(super) fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// `RELOADING=1` with the monotonic stamp that `Type=notify-reload` asks for.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => notify(&[NotifyState::Reloading, stamp]),
        Err(error) => tracing::warn!(%error, "the monotonic clock could not be read"),
    }
}

/// `STOPPING=1`.
pub(super) fn stopping() {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: draining what was received"),
    ]);
}

/// Pings the watchdog at half its period while the pipeline lives. A pipeline
/// that hangs stops the pings, and systemd restarts the daemon.
pub(super) async fn watchdog(health: Arc<Health>, stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        stop.cancelled().await;
        return;
    };
    let mut ticks = tokio::time::interval((period / 2).max(Duration::from_millis(100)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                if health.is_alive(Timestamp::now()) {
                    notify(&[NotifyState::Watchdog]);
                }
            }
        }
    }
}
