//! The stand-ins: Event Hubs, Microsoft Graph and Entra on loopback.
//!
//! Architecture invariant: nothing here uses the product's wire code, so the
//! stand-ins cannot share its mistakes, and nothing outside `lab` depends on
//! it: default features contain no stand-in.

pub mod demo;
pub mod entra;
pub mod evaluate;
pub mod graph;
mod harness;
pub mod hub;
mod narrator;
pub mod pki;
pub mod records;
pub mod scenario;
pub mod serve;
mod wire;

pub use harness::{CLIENT_ID, HUB, Lab, Transport};
