//! Responding: what the outbox holds is done through Microsoft Graph.
//!
//! ```text
//! outbox ── ready lane ─► claim ─► guard ─► take cell ─► Graph ─► settle
//! ```
//!
//! Invariants: nothing is done that the outbox does not hold; the guard is
//! asked again just before the call; an answer that leaves doubt is asked for
//! again, since every action is safe to repeat; what only a human can mend
//! ends loudly.

pub mod credential;
pub mod forecast;
pub mod graph;
pub mod lanes;
pub mod lifecycle;
pub mod outbox;
pub mod permission;
pub mod reset;
pub mod workload;
