//! Detection: what an event, a user's memory and intelligence say together.
//!
//! Architecture invariant: pure and clockless, and no import from `policy`:
//! detectors name what they saw, policies weigh it.

pub mod catalogue;

pub use catalogue::{CATALOGUE, SignalSpec};
