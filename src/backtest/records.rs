//! Recorded files, decoded on all cores and handed on in their own order.
//!
//! Invariant: what comes out depends on the files alone, never on how many
//! threads decode. Where a file may be cut is found in its bytes, and whoever
//! reads takes the pieces back in the order in which they were cut.
//!
//! Memory is bounded: a file has at most a few pieces of one MiB under way.
//! A file that cannot be cut (compressed, a JSON array, a table) is read by a
//! thread of its own that waits when nobody takes what it has decoded.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use jiff::Timestamp;

use crate::ingest::recorded;
use crate::model::Event;

/// A piece of a file that is decoded at once.
const PIECE_BYTES: u64 = 1024 * 1024;
/// Where no cut is found in so many bytes, the rest is read as a stream: as
/// right, but on one thread.
const UNCUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events of a file that are looked at to learn when it begins and which way it
/// runs.
const PEEK_EVENTS: usize = 256;
/// What is read in search of them: more than the rows of a CSV that are held
/// back until one tells day and month, and than one value.
const PEEK_BYTES_MAX: u64 = 2 * recorded::VALUE_BYTES_MAX as u64;
/// What shows how a file is laid out.
const HEAD_BYTES: u64 = 64;
/// Read at once of a file that is not cut.
const READ_BYTES: usize = 128 * 1024;
/// Records of a block that a thread of its own hands on.
const BLOCK_RECORDS: u64 = 512;
/// Blocks of such a thread that may wait.
const BLOCKS_WAITING_MAX: usize = 2;
/// Undecodable records that are named; the others are counted.
pub(super) const UNREAD_NAMED_MAX: usize = 20;

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unread {
    /// The file as it was named.
    pub file: String,
    /// The line it begins on, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Decoded records that stood together.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) events: Vec<Event>,
    /// All records: events, passed over and unread.
    pub(super) records: u64,
    pub(super) passed_over: BTreeMap<&'static str, u64>,
    pub(super) unread: u64,
    /// Of those, the first few.
    pub(super) named: Vec<Unread>,
    /// Bytes of the file that this was.
    pub(super) bytes: u64,
}

impl Block {
    fn take(&mut self, located: recorded::Located, name: &str, lines_before: usize) {
        let content = located.content;
        let all = content.events.len() + content.passed_over.len() + content.quarantined.len();
        self.records += all as u64;
        for category in content.passed_over {
            *self.passed_over.entry(category.0).or_default() += 1;
        }
        for record in content.quarantined {
            self.unread += 1;
            if self.named.len() < UNREAD_NAMED_MAX {
                self.named.push(Unread {
                    file: name.to_owned(),
                    line: lines_before + located.line,
                    reason: record.reason,
                });
            }
        }
        self.events
            .extend(content.events.into_iter().map(|(_, event)| event));
    }
}

/// What a file is at first sight.
#[derive(Debug)]
pub(super) struct Peek {
    /// When its first event happened; `None` where none was seen.
    pub(super) begins: Option<Timestamp>,
    /// Whether it runs backwards, as exports of a query often do.
    pub(super) newest_first: bool,
}

/// Looks at the beginning of a file. Standard input cannot be looked at twice:
/// it is taken to run forwards from the beginning of time.
pub(super) fn peek(path: &Path) -> io::Result<Peek> {
    let mut times = Vec::new();
    if !is_stdin(path) {
        let watch = Arc::new(Watch::default());
        let head = BufReader::new(open(path, &watch)?.take(PEEK_BYTES_MAX));
        // Cut in the middle of something, which need not decode; whoever
        // reads it whole will say what is wrong with it.
        let _ = recorded::read(head, |located| {
            let seen = located.content.events.iter();
            times.extend(seen.map(|(_, event)| event.at()));
            watch
                .gone
                .store(times.len() >= PEEK_EVENTS, Ordering::Relaxed);
        });
        // How much was on its way when we had enough is the reader's business.
        times.truncate(PEEK_EVENTS);
    }
    let mut course = recorded::Course::default();
    times.iter().for_each(|at| course.see(*at));
    Ok(Peek {
        newest_first: course.is_newest_first(),
        begins: times.first().copied(),
    })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file: the one place that knows how.
fn open(path: &Path, watch: &Arc<Watch>) -> io::Result<Box<dyn Read + Send>> {
    let watch = Arc::clone(watch);
    if is_stdin(path) {
        let reader = io::stdin();
        return recorded::unpacked(BufReader::new(Watched { reader, watch }));
    }
    let reader = File::open(path)?;
    recorded::unpacked(BufReader::new(Watched { reader, watch }))
}

/// A piece to decode, and whom to give it to.
struct Job {
    name: String,
    bytes: Vec<u8>,
    /// Lines of the file before it.
    lines_before: usize,
    reply: SyncSender<io::Result<Block>>,
}

impl Job {
    fn run(self) {
        let mut block = Block::default();
        let read = recorded::read(self.bytes.as_slice(), |located| {
            block.take(located, &self.name, self.lines_before);
        });
        // Nobody to take it: the run has failed elsewhere.
        let _ = self.reply.send(read.map(|()| block));
    }
}

/// The threads that decode; with none, decoding is done where it is asked for.
pub(super) struct Decoders<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    jobs: Option<Sender<Job>>,
    /// Pieces of one file under way at once.
    ahead: usize,
}

