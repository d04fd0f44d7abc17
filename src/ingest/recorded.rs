//! Recorded records, for `replay`: NDJSON of records or of envelopes, JSON
//! arrays, and test cases that hold a record under `log`.
//!
//! Read as a stream: memory is bounded by one value, and a file of any length
//! can be replayed. A line that is broken costs that line: the next record at
//! the beginning of a line is found again.

use std::io::{self, BufRead};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::pieces::Scan;
use super::{Decoded, Undecodable, entra};

/// The longest value that is read, in bytes: an Event Hubs message is at most
/// 1 MiB, an export may wrap several.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What one value of the file decoded to.
#[derive(Debug)]
pub struct Located {
    /// The line it begins on, from 1.
    pub line: usize,
    /// What it held.
    pub content: Decoded,
}

/// Decodes every value of `reader`, in order.
///
/// # Errors
/// When reading fails, or a value is longer than [`VALUE_BYTES_MAX`].
pub fn read(mut reader: impl BufRead, mut each: impl FnMut(Located)) -> io::Result<()> {
    let mut file = File::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = VALUE_BYTES_MAX as u64 + 1;
        let read = io::Read::take(&mut reader, limit).read_until(b'\n', &mut line)?;
        if read == 0 {
            file.end(&mut each);
            return Ok(());
        }
        file.line += 1;
        if file.line == 1 {
            let bom = line.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
            line.drain(..bom);
        }
        file.take(&line, &mut each);
        if file.value.len() > VALUE_BYTES_MAX || read as u64 == limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "line {}: a value longer than {} MiB; expected one record or envelope a line",
                    file.begins,
                    VALUE_BYTES_MAX >> 20
                ),
            ));
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
}

impl File {
    fn take(&mut self, line: &[u8], each: &mut impl FnMut(Located)) {
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
    fn end(&mut self, each: &mut impl FnMut(Located)) {
        let value = std::mem::take(&mut self.value);
        let value = value.trim_ascii();
        if !value.is_empty() {
            each(Located {
                line: self.begins,
                content: decode(value),
            });
        }
    }
}

/// A test case of a rule set: `{"rule":…,"log":{record}}`.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    log: &'a RawValue,
}

fn decode(value: &[u8]) -> Decoded {
    if let Ok(wrapped) = serde_json::from_slice::<Wrapped<'_>>(value) {
        return entra::decode(wrapped.log.get().as_bytes());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"category":"SignInLogs","time":"2026-11-24T08:00:00Z","properties":{"id":"r","userId":"u","status":{"errorCode":0}}}"#;

    /// (line, events, passed over, reasons) of each value.
    fn outcome(text: &str) -> Vec<(usize, usize, usize, Vec<String>)> {
        let mut found = Vec::new();
        read(text.as_bytes(), |located| {
            let content = located.content;
            let reasons = content.quarantined.into_iter().map(|q| q.reason).collect();
            found.push((
                located.line,
                content.events.len(),
                content.passed_over.len(),
                reasons,
            ));
        })
        .unwrap();
        found
    }

    fn counts(text: &str) -> Vec<(usize, usize)> {
        outcome(text)
            .into_iter()
            .map(|(line, events, ..)| (line, events))
            .collect()
    }

    /// The corpus of the fuzz target `record`, replayed where nothing is fuzzed.
    #[test]
    fn the_corpus_of_records_breaks_nothing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/record");
        let mut files = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let decoded = entra::decode(&bytes);
            let held = decoded.quarantined.iter().map(|piece| piece.bytes.len());
            assert!(held.sum::<usize>() <= bytes.len(), "quarantine grows");
            read(&bytes[..], |located| assert!(located.line > 0)).unwrap();
            files += 1;
        }
        assert!(files > 10, "{files}");
    }

    #[test]
    fn every_shape_of_file_is_read() {
        let envelope = format!(r#"{{"records":[{RECORD},{RECORD}]}}"#);
        let pretty = serde_json::to_string_pretty(
            &serde_json::from_str::<serde_json::Value>(&format!("[{RECORD},{RECORD}]")).unwrap(),
        )
        .unwrap();
        let wrapped = format!(r#"{{"rule":"x","expected":true,"log":{RECORD}}}"#);
        let table = [
            (format!("{RECORD}\n{RECORD}\n"), vec![(1, 1), (2, 1)]),
            (
                format!("\u{feff}{RECORD}\r\n\r\n{RECORD}"),
                vec![(1, 1), (3, 1)],
            ),
            (envelope.clone(), vec![(1, 2)]),
            (format!("{envelope}\n{envelope}\n"), vec![(1, 2), (2, 2)]),
            (format!("[{RECORD},{RECORD}]"), vec![(1, 1), (1, 1)]),
            (pretty, vec![(2, 1), (13, 1)]),
            (wrapped, vec![(1, 1)]),
            (
                format!("{{\"records\":[\n{RECORD},\n{RECORD}\n]}}\n{RECORD}\n"),
                vec![(1, 2), (5, 1)],
            ),
            (String::new(), vec![]),
            ("[]\n".to_owned(), vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(counts(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_line_costs_that_line() {
        let text = format!(
            "{RECORD}\n{{\"category\":\"SignInLogs\",\"prop\n{RECORD}\nhello world\n{RECORD}\n"
        );
        let found = outcome(&text);
        let lines: Vec<(usize, usize)> = found.iter().map(|f| (f.0, f.1)).collect();
        assert_eq!(lines, [(1, 1), (2, 0), (3, 1), (4, 0), (5, 1)]);
        assert_eq!(found[1].3, ["the message ends before its JSON does"]);
        assert_eq!(found[3].3, ["expected a JSON object or array"]);
    }

    #[test]
    fn what_is_wrong_with_a_record_is_named_without_an_index() {
        let text = r#"{"category":"SignInLogs","properties":{"id":"r","userId":"u","createdDateTime":"soon"}}"#;
        assert_eq!(
            outcome(text)[0].3,
            [
                r#"properties.createdDateTime: saw "soon", expected a time such as 2026-11-24T08:00:00Z"#
            ]
        );
    }

    #[test]
    fn a_value_beyond_the_bound_is_an_error_that_names_its_line() {
        let text = format!(
            "{RECORD}\n{{\"a\":\"{}\"}}\n",
            "x".repeat(VALUE_BYTES_MAX + 10)
        );
        let error = read(text.as_bytes(), |_| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("line 2: a value longer than 16 MiB"),
            "{error}"
        );
    }
}
