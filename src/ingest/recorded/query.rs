//! The answer of an Azure Monitor query:
//! `{"tables":[{"columns":[{"name":…},…],"rows":[[…],…]}]}`
//! (learn.microsoft.com/azure/azure-monitor/logs/api/response-format).
//!
//! An answer is one JSON value of up to 100 MB, mostly on one line, so it is
//! read row by row. Invariant: memory is bounded by one row.

use std::cell::Cell as Counter;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::first_key;
use super::table::{Cell, Heads};
use super::{Each, Located, VALUE_BYTES_MAX, broken, invalid};

/// Whether a text begins as an answer does.
pub(super) fn begins(text: &[u8]) -> bool {
    first_key(text).is_some_and(|key| key.eq_ignore_ascii_case(b"tables"))
}

pub(super) fn read(reader: &mut dyn BufRead, each: &mut Each<'_>) -> io::Result<()> {
    let place = Rc::new(Place::default());
    let counted = Counted {
        reader,
        place: Rc::clone(&place),
    };
    let mut json = serde_json::Deserializer::from_reader(counted);
    let seed = Walk {
        place: &place,
        each: &mut *each,
        at: Level::Answer,
        heads: &mut None,
    };
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    if read.as_ref().is_err_and(serde_json::Error::is_eof) {
        let reason = "the answer has no end: the file was cut here";
        each(broken(place.line.get(), Vec::new(), reason.to_owned()));
        return Ok(());
    }
    read.map_err(|error| {
        let row = match place.row.get() {
            0 => String::new(),
            row => format!("row {row}: "),
        };
        let kind = error.io_error_kind().unwrap_or(io::ErrorKind::InvalidData);
        io::Error::new(kind, format!("line {}: {row}{error}", place.line.get()))
    })
}

/// Where in the file we are.
#[derive(Default)]
struct Place {
    /// Line ends read, and one.
    line: Counter<usize>,
    /// The row, from 1.
    row: Counter<usize>,
    /// Bytes since the last row began.
    since: Counter<usize>,
}

/// Counts lines, and refuses a row that does not end.
struct Counted<'a> {
    reader: &'a mut dyn BufRead,
    place: Rc<Place>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let place = &self.place;
        if place.since.get() > VALUE_BYTES_MAX {
            return Err(invalid(format!(
                "a row longer than {} MiB",
                VALUE_BYTES_MAX >> 20
            )));
        }
        if place.line.get() == 0 {
            place.line.set(1);
            // The mark of UTF-8, which is no JSON.
            if self.reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
                self.reader.consume(3);
            }
        }
        let read = self.reader.read(buffer)?;
        let taken = buffer.get(..read).unwrap_or_default();
        let ends = taken.iter().filter(|byte| **byte == b'\n').count();
        place.line.set(place.line.get() + ends);
        place.since.set(place.since.get() + read);
        Ok(read)
    }
}

/// What is read next.
#[derive(Clone, Copy)]
enum Level {
    Answer,
    Tables,
    Table,
    Rows,
}

/// Walks down an answer and hands each row on.
struct Walk<'w, 'e> {
    place: &'w Place,
    each: &'w mut Each<'e>,
    at: Level,
    /// Of the table that is read.
    heads: &'w mut Option<Heads>,
}

impl Walk<'_, '_> {
    fn down(&mut self, at: Level) -> Walk<'_, '_> {
        Walk {
            place: self.place,
            each: &mut *self.each,
            at,
            heads: &mut *self.heads,
        }
    }

    fn row(&mut self, cells: &[Box<RawValue>]) {
        let Some(heads) = self.heads.as_ref() else {
            return;
        };
        let mut content = heads.decode(|at| Cell::of(cells.get(at)?), None);
        // An answer is mostly one line.
        for record in &mut content.quarantined {
            record.reason = format!("row {}: {}", self.place.row.get(), record.reason);
        }
        (self.each)(Located {
            line: self.place.line.get(),
            content,
        });
    }
}

#[derive(Deserialize)]
struct Column {
    #[serde(alias = "Name", alias = "ColumnName")]
    name: String,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.at {
            Level::Answer | Level::Table => deserializer.deserialize_map(self),
            Level::Tables | Level::Rows => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.at {
            Level::Answer => "{\"tables\":[…]}",
            Level::Tables => "a list of tables",
            Level::Table => "a table with columns and rows",
            Level::Rows => "a list of rows",
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.place.since.set(0);
            match (self.at, key.to_ascii_lowercase().as_str()) {
                (Level::Answer, "tables") => map.next_value_seed(self.down(Level::Tables))?,
                (Level::Table, "columns") => {
                    let columns: Vec<Column> = map.next_value()?;
                    let heads = Heads::new(columns.iter().map(|column| column.name.as_str()));
                    *self.heads = Some(heads.map_err(A::Error::custom)?);
                }
                (Level::Table, "rows") if self.heads.is_none() => {
                    return Err(A::Error::custom("rows before their columns"));
                }
                (Level::Table, "rows") => map.next_value_seed(self.down(Level::Rows))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        loop {
            self.place.since.set(0);
            if let Level::Tables = self.at {
                *self.heads = None;
                if seq.next_element_seed(self.down(Level::Table))?.is_none() {
                    return Ok(());
                }
                continue;
            }
            self.place.row.set(self.place.row.get() + 1);
            match seq.next_element::<Vec<Box<RawValue>>>()? {
                Some(cells) => self.row(&cells),
                None => return Ok(()),
            }
        }
    }
}