impl<'scope, 'env> Decoders<'scope, 'env> {
    /// Starts `threads` of them; they end with the last [`Decoders`].
    pub(super) fn start(scope: &'scope Scope<'scope, 'env>, threads: usize) -> Self {
        if threads <= 1 {
            return Self {
                scope,
                jobs: None,
                ahead: 1,
            };
        }
        let (jobs, inbox) = channel::<Job>();
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..threads {
            let inbox = Arc::clone(&inbox);
            scope.spawn(move || {
                loop {
                    let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = next else { return };
                    job.run();
                }
            });
        }
        Self {
            scope,
            jobs: Some(jobs),
            ahead: 2 * threads,
        }
    }

    fn decode(&self, job: Job) {
        let refused = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.run();
        }
    }
}

/// A file on its way through.
pub(super) struct Records {
    name: String,
    watch: Arc<Watch>,
    under_way: VecDeque<Receiver<io::Result<Block>>>,
    pieces: Option<Pieces>,
    whole: Option<Receiver<io::Result<Block>>>,
}

impl Records {
    /// Opens the file.
    pub(super) fn open(path: &Path, decoders: &Decoders<'_, '_>) -> io::Result<Self> {
        let watch = Arc::new(Watch::default());
        let mut records = Self {
            name: path.display().to_string(),
            under_way: VecDeque::new(),
            whole: None,
            pieces: None,
            watch: Arc::clone(&watch),
        };
        let mut reader = open(path, &watch)?;
        let mut head = Vec::new();
        (&mut reader).take(HEAD_BYTES).read_to_end(&mut head)?;
        if are_lines_of_records(&head) {
            records.pieces = Some(Pieces {
                reader,
                rest: head,
                lines: 0,
            });
        } else {
            let reader = Box::new(io::Cursor::new(head).chain(reader));
            records.read_whole(reader, 0, decoders);
        }
        Ok(records)
    }

    /// The next block, waited for; `None` at the end.
    pub(super) fn next(&mut self, decoders: &Decoders<'_, '_>) -> io::Result<Option<Block>> {
        while let Some(pieces) = &mut self.pieces
            && self.under_way.len() < decoders.ahead
        {
            let lines_before = pieces.lines;
            match pieces.next()? {
                Piece::Cut(bytes) => {
                    let (reply, block) = sync_channel(1);
                    self.under_way.push_back(block);
                    decoders.decode(Job {
                        name: self.name.clone(),
                        bytes,
                        lines_before,
                        reply,
                    });
                }
                Piece::Uncut(reader) => {
                    self.pieces = None;
                    self.read_whole(reader, lines_before, decoders);
                }
                Piece::End => self.pieces = None,
            }
        }
        let received = match (self.under_way.pop_front(), &self.whole) {
            (Some(block), _) => block.recv().ok(),
            (None, Some(blocks)) => blocks.recv().ok(),
            (None, None) => None,
        };
        let mut block = received.transpose()?;
        if let Some(block) = &mut block {
            block.bytes = self.watch.bytes.swap(0, Ordering::Relaxed);
        }
        Ok(block)
    }

