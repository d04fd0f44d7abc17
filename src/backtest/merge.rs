//! Many files as one stream, in the order in which the daemon would have seen
//! their records.
//!
//! The daemon judges in the order of arrival. A file keeps its own order,
//! since that is what arrival was; between files the one whose next record is
//! the oldest goes first, so that sign-ins and risk events exported apart meet
//! again. A file that runs newest first, as the export of a query often does,
//! is read whole and turned round; how much of that is held has a bound.
//!
//! Invariant: the order depends on the records alone, not on threads.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::records::{Block, Decoders, Records, peek};
use super::report::Input;
use crate::model::Event;

/// Files that may overlap in time, and so be open at once.
const OPEN_MAX: usize = 256;
/// Events of files that run newest first, held together; about 1 KiB each.
const TURNED_EVENTS_MAX: usize = 1_000_000;
/// Events handed on together.
const BATCH_EVENTS: usize = 512;

/// The files of a run on their way to the sides, oldest first.
pub(super) struct Merge<'scope, 'env, 'p> {
    decoders: Decoders<'scope, 'env>,
    progress: &'p dyn Fn(u64, u64),
    /// What was read.
    pub(super) input: Input,
    /// Those to come, the next one last.
    waiting: Vec<Planned>,
    open: Vec<Lane>,
    /// Events held of files that were turned round.
    turned: usize,
}

/// A file that was looked at.
struct Planned {
    place: usize,
    path: PathBuf,
    begins: Timestamp,
    content: Content,
}

enum Content {
    Unopened,
    /// Newest first, read whole and sorted.
    Turned(VecDeque<Event>),
}

/// An open file.
struct Lane {
    place: usize,
    path: PathBuf,
    /// When its next event happened, or before it is known the file's
    /// beginning.
    next: Timestamp,
    events: VecDeque<Event>,
    /// `None` once all is in `events`.
    records: Option<Records>,
}

impl<'scope, 'env, 'p> Merge<'scope, 'env, 'p> {
    /// Looks at every file; those that run newest first are read. `progress`
    /// is told of bytes and records as they are read.
    pub(super) fn plan(
        files: &[PathBuf],
        decoders: Decoders<'scope, 'env>,
        progress: &'p dyn Fn(u64, u64),
    ) -> anyhow::Result<Self> {
        let mut merge = Self {
            decoders,
            progress,
            input: Input {
                files: files.len(),
                ..Input::default()
            },
            waiting: Vec::new(),
            open: Vec::new(),
            turned: 0,
        };
        for (place, path) in files.iter().enumerate() {
            let named = || path.display().to_string();
            let seen = peek(path).with_context(named)?;
            let mut planned = Planned {
                place,
                path: path.clone(),
                begins: seen.begins.unwrap_or(Timestamp::MIN),
                content: Content::Unopened,
            };
            if seen.newest_first {
                let events = merge.turn(path)?;
                merge.input.newest_first.push(named());
                planned.begins = events.front().map_or(planned.begins, Event::at);
                planned.content = Content::Turned(events);
            }
            merge.waiting.push(planned);
        }
        merge.waiting.sort_by_key(|file| (file.begins, file.place));
        merge.waiting.reverse();
        Ok(merge)
    }

    /// Reads a file that runs newest first. What happened at one instant keeps
    /// the order that the file turned round has.
    fn turn(&mut self, path: &Path) -> anyhow::Result<VecDeque<Event>> {
        let named = || path.display().to_string();
        let mut records = Records::open(path, &self.decoders).with_context(named)?;
        let mut events = Vec::new();
        while let Some(mut block) = records.next(&self.decoders).with_context(named)? {
            (self.progress)(block.bytes, block.records);
            let found = std::mem::take(&mut block.events);
            self.turned += found.len();
            self.input.count(block, &found);
            events.extend(found);
            if self.turned > TURNED_EVENTS_MAX {
                bail!(
                    "{}: runs newest first, and such files hold more than {TURNED_EVENTS_MAX} \
                     events together; turn it round (`tac FILE` does for one record a line) \
                     or export in order of time",
                    named()
                );
            }
        }
        events.reverse();
        events.sort_by_key(Event::at);
        Ok(events.into())
    }

