//! The stand-ins: Event Hubs, Microsoft Graph and Entra on loopback.
//!
//! Architecture invariant: nothing here uses the product's wire code, so the
//! stand-ins cannot share its mistakes, and nothing outside `lab` depends on
//! it: default features contain no stand-in.

pub mod entra;
pub mod graph;
pub mod hub;
pub mod pki;
mod wire;
