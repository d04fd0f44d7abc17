//! The files: one a UTC day, of whole zstd frames.
//!
//! Invariant: a file that is appended to ends with a whole frame. What a kill
//! or a power cut tore off is found by walking the frames (RFC 8878) when the
//! file is opened, and cut off; what a failed write left is cut off at once.
//! Only the user who runs the daemon can read them: they hold names and
//! addresses.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::config::HistoryConfig;

const FOLDER: &str = "history";
const SUFFIX: &str = ".ndjson.zst";

/// The files that can hold what arrived since then, oldest first, each to be
/// read with `ingest::recorded::read`. None where nothing was ever kept.
///
/// # Errors
/// When the directory cannot be read.
pub fn segments(state: &Path, since: Timestamp) -> io::Result<Vec<PathBuf>> {
    let first = day_of(since);
    let listed = list(&state.join(FOLDER))?.into_iter();
    Ok(listed
        .filter(|segment| segment.day >= first)
        .map(|segment| segment.path)
        .collect())
}

/// The UTC day of an instant.
pub(super) fn day_of(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    day: Date,
    path: PathBuf,
    bytes: u64,
}

/// Oldest first. Files of other names are not ours.
fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(day) = day.and_then(|day| day.parse().ok()) {
            found.push(Segment {
                day,
                path: entry.path(),
                bytes: entry.metadata()?.len(),
            });
        }
    }
    found.sort_by_key(|segment| segment.day);
    Ok(found)
}

/// The days that are kept, and the one that is written to.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    config: HistoryConfig,
    /// Oldest first.
    segments: Vec<Segment>,
    open: Option<(Date, File)>,
}

impl Shelf {
    /// Nothing is made or read yet.
    pub(super) fn new(state: &Path, config: HistoryConfig) -> Self {
        Self {
            folder: state.join(FOLDER),
            config,
            segments: Vec::new(),
            open: None,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn since(&self) -> Option<Date> {
        self.segments.first().map(|segment| segment.day)
    }

    /// Looks at what is there, and removes the days that are too old.
    pub(super) fn sweep(&mut self, today: Date) -> io::Result<()> {
        self.segments = list(&self.folder)?;
        let kept_days = i64::from(self.config.days) - 1;
        let first = today
            .checked_sub(jiff::Span::new().days(kept_days))
            .map_err(io::Error::other)?;
        while let Some(oldest) = self.segments.first().filter(|oldest| oldest.day < first) {
            remove(oldest)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Appends a frame to the day's file, whole or not at all, and removes the
    /// oldest days where that takes too much room.
    pub(super) fn append(&mut self, day: Date, frame: &[u8]) -> io::Result<()> {
        let length = frame.len() as u64;
        while self.bytes() + length > self.config.max_bytes {
            match self.segments.first().filter(|oldest| oldest.day < day) {
                Some(oldest) => remove(oldest)?,
                None => {
                    return Err(io::Error::other(
                        "today's records alone have reached history.max_bytes",
                    ));
                }
            }
            self.segments.remove(0);
        }
        self.open(day)?;
        let Some((_, file)) = &mut self.open else {
            return Err(io::Error::other("no file is open"));
        };
        let before = file.seek(SeekFrom::End(0))?;
        if let Err(error) = file.write_all(frame) {
            // Where this fails too, the walk at the next opening mends it.
            let _ = file.set_len(before);
            self.open = None;
            return Err(error);
        }
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.day == day) {
            segment.bytes = before + length;
        }
        Ok(())
    }

    /// Has what was written survive a power cut.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some((_, file)) => file.sync_data(),
            None => Ok(()),
        }
    }

    /// Opens the day's file, mended where it was torn.
    fn open(&mut self, day: Date) -> io::Result<()> {
        let path = self.folder.join(format!("{day}{SUFFIX}"));
        match &self.open {
            // Somebody may have removed it, by hand or with the directory.
            Some((open, _)) if *open == day && path.exists() => return Ok(()),
            _ => self.sync()?,
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(&path)?;
        let (length, whole) = (file.metadata()?.len(), whole_length(&mut file)?);
        if whole < length {
            tracing::warn!(
                bytes = length - whole,
                file = %path.display(),
                "the end of the history was torn and is cut off"
            );
            file.set_len(whole)?;
        }
        self.segments = list(&self.folder)?;
        self.open = Some((day, file));
        Ok(())
    }
}

fn remove(segment: &Segment) -> io::Result<()> {
    tracing::info!(day = %segment.day, bytes = segment.bytes, "a day of history is removed");
    match fs::remove_file(&segment.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The length of the whole frames that a file begins with. The last ones are
/// read too: after a power cut a file may have its length and not its content.
fn whole_length(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(0))?;
    let mut frames = BufReader::new(&mut *file);
    let mut whole = 0;
    // Eight bytes a frame, and a batch of the pipeline makes one.
    let mut begins = Vec::new();
    while whole < length {
        match frame_end(&mut frames, whole) {
            Ok(Some(end)) if end <= length => {
                begins.push(whole);
                whole = end;
            }
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    while let Some(begin) = begins.pop() {
        file.seek(SeekFrom::Start(begin))?;
        let frame = BufReader::new(io::Read::take(&mut *file, whole - begin));
        let mut frame = zstd::Decoder::with_buffer(frame)?;
        if io::copy(&mut frame, &mut io::sink()).is_ok() {
            break;
        }
        whole = begin;
    }
    Ok(whole)
}

/// Where the frame that begins at `at` ends, by its headers; `None` where no
/// frame begins there. The end may lie beyond the file's.
fn frame_end(frames: &mut BufReader<&mut File>, mut at: u64) -> io::Result<Option<u64>> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let mut head = [0; 5];
    frames.read_exact(&mut head)?;
    let [magic @ .., descriptor] = head;
    if magic != MAGIC {
        return Ok(None);
    }
    let single = descriptor & 0x20 != 0;
    let window = u64::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => u64::from(single),
        flag => 1 << flag,
    };
    let mut skip = window + dictionary + content_size;
    at += 5 + skip;
    loop {
        frames.seek_relative(i64::try_from(skip).map_err(io::Error::other)?)?;
        let mut block = [0; 3];
        frames.read_exact(&mut block)?;
        let header = u32::from_le_bytes([block[0], block[1], block[2], 0]);
        let size = u64::from(header >> 3);
        skip = match (header >> 1) & 3 {
            0 | 2 => size,
            1 => 1,
            _ => return Ok(None),
        };
        at += 3 + skip;
        if header & 1 == 1 {
            let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
            frames.seek_relative(i64::try_from(skip + checksum).map_err(io::Error::other)?)?;
            return Ok(Some(at + checksum));
        }
    }
}
