//! evictd evicts stolen Microsoft Entra ID sessions.
//!
//! ```text
//! Event Hubs ─► ingest ─► detect ─► policy ─► store ─► respond ─► Microsoft Graph
//!  (AMQP)       bytes →    event →   signals →  one        outbox →
//!               event      signals   decision   commit     effect ─► containment
//!                                      │                     ▲
//!                                      └─ ask ─► console ────┘ (approve, deny)
//! ```
//!
//! The modules below stand in reading order.

pub mod model;

pub mod console;
pub mod ingest;
pub mod policy;
pub mod respond;
pub mod store;

pub mod cli;
pub mod telemetry;

#[cfg(feature = "lab")]
pub mod lab;
