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

pub mod ingest;
pub mod detect;
pub mod policy;
pub mod engine;
pub mod pipeline;
pub mod store;
pub mod respond;
pub mod console;

pub mod explain;
pub mod ruleset;
pub mod backtest;
pub mod history;
pub mod story;
pub mod intel_files;
pub mod config;
pub mod telemetry;
pub mod daemon;
pub mod cli;

#[cfg(feature = "lab")]
pub mod lab;