    fn read_whole(
        &mut self,
        reader: Box<dyn Read + Send>,
        lines_before: usize,
        decoders: &Decoders<'_, '_>,
    ) {
        let (send, blocks) = sync_channel(BLOCKS_WAITING_MAX);
        let (name, watch) = (self.name.clone(), Arc::clone(&self.watch));
        decoders.scope.spawn(move || {
            let mut block = Block::default();
            let reader = BufReader::with_capacity(READ_BYTES, reader);
            let read = recorded::read(reader, |located| {
                block.take(located, &name, lines_before);
                if block.records >= BLOCK_RECORDS {
                    let gone = send.send(Ok(std::mem::take(&mut block))).is_err();
                    watch.gone.store(gone, Ordering::Relaxed);
                }
            });
            // Nobody to take it: the run has failed elsewhere.
            let _ = send.send(Ok(block));
            if let Err(error) = read {
                let _ = send.send(Err(error));
            }
        });
        self.whole = Some(blocks);
    }
}

/// What a file's reader and whoever takes its records tell each other.
#[derive(Default)]
struct Watch {
    /// Bytes read since they were last asked for.
    bytes: AtomicU64,
    /// Nobody takes the blocks any more: decoding cannot be stopped, but
    /// reading can.
    gone: AtomicBool,
}

struct Watched<R> {
    reader: R,
    watch: Arc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.gone.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let read = self.reader.read(buffer)?;
        self.watch.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Whether a file that begins so holds a record a line.
fn are_lines_of_records(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start().first() == Some(&b'{')
}

/// A file of lines, cut between records.
struct Pieces {
    reader: Box<dyn Read + Send>,
    /// What was read and is behind the last cut.
    rest: Vec<u8>,
    /// Lines before that.
    lines: usize,
}

enum Piece {
    Cut(Vec<u8>),
    /// No place to cut was found: the rest, to be read as a stream.
    Uncut(Box<dyn Read + Send>),
    End,
}

impl Pieces {
    fn next(&mut self) -> io::Result<Piece> {
        let mut bytes = std::mem::take(&mut self.rest);
        loop {
            let read = (&mut self.reader)
                .take(PIECE_BYTES)
                .read_to_end(&mut bytes)?;
            if read == 0 && bytes.is_empty() {
                return Ok(Piece::End);
            }
            if read == 0 {
                return Ok(self.cut(bytes));
            }
            if let Some(cut) = last_cut(&bytes) {
                self.rest = bytes.split_off(cut);
                return Ok(self.cut(bytes));
            }
            if bytes.len() > UNCUT_BYTES_MAX {
                let behind = std::mem::replace(&mut self.reader, Box::new(io::empty()));
                return Ok(Piece::Uncut(Box::new(io::Cursor::new(bytes).chain(behind))));
            }
        }
    }

    fn cut(&mut self, bytes: Vec<u8>) -> Piece {
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        Piece::Cut(bytes)
    }
}

/// Where the last line begins that begins a record: a brace behind a line that
/// ends with one. In JSON that is never inside a value: no comma stands
/// between them, and a string holds no line break.
fn last_cut(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    while let Some(at) = bytes
        .get(..end)?
        .windows(2)
        .rposition(|pair| pair == b"\n{")
    {
        let before = bytes.get(..at).unwrap_or_default();
        if before.strip_suffix(b"\r").unwrap_or(before).last() == Some(&b'}') {
            return Some(at + 1);
        }
        end = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_between_records_only() {
        let table: [(&str, Option<usize>); 8] = [
            ("{\"a\":1}\n{\"b\":", Some(8)),
            ("{\"a\":1}\r\n{\"b\":", Some(9)),
            ("{\"a\":1}\n{\"b\":2}\n{", Some(16)),
            // Records inside an envelope, and a value laid out over lines.
            ("{\"records\":[\n{\"a\":1},\n{\"b\":2}", None),
            ("{\"a\":\n{\"b\":2}", None),
            // A record that was cut, and a whole one behind it.
            ("{\"a\":1}\n{\"b\n{\"c\":1}", Some(8)),
            ("", None),
            ("{", None),
        ];
        for (text, expected) in table {
            assert_eq!(last_cut(text.as_bytes()), expected, "{text:?}");
        }
    }
}
