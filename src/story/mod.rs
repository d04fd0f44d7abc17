//! Stories: tests of policies, in sentences.
//!
//! ```text
//! *.test.yaml ─► parse (sentences, all problems at once) ─► Suite
//! Suite ─► events (wire records) ─► decode ─► engine ─► expectation, coverage
//! ```
//!
//! A policy's author says what happens ("09:20 a thief uses ana's session from
//! hosting") and what should come of it ("act by stolen-session"). Invariant:
//! everything between the record and the decision is the daemon's own code, so
//! a test that passes says what the daemon would do.

mod cast;
#[cfg(test)]
mod condition_tests;
mod coverage;
mod deed;
mod events;
mod expectation;
mod names;
mod parse;
mod risk;
mod run;
mod seen;
mod sentence;
mod shipped;
#[cfg(test)]
mod tests;
mod troupe;
mod words;

pub use coverage::{Coverage, CoverageReport, Extent, Missed, Part, Reached};
pub use parse::{Suite, parse};
pub use run::{Difference, Failure, Told, tell};
pub use shipped::shipped;
