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

pub(super) fn read(reader: &mut dyn BufRead, each: &mut Each<'_>) -> io::Result<()> {
    let mut file = File::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = VALUE_BYTES_MAX as u64 + 1;
        let read = io::Read::take(&mut *reader, limit).read_until(b'\n', &mut line)?;
        if read == 0 {
            file.end(each);
            return Ok(());
        }
        file.line += 1;
        if file.line == 1 {
            let bom = line.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
            line.drain(..bom);
        }
        file.take(&line, each);
        if file.value.len() > VALUE_BYTES_MAX || read as u64 == limit {
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
    scan: Scan,
    rows: Rows,
}

impl File {
    fn take(&mut self, line: &[u8], each: &mut Each<'_>) {
        // In NDJSON every record begins a line; one that does where the value
        // before it expects none means that that one was cut.
        if !self.value.is_empty()
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
                if !matches!(first, b'{' | b'"') {
                    // No record begins so: the rest of the line is one piece.
                    self.value.extend_from_slice(rest);
                    self.end(each);
                    return;
                }
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
