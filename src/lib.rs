//! evictd evicts stolen Microsoft Entra ID sessions.
#[cfg(feature = "lab")]
pub mod lab;
