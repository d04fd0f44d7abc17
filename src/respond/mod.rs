//! Placeholder.

pub mod lifecycle;
