//! What the tests share: a daemon in this process, victims, waiting.

use std::time::Duration;

use evictd::lab::records::{CHROME_LINUX, HOSTING, Person, SignInRecord, record_id};
use evictd::lab::scenario;
use jiff::Timestamp;
use serde_json::Value;
use tokio::process::Child;

/// Every fifth colleague.
pub(crate) fn victims(count: usize) -> Vec<Person> {
    scenario::staff().into_iter().step_by(5).take(count).collect()
}

/// The victim's session, used from a hosting network.
pub(crate) fn replayed_session(victim: &Person, at: Timestamp) -> Value {
    SignInRecord {
        spot: HOSTING,
        host: 7,
        agent: CHROME_LINUX,
        interactive: false,
        id: record_id(&[&victim.id, "replayed"]),
        ..SignInRecord::at_home(victim, at)
    }
    .to_json()
}

/// SIGTERM, and a clean end within the unit's time.
pub(crate) async fn terminate(daemon: &mut Child) {
    let id = i32::try_from(daemon.id().expect("the daemon runs")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(15), daemon.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
