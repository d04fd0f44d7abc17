//! stub
pub mod credential;
pub mod graph;
pub mod lanes;
pub mod lifecycle;
pub mod outbox;
