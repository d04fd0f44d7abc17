//! NDJSON and JSON arrays of records, envelopes, rows of Log Analytics and
//! test cases that hold a record under `log`.
//!
//! A line that is broken costs that line: the next record at the beginning of
//! a line is found again.

use std::io::{self, BufRead};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::table::Rows;
use super::{Each, Located, VALUE_BYTES_MAX, invalid};
use crate::ingest::pieces::Scan;
use crate::ingest::{Decoded, entra};

/// How much of a line is looked at together, in bytes. A whole array may stand
/// on one.
const LINE_BYTES: u64 = 1024 * 1024;

pub(super) fn read(reader: &mut dyn BufRead, each: &mut Each<'_>) -> io::Result<()> {
    let mut file = File::default();
    let mut line = Vec::new();
    let mut begins = true;
    loop {
        line.clear();
        let read = io::Read::take(&mut *reader, LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            file.end(each);
            return Ok(());
        }
        file.line += usize::from(begins);
        if begins && file.line == 1 {
            let bom = line.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
            line.drain(..bom);
        }
        file.take(&line, begins, each);
        begins = line.ends_with(b"\n");
        if file.too_long || file.value.len() > VALUE_BYTES_MAX {
            return Err(invalid(format!(
                "line {}: a value longer than {} MiB; expected one record or envelope a line",
                file.begins,
                VALUE_BYTES_MAX >> 20
            )));
        }
    }
}

/// A file on its way through.
#[derive(Default)]
struct File {
    line: usize,
    /// Whether a `[` of the top level is open.
    in_array: bool,
    /// The value so far, where it is longer than a line.
    value: Vec<u8>,
    begins: usize,
    /// Whether the value is none: it goes on to the end of the line.
    stray: bool,
    /// Whether a value was beyond the bound; nothing is read behind it.
    too_long: bool,
    scan: Scan,
    rows: Rows,
}

impl File {
    /// Takes in a line, or a part of one; `begins` where it is the first.
    fn take(&mut self, line: &[u8], begins: bool, each: &mut Each<'_>) {
        // In NDJSON every record begins a line; one that does where the value
        // before it expects none means that that one was cut.
        if begins
            && !self.value.is_empty()
            && !self.in_array
            && line.first() == Some(&b'{')
            && !self.expects_a_value()
        {
            self.end(each);
        }
        let mut rest = line;
        while !rest.is_empty() {
            if self.value.is_empty() {
                rest = self.between(rest);
                let Some(&first) = rest.first() else { return };
                self.begins = self.line;
                self.scan = Scan::default();
                // No record begins otherwise: the rest of the line is one piece.
                self.stray = !matches!(first, b'{' | b'"');
            }
            if self.stray {
                self.value.extend_from_slice(rest);
                if rest.ends_with(b"\n") {
                    self.end(each);
                }
                return;
            }
            let Some(length) = self.scan.feed(rest) else {
                self.value.extend_from_slice(rest);
                return;
            };
            let (value, after) = rest.split_at(length);
            self.value.extend_from_slice(value);
            rest = after;
            self.end(each);
        }
    }

    /// Whether an object may begin here, inside the value so far: an envelope
    /// may be laid out one record a line.
    fn expects_a_value(&self) -> bool {
        matches!(self.value.trim_ascii_end().last(), Some(b'[' | b',' | b':'))
    }

    /// Skips what may stand between two values.
    fn between<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        while let Some((&byte, after)) = rest.split_first() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                b'[' if !self.in_array => self.in_array = true,
                b']' if self.in_array => self.in_array = false,
                _ => return rest,
            }
            rest = after;
        }
        rest
    }

    /// The value is over, whole or not.
    fn end(&mut self, each: &mut Each<'_>) {
        let mut taken = std::mem::take(&mut self.value);
        self.too_long |= taken.len() > VALUE_BYTES_MAX;
        if self.too_long {
            return;
        }
        let value = taken.trim_ascii();
        if !value.is_empty() {
            each(Located {
                line: self.begins,
                content: self.decode(value),
            });
        }
        // Its room is used again.
        taken.clear();
        self.value = taken;
    }

    fn decode(&mut self, value: &[u8]) -> Decoded {
        match first_key(value) {
            Some([b'A'..=b'Z', ..]) => {
                if let Some(decoded) = self.rows.decode(value) {
                    return decoded;
                }
            }
            // The messages that the daemon kept.
            Some(b"records") => return super::decode(value),
            _ => {}
        }
        match serde_json::from_slice::<Wrapped<'_>>(value) {
            Ok(wrapped) => entra::decode(wrapped.log.get().as_bytes()),
            Err(_) => super::decode(value),
        }
    }
}

/// A test case of a rule set: `{"rule":…,"log":{record}}`.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    log: &'a RawValue,
}

/// The first key of an object, as it is written.
pub(super) fn first_key(value: &[u8]) -> Option<&[u8]> {
    let key = value.strip_prefix(b"{")?.trim_ascii_start();
    let key = key.strip_prefix(b"\"")?;
    key.split(|byte| *byte == b'"').next()
}