    /// Hands on every batch for as long as somebody takes them.
    pub(super) fn each(
        &mut self,
        mut hand_on: impl FnMut(Vec<Event>) -> bool,
    ) -> anyhow::Result<()> {
        loop {
            let batch = self.next()?;
            if batch.is_empty() || !hand_on(batch) {
                return Ok(());
            }
        }
    }

    /// The next events, at most [`BATCH_EVENTS`]; empty at the end.
    fn next(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut batch = Vec::with_capacity(BATCH_EVENTS);
        while batch.len() < BATCH_EVENTS {
            self.open_what_begins()?;
            let Some(first) = self.first() else {
                return Ok(batch);
            };
            let until = self.others_next(first);
            let Some(lane) = self.open.get_mut(first) else {
                return Ok(batch);
            };
            if lane.events.is_empty() {
                let named = || lane.path.display().to_string();
                let block = match &mut lane.records {
                    Some(records) => records.next(&self.decoders).with_context(named)?,
                    None => None,
                };
                match block {
                    Some(block) => lane.take(block, &mut self.input, self.progress),
                    None => drop(self.open.swap_remove(first)),
                }
                continue;
            }
            lane.give(until, &mut batch);
        }
        Ok(batch)
    }

    /// Opens the files that begin before the next event of those open.
    fn open_what_begins(&mut self) -> anyhow::Result<()> {
        while let Some(file) = self.waiting.last() {
            let next = self.first().and_then(|first| self.open.get(first));
            if next.is_some_and(|lane| lane.key() < (file.begins, file.place)) {
                return Ok(());
            }
            if self.open.len() == OPEN_MAX {
                bail!("more than {OPEN_MAX} files overlap in time; put those of one kind together");
            }
            let Some(file) = self.waiting.pop() else {
                return Ok(());
            };
            let (events, records) = match file.content {
                Content::Turned(events) => (events, None),
                Content::Unopened => {
                    let opened = Records::open(&file.path, &self.decoders);
                    let records = opened.with_context(|| file.path.display().to_string())?;
                    (VecDeque::new(), Some(records))
                }
            };
            self.open.push(Lane {
                place: file.place,
                path: file.path,
                next: file.begins,
                events,
                records,
            });
        }
        Ok(())
    }

    /// The open file whose next event is the oldest.
    fn first(&self) -> Option<usize> {
        let lanes = self.open.iter().enumerate();
        lanes.min_by_key(|(_, lane)| lane.key()).map(|(at, _)| at)
    }

    /// Until when that file alone has anything to give.
    fn others_next(&self, first: usize) -> (Timestamp, usize) {
        let others = self.open.iter().enumerate().filter(|(at, _)| *at != first);
        let open = others.map(|(_, lane)| lane.key());
        let waiting = self.waiting.last().map(|file| (file.begins, file.place));
        let none = (Timestamp::MAX, usize::MAX);
        open.chain(waiting).min().unwrap_or(none)
    }
}

impl Lane {
    fn key(&self) -> (Timestamp, usize) {
        (self.next, self.place)
    }

    fn take(&mut self, mut block: Block, input: &mut Input, progress: &dyn Fn(u64, u64)) {
        progress(block.bytes, block.records);
        let events = std::mem::take(&mut block.events);
        input.count(block, &events);
        self.events = events.into();
        self.look();
    }

    /// Moves on to the next event. One dated far ahead of the one behind it
    /// must not hold up its file: the earlier of the two counts.
    fn look(&mut self) {
        if let Some(first) = self.events.front() {
            let second = self.events.get(1).map_or(Timestamp::MAX, Event::at);
            self.next = first.at().min(second);
        }
    }

    /// Gives events up to another file's turn, and at least one.
    fn give(&mut self, until: (Timestamp, usize), batch: &mut Vec<Event>) {
        while batch.len() < BATCH_EVENTS
            && let Some(event) = self.events.pop_front()
        {
            batch.push(event);
            self.look();
            if self.key() > until {
                return;
            }
        }
    }
}

/// Bytes of all files, for whoever shows progress; standard input has none.
///
/// # Errors
/// When a file is not there.
pub fn bytes_of(files: &[PathBuf]) -> anyhow::Result<u64> {
    let of = |path: &PathBuf| -> io::Result<u64> {
        match path == Path::new("-") {
            true => Ok(0),
            false => Ok(std::fs::metadata(path)?.len()),
        }
    };
    let bytes = files
        .iter()
        .map(|path| of(path).with_context(|| path.display().to_string()));
    bytes.sum()
}
