//! Recorded records, for `replay` and for a backtest: what the daemon kept,
//! what Event Hubs captured, what Log Analytics exported, what a test holds.
//!
//! What a file is is told by its content, never by its name: gzip and zstd;
//! Capture's Avro; CSV and JSON of Log Analytics; NDJSON and arrays of records,
//! envelopes and test cases. However it is wrapped, a record is decoded by
//! [`entra::decode`], so that its fields are read in one way only.
//!
//! Invariant: read as a stream; memory is bounded by one value
//! ([`VALUE_BYTES_MAX`]), and a file of any length can be replayed. A value
//! that is broken costs that value, and is reported with its line.

mod capture;
mod columns;
mod course;
mod dates;
mod export;
mod json;
mod packed;
mod query;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, BufReader, Cursor, Read as _};

pub use self::course::Course;
pub use self::packed::unpacked;
use self::packed::{Packing, Unpacked};
use super::{Decoded, Undecodable, entra};

/// The longest value that is read, in bytes: an Event Hubs message is at most
/// 1 MiB, an export may wrap several.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of a file is looked at to tell what it is, in bytes. The longest
/// of it is the first line of a CSV: Log Analytics' have 1–3 KB.
const HEAD_BYTES: usize = 64 * 1024;
/// How much is unpacked at a time, in bytes: a block of zstd.
const UNPACKED_BYTES: usize = 128 * 1024;
/// How often a file may be compressed: a compressed file in a compressed one.
const PACKINGS_MAX: usize = 2;

/// What one value of the file decoded to.
#[derive(Debug)]
pub struct Located {
    /// The line it begins on, from 1; in an Avro file, which has no lines, the
    /// number of the message.
    pub line: usize,
    /// What it held.
    pub content: Decoded,
}

/// Decodes every value of `reader`, in order.
///
/// A file that was cut, also inside its compressed data, is read to where it
/// was cut, and that is reported like a value that does not decode.
///
/// # Errors
/// When reading fails, a value is longer than [`VALUE_BYTES_MAX`], compressed
/// data or an Avro container are damaged, or the columns of a CSV or its dates
/// cannot be told. The message names the line, the column, what was seen and
/// what was expected.
pub fn read(mut reader: impl BufRead, mut each: impl FnMut(Located)) -> io::Result<()> {
    read_shape(&mut reader, PACKINGS_MAX, &mut each)
}

type Each<'a> = dyn FnMut(Located) + 'a;

fn read_shape(
    reader: &mut dyn BufRead,
    packings_left: usize,
    each: &mut Each<'_>,
) -> io::Result<()> {
    let mut head = Vec::new();
    io::Read::take(&mut *reader, HEAD_BYTES as u64).read_to_end(&mut head)?;
    let shape = Shape::of(&head)?;
    let mut whole = Cursor::new(head).chain(reader);
    match shape {
        Shape::Packed(packing) => {
            let Some(left) = packings_left.checked_sub(1) else {
                return Err(invalid(format!(
                    "compressed more than {PACKINGS_MAX} times"
                )));
            };
            let mut unpacked = Unpacked::new(packing, &mut whole)?;
            let mut last = 0;
            read_shape(
                &mut BufReader::with_capacity(UNPACKED_BYTES, &mut unpacked),
                left,
                &mut |located| {
                    last = located.line;
                    each(located);
                },
            )?;
            if unpacked.was_cut() {
                let reason = "the compressed data have no end: the file was cut here, or is \
                              still being written";
                each(broken(last.max(1), Vec::new(), reason.to_owned()));
            }
            Ok(())
        }
        Shape::Capture => capture::read(&mut whole, each),
        Shape::Query => query::read(&mut whole, each),
        Shape::Csv { delimiter } => export::read(&mut whole, delimiter, each),
        Shape::Json => json::read(&mut whole, each),
    }
}

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Packed(Packing),
    /// An Avro object container, as Event Hubs Capture writes it.
    Capture,
    /// `{"tables":[…]}`, as Azure Monitor answers a query.
    Query,
    Csv {
        delimiter: u8,
    },
    /// One JSON value after the other, or an array of them.
    Json,
}

impl Shape {
    fn of(head: &[u8]) -> io::Result<Self> {
        if let Some(packing) = Packing::of(head) {
            return Ok(Self::Packed(packing));
        }
        if head.starts_with(capture::MAGIC) {
            return Ok(Self::Capture);
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(invalid("saw UTF-16, expected UTF-8".to_owned()));
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let text = text.trim_ascii_start();
        Ok(match text.first() {
            Some(b'{') if query::begins(text) => Self::Query,
            Some(b'{' | b'[') => Self::Json,
            _ => match export::delimiter(text) {
                Some(delimiter) => Self::Csv { delimiter },
                // Whatever it is, its lines will be reported.
                None => Self::Json,
            },
        })
    }
}

/// Decodes one record, envelope or array.
fn decode(value: &[u8]) -> Decoded {
    let mut decoded = entra::decode(value);
    // A value of a file has no index within a message of its own.
    if let [
        Undecodable {
            index: index @ Some(0),
            reason,
            ..
        },
    ] = &mut decoded.quarantined[..]
        && decoded.events.is_empty()
        && decoded.passed_over.is_empty()
    {
        *index = None;
        if let Some(plain) = reason.strip_prefix("records[0]") {
            *reason = plain.trim_start_matches(['.', ':', ' ']).to_owned();
        }
    }
    decoded
}

/// A value that could not be read.
fn broken(line: usize, bytes: Vec<u8>, reason: String) -> Located {
    Located {
        line,
        content: Decoded {
            quarantined: vec![Undecodable {
                bytes,
                index: None,
                reason,
            }],
            ..Decoded::default()
        },
    }
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
