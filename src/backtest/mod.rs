//! What a change of policies would have done: history judged by two sets of
//! policies side by side, in one pass.
//!
//! ```text
//! files ─► cut ─► decode (all cores) ─► merge by time ─┬─► side: today's ────┬─► report
//!                                                      └─► side: the changed ┘
//! ```
//!
//! Decoding is most of the work and is done on every core; each set then has a
//! thread of its own, since the tenant's memory is shared by all users.
//! Invariants: nothing is done and nothing written; the report depends on the
//! files and the policies alone, never on the number of threads; every queue
//! has a bound. What grows with the tenant is the memory of its users, which
//! is bounded for each.

mod difference;
mod load;
mod merge;
mod records;
mod report;
mod side;
#[cfg(test)]
mod tests;
mod waits;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use crate::detect::intel::Intel;
use crate::model::Event;

use self::merge::Merge;
use self::records::Decoders;
use self::side::Side;

pub use self::merge::bytes_of;
pub use self::records::Unread;
pub use self::report::{
    CaseOutcome, Change, ChangeKind, Counts, DayRow, Input, Load, Peak, PolicyRow, Quotas, Report,
    SideReport, Wait,
};
pub use self::side::Rules;

/// Batches that may wait for a side.
const BATCHES_WAITING_MAX: usize = 8;

/// What is compared, over what.
#[derive(Debug)]
pub struct Backtest<'a> {
    /// The records; `-` is standard input.
    pub files: &'a [PathBuf],
    /// What is known of networks, to both sides.
    pub intel: &'a Intel,
    /// The policies of today.
    pub old: &'a Rules,
    /// The changed ones.
    pub new: &'a Rules,
    /// Threads that decode; with 1 everything is done on the caller's, but for
    /// files that cannot be cut.
    pub threads: usize,
}

impl Backtest<'_> {
    /// Runs it. `progress` is told of bytes read and records decoded since it
    /// was last told.
    ///
    /// # Errors
    /// A file that cannot be read, and what `merge` and `recorded` refuse:
    /// values beyond their bound, too many files at once, too much that runs
    /// newest first. Records that do not decode are counted, not errors.
    pub fn run(&self, progress: &dyn Fn(u64, u64)) -> anyhow::Result<Report> {
        thread::scope(|scope| {
            let decoders = Decoders::start(scope, self.threads);
            let mut merge = Merge::plan(self.files, decoders, progress)?;
            let mut old = Side::new(self.old, self.intel);
            let mut new = Side::new(self.new, self.intel);
            if self.threads <= 1 {
                merge.each(|batch| {
                    batch.iter().for_each(|event| old.take(event));
                    batch.iter().for_each(|event| new.take(event));
                    true
                })?;
            } else {
                let (to_old, for_old) = sync_channel(BATCHES_WAITING_MAX);
                let (to_new, for_new) = sync_channel(BATCHES_WAITING_MAX);
                let old_thread = scope.spawn(move || judge(old, &for_old));
                let new_thread = scope.spawn(move || judge(new, &for_new));
                let read = merge.each(|batch| {
                    let batch = Arc::new(batch);
                    to_old.send(Arc::clone(&batch)).is_ok() && to_new.send(batch).is_ok()
                });
                drop((to_old, to_new));
                (old, new) = (joined(old_thread), joined(new_thread));
                read?;
            }
            let input = merge.input;
            Ok(Report {
                old: old.report(&input),
                new: new.report(&input),
                changes: difference::changes(&old.cases, &new.cases),
                left_out: old.left_out + new.left_out,
                input,
            })
        })
    }
}

fn judge<'a>(mut side: Side<'a>, batches: &Receiver<Arc<Vec<Event>>>) -> Side<'a> {
    for batch in batches {
        batch.iter().for_each(|event| side.take(event));
    }
    side
}

/// A panic of a side is the caller's.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(side) => side,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
