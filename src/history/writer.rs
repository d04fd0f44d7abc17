//! The thread that writes: bodies to lines, lines to a frame, frames to the
//! day's file.
//!
//! Invariant: whatever fails costs the batch at hand and is said; the next
//! batch is tried like the first.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::IgnoredAny;

use super::segment::{Shelf, day_of};
use super::{Batch, Body, Shared};

/// How often days that have become too old are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Of the lab's records in frames of 40 to 400, level 3 saves at most an eighth of
/// the room and takes a third longer, level 6 a sixth for four times as long;
/// level -1 is a quarter faster and takes half as much room again.
const LEVEL: i32 = 1;

pub(super) struct Writer {
    pub(super) shelf: Shelf,
    pub(super) queue: Receiver<Batch>,
    pub(super) shared: Arc<Shared>,
}

impl Writer {
    /// Writes until every [`super::Keeper`] is gone and the queue is empty.
    pub(super) fn run(mut self) {
        self.sweep();
        let mut today = day_of(Timestamp::now());
        loop {
            match self.queue.recv_timeout(SWEEP_EVERY) {
                Ok(batch) => self.take(batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let day = day_of(Timestamp::now());
            if day != today {
                today = day;
                self.sweep();
            }
        }
        if let Err(error) = self.shelf.sync() {
            self.shared.failed(0, &error.to_string());
        }
    }

    fn sweep(&mut self) {
        match self.shelf.sweep(day_of(Timestamp::now())) {
            Ok(()) => self.shared.kept(&self.shelf),
            Err(error) => self.shared.failed(0, &error.to_string()),
        }
    }

    fn take(&mut self, batch: Batch) {
        let mut works = true;
        for bodies in batch.bodies.chunk_by(|a, b| day(a) == day(b)) {
            let appended = frame(bodies).and_then(|frame| match bodies.first() {
                Some(first) if !frame.is_empty() => self.shelf.append(day(first), &frame),
                _ => Ok(()),
            });
            if let Err(error) = appended {
                works = false;
                self.shared.failed(bodies.len(), &error.to_string());
            }
        }
        self.shared.kept(&self.shelf);
        drop(batch.bodies);
        let queued = self
            .shared
            .queued_bytes
            .fetch_sub(batch.bytes, Ordering::AcqRel);
        if queued == batch.bytes {
            self.shared.behind.store(false, Ordering::Release);
            if works {
                self.shared.works();
            }
        }
        // A pipeline that is past its commit does not listen any more.
        let _ = batch.written.send(());
    }
}

fn day(body: &Body) -> Date {
    day_of(body.received_at)
}

/// The bodies as lines in one frame; empty where none is JSON.
fn frame(bodies: &[Body]) -> io::Result<Vec<u8>> {
    let mut lines = bodies.iter().filter_map(line).peekable();
    if lines.peek().is_none() {
        return Ok(Vec::new());
    }
    let mut frame = zstd::Encoder::new(Vec::new(), LEVEL)?;
    frame.include_checksum(true)?;
    for line in lines {
        frame.write_all(&line)?;
        frame.write_all(b"\n")?;
    }
    frame.finish()
}

/// A body on one line: in JSON a line break stands between tokens only. `None`
/// where it is not JSON; it is in quarantine.
fn line(body: &Body) -> Option<Cow<'_, [u8]>> {
    let bytes = body
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&body.bytes);
    // The decoder takes a broken message apart; as a line of a file it would
    // run into the next.
    let bytes = bytes.trim_ascii();
    let envelope = body.sound && bytes.first() == Some(&b'{') && bytes.last() == Some(&b'}');
    if !envelope {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        if !values.all(|value| value.is_ok()) {
            return None;
        }
    }
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !bytes.iter().any(is_break) {
        return Some(Cow::Borrowed(bytes));
    }
    let spaced = bytes
        .iter()
        .map(|byte| if is_break(byte) { b' ' } else { *byte });
    Some(Cow::Owned(spaced.collect()))
}
