//! The daemon as a whole, against the lab.
//!
//! - `after`: an eviction is proven or evaded, a question taken back
//! - `contain`: what happens to a stolen session, in process, on free ports
//! - `disorder`: redelivered, reordered and late records
//! - `fresh`: lists that change while the daemon runs
//! - `faults`: a broken network, a broken Graph, a broken policy
//! - `process`: a real process, its systemd, its operator, its shell
//! - `reload`: policies whose files change while the daemon runs
//! - `workload`: a service principal at risk, which a human is asked about
//! - `history`: what was received is kept
//! - `kill`: a real process, killed at any point of the path

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod after;
mod contain;
mod disorder;
mod faults;
mod fresh;
mod history;
mod kill;
mod process;
mod reload;
mod support;
mod workload;
