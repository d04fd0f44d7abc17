//! Recorded records, as commands judge them: files in turn, by the daemon's
//! engine, with a memory of their own and nothing done.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;

use super::output;
use crate::detect::intel::Intel;
use crate::engine::{self, Given, Step};
use crate::ingest::recorded;
use crate::model::{Event, Surroundings, UserId, UserMemory};
use crate::policy::PolicySet;

/// Reads a file, or standard input for `-`, with progress on a terminal.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path, each: impl FnMut(recorded::Located)) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return from(std::io::stdin().lock(), each);
    }
    let file = File::open(path).context("cannot be read")?;
    let progress = output::progress(file.metadata().map_or(0, |about| about.len()));
    let read = from(
        BufReader::with_capacity(1 << 20, progress.wrap_read(file)),
        each,
    );
    progress.finish_and_clear();
    read
}

fn from(reader: impl BufRead, each: impl FnMut(recorded::Located)) -> anyhow::Result<()> {
    Ok(recorded::read(reader, each)?)
}

/// The engine over recorded events.
pub(super) struct Judge<'a> {
    given: Given<'a>,
    memories: HashMap<UserId, UserMemory>,
    around: Surroundings,
}

impl<'a> Judge<'a> {
    /// Knows nobody.
    pub(super) fn new(policies: &'a PolicySet, intel: &'a Intel) -> Self {
        Self {
            given: Given {
                intel,
                policies,
                // Nothing was revoked.
                revoked_at: None,
            },
            memories: HashMap::new(),
            around: Surroundings::default(),
        }
    }

    /// What events are judged by.
    pub(super) fn given(&self) -> Given<'a> {
        self.given
    }

    /// Judges one event; the memory is the user's afterwards.
    pub(super) fn step(&mut self, event: &Event) -> (Step, &UserMemory) {
        let memory = self.memories.entry(event.user().id.clone()).or_default();
        let step = engine::step(memory, &mut self.around, event, &self.given);
        self.around.settle();
        (step, memory)
    }

    /// What is remembered of a user.
    pub(super) fn memory(&self, user: &UserId) -> Option<&UserMemory> {
        self.memories.get(user)
    }
}
