//! The commands. `run` starts the daemon; the others speak to a running one or
//! work on files.

pub mod cases;
pub mod client;
pub mod intel;
pub mod memory;
pub mod output;
pub mod policy;
pub mod quarantine;
pub mod replay;

mod records;
