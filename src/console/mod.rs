//! What people and machines ask of a running daemon.
//!
//! `health` is for probes and Prometheus, over TCP, read-only. `control` is for
//! the people on call, over a Unix socket that only the daemon's owner and
//! group may open.
//!
//! Invariant: nothing here acts. A judgement changes the outbox; the responder
//! does what the outbox holds.

pub mod control;
pub mod health;
pub mod pages;
pub mod policies;
pub mod precision;
mod listen;
mod peer;
mod socket;
