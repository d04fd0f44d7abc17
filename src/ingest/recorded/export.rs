//! CSV as Log Analytics exports it: one row a record, JSON inside of cells.
//!
//! Invariant: a row is read whole or reported with the line it begins on. The
//! first rows are held back until the order of day and month in the file's
//! dates is known (`dates`); where they do not tell it, the file is refused.

use std::borrow::Cow;
use std::cell::Cell as Counter;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use super::dates::{self, Evidence, Order};
use super::table::{self, Cell, Heads};
use super::{Each, Located, VALUE_BYTES_MAX, broken, invalid};

/// Rows held back at most, in search of a date that tells the order.
const HELD_ROWS_MAX: usize = 5_000;
/// The same in bytes.
const HELD_BYTES_MAX: usize = VALUE_BYTES_MAX;
/// A first line with so many known columns is a head.
const KNOWN_COLUMNS_MIN: usize = 2;

/// What separates the columns of a first line; `None` where the text begins
/// with something else than the heads of columns.
pub(super) fn delimiter(text: &[u8]) -> Option<u8> {
    let line = text.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let heads = |by: u8| {
        line.split(char::from(by))
            .map(|head| head.trim_matches('"'))
    };
    let separators = b",;\t".iter().copied();
    let best = separators.max_by_key(|by| (table::known(heads(*by)), heads(*by).count()))?;
    let is_name = |head: &str| {
        head.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && head
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " _-.[]()".contains(c))
    };
    let count = heads(best).count();
    let looks_so = count >= 3 && heads(best).all(is_name);
    (table::known(heads(best)) >= KNOWN_COLUMNS_MIN || looks_so).then_some(best)
}

pub(super) fn read(reader: &mut dyn BufRead, delimiter: u8, each: &mut Each<'_>) -> io::Result<()> {
    let since = Rc::new(Counter::new(0));
    let bounded = Bounded {
        reader,
        since: Rc::clone(&since),
    };
    let mut rows = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bounded);
    let mut row = ByteRecord::new();
    read_row(&mut rows, &mut row, &since)?;
    let heads: Vec<Cow<'_, str>> = row.iter().map(String::from_utf8_lossy).collect();
    let heads = Heads::new(heads.iter().map(|head| &**head))
        .map_err(|problem| invalid(format!("line 1: {problem}")))?;
    if !heads.are_of_a_table() {
        return Err(invalid(
            "line 1: columns of no known table; expected an export of SigninLogs, AuditLogs, \
             AADUserRiskEvents or the like with all of its columns, or with Type"
                .to_owned(),
        ));
    }
    let mut file = Export::new(heads);
    while read_row(&mut rows, &mut row, &since)? {
        let line = row.position().map_or(0, csv::Position::line);
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        file.take(line, &row, each)?;
    }
    file.settle(each)
}

fn read_row(
    rows: &mut csv::Reader<Bounded<'_>>,
    row: &mut ByteRecord,
    since: &Counter<usize>,
) -> io::Result<bool> {
    since.set(0);
    let line = rows.position().line();
    rows.read_byte_record(row).map_err(|error| {
        let kind = match error.kind() {
            csv::ErrorKind::Io(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, format!("line {line}: {error}"))
    })
}

/// An export on its way through.
struct Export {
    heads: Heads,
    times: Vec<usize>,
    order: Option<Order>,
    settled: bool,
    held: Vec<(usize, ByteRecord)>,
    held_bytes: usize,
    /// The first date that could be read in two ways: line, column, text.
    ambiguous: Option<(usize, String, String)>,
}

impl Export {
    fn new(heads: Heads) -> Self {
        Self {
            times: heads.times(),
            heads,
            order: None,
            settled: false,
            held: Vec::new(),
            held_bytes: 0,
            ambiguous: None,
        }
    }

    fn take(&mut self, line: usize, row: &ByteRecord, each: &mut Each<'_>) -> io::Result<()> {
        if self.settled {
            self.decode(line, row, each);
            return Ok(());
        }
        self.held_bytes += row.as_slice().len();
        self.held.push((line, row.clone()));
        let enough = self.held.len() >= HELD_ROWS_MAX || self.held_bytes >= HELD_BYTES_MAX;
        if self.tells(line, row) || enough {
            self.settle(each)?;
        }
        Ok(())
    }

    /// Whether this row tells the order, or that there is nothing to tell.
    fn tells(&mut self, line: usize, row: &ByteRecord) -> bool {
        let text = |at: &usize| row.get(*at).and_then(|cell| std::str::from_utf8(cell).ok());
        let details = self.heads.details().iter().find_map(text).unwrap_or("");
        let mut plain = false;
        let mut ambiguous = false;
        for at in &self.times {
            let Some(cell) = text(at).filter(|cell| !cell.trim().is_empty()) else {
                continue;
            };
            match dates::evidence(cell, details) {
                Evidence::None => plain = true,
                Evidence::Either => ambiguous = true,
                Evidence::Shown(order) => {
                    self.order = Some(order);
                    return true;
                }
                Evidence::Ambiguous => {
                    ambiguous = true;
                    if self.ambiguous.is_none() {
                        let column = self.heads.name(*at).to_owned();
                        let cell = cell.chars().take(60).collect();
                        self.ambiguous = Some((line, column, cell));
                    }
                }
            }
        }
        plain && !ambiguous
    }

    /// Decodes what was held back.
    fn settle(&mut self, each: &mut Each<'_>) -> io::Result<()> {
        if let (None, Some((line, column, cell))) = (self.order, &self.ambiguous) {
            return Err(invalid(format!(
                "line {line}: {column}: saw {cell:?}, expected to know which number is the month, \
                 and no date up to here tells; export more days, or with times as ISO 8601: \
                 `az monitor log-analytics query` writes them so"
            )));
        }
        self.settled = true;
        for (line, row) in std::mem::take(&mut self.held) {
            self.decode(line, &row, each);
        }
        Ok(())
    }

    fn decode(&self, line: usize, row: &ByteRecord, each: &mut Each<'_>) {
        let fail = |reason: String| broken(line, row.as_slice().to_vec(), reason);
        if row.len() != self.heads.len() {
            each(fail(format!(
                "saw {} columns, expected {} as in line 1",
                row.len(),
                self.heads.len()
            )));
            return;
        }
        let bad = row
            .iter()
            .position(|cell| std::str::from_utf8(cell).is_err());
        if let Some(at) = bad {
            each(fail(format!("{}: not UTF-8", self.heads.name(at))));
            return;
        }
        let cell = |at: usize| {
            let text = std::str::from_utf8(row.get(at)?).ok()?;
            Some(Cell::Text(Cow::Borrowed(text)))
        };
        each(Located {
            line,
            content: self.heads.decode(cell, self.order),
        });
    }
}

/// Refuses a row that does not end: a quote that is not closed would make the
/// rest of the file one cell.
struct Bounded<'a> {
    reader: &'a mut dyn BufRead,
    since: Rc<Counter<usize>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > VALUE_BYTES_MAX {
            return Err(invalid(format!(
                "a row longer than {} MiB; is a quote not closed?",
                VALUE_BYTES_MAX >> 20
            )));
        }
        loop {
            let read = self.reader.read(buffer)?;
            self.since.set(self.since.get() + read);
            // A line ends with LF alone, or the csv crate would count the lines
            // of what ends with CRLF from the one before.
            let mut kept = 0;
            for at in 0..read {
                if buffer[at] != b'\r' {
                    buffer[kept] = buffer[at];
                    kept += 1;
                }
            }
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}
