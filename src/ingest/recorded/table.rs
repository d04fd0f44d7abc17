//! Rows of Log Analytics' tables as the records that they were made of.
//!
//! `columns` says for each column which field of the record it was; a row
//! becomes that record's JSON and goes through `entra::decode` like any other.
//!
//! Invariant: what a row's table is comes from its `Type`, else from its
//! `Category`, else from columns that only one table has; never from a guess.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::columns::Kind::{Json, Text, Time};
use super::columns::{ENVELOPE, Field, TABLES, Table};
use super::dates::{self, Order};
use crate::ingest::{Category, Decoded, Undecodable};

/// What Kusto appends to a column's name where a union found it with two types.
const TYPES: [&str; 8] = [
    "_dynamic",
    "_string",
    "_datetime",
    "_guid",
    "_bool",
    "_real",
    "_long",
    "_int",
];

/// A cell of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    /// Text, of a CSV or a JSON string.
    Text(Cow<'a, str>),
    /// A JSON value that is no string and not null.
    Json(&'a str),
}

impl<'a> Cell<'a> {
    /// The cell of a JSON value; `None` of null.
    pub(super) fn of(json: &'a RawValue) -> Option<Self> {
        match json.get() {
            "null" => None,
            text if text.starts_with('"') => {
                let text: Str<'a> = serde_json::from_str(text).ok()?;
                Some(Self::Text(text.0))
            }
            other => Some(Self::Json(other)),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Json(json) => json,
        }
    }
}

/// A string, borrowed where it can be.
#[derive(Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// The heads of columns, matched with the tables once.
#[derive(Debug)]
pub(super) struct Heads {
    names: Vec<String>,
    type_at: Vec<usize>,
    category_at: Vec<usize>,
    interactive_at: Vec<usize>,
    details_at: Vec<usize>,
    /// The table by its columns alone.
    marked: Option<usize>,
    /// `az monitor log-analytics query` writes `None` for nothing.
    none_is_nothing: bool,
    /// For each table, for each of its fields (the envelope's first), where
    /// its value may stand.
    plans: Vec<Vec<(Field, Vec<usize>)>>,
}

impl Heads {
    /// Matches the heads of columns, in their order.
    ///
    /// # Errors
    /// When a column of times is in another zone than UTC.
    pub(super) fn new<'a>(heads: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let names = heads.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let at = |column: &str| places(&names, column);
        let marked = TABLES.iter().position(|table| {
            !table.marks.is_empty() && table.marks.iter().all(|mark| !at(mark).is_empty())
        });
        let plans = TABLES
            .iter()
            .map(|table| {
                let fields = ENVELOPE.iter().chain(table.properties);
                fields.map(|field| (*field, at(field.0))).collect()
            })
            .collect();
        Ok(Self {
            type_at: at("Type"),
            category_at: at("Category"),
            interactive_at: at("IsInteractive"),
            details_at: at("AuthenticationDetails"),
            marked,
            none_is_nothing: !at("TableName").is_empty(),
            plans,
            names,
        })
    }

    /// Whether rows under these heads can be told at all.
    pub(super) fn are_of_a_table(&self) -> bool {
        self.marked.is_some() || !self.type_at.is_empty()
    }

    /// The number of columns.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The columns that hold times.
    pub(super) fn times(&self) -> Vec<usize> {
        let mut found: Vec<usize> = self
            .plans
            .iter()
            .flatten()
            .filter(|(field, _)| field.2 == Time)
            .flat_map(|(_, at)| at.iter().copied())
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The columns that hold Entra's own ISO times.
    pub(super) fn details(&self) -> &[usize] {
        &self.details_at
    }

    /// The name of a column without its type and zone.
    pub(super) fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    /// Decodes the row of these cells. Never fails, as `entra::decode` does
    /// not.
    pub(super) fn decode<'a>(
        &self,
        cell: impl Fn(usize) -> Option<Cell<'a>>,
        order: Option<Order>,
    ) -> Decoded {
        let cell = |at: usize| cell(at).filter(|cell| self.says(cell));
        let table = match self.table(&cell) {
            Ok(table) => table,
            Err(unknown) => return unknown,
        };
        let (json, bad_date) = self.record(table, &cell, order);
        let mut decoded = match bad_date {
            Some(reason) => Decoded {
                quarantined: vec![Undecodable {
                    bytes: json,
                    index: None,
                    reason,
                }],
                ..Decoded::default()
            },
            None => super::decode(&json),
        };
        for record in &mut decoded.quarantined {
            record.reason = in_columns(&record.reason, table);
        }
        decoded
    }

    fn says(&self, cell: &Cell<'_>) -> bool {
        let text = cell.text().trim();
        !(text.is_empty() || self.none_is_nothing && text == "None")
    }

    fn first<'a>(
        &self,
        at: &[usize],
        cell: &impl Fn(usize) -> Option<Cell<'a>>,
    ) -> Option<Cell<'a>> {
        at.iter().find_map(|at| cell(*at))
    }

    /// The index of the row's table; else what is to be made of the row.
    fn table<'a>(&self, cell: &impl Fn(usize) -> Option<Cell<'a>>) -> Result<usize, Decoded> {
        if let Some(kind) = self.first(&self.type_at, cell) {
            let kind = kind.text().trim();
            // Another table's row is as a record of another category.
            return TABLES
                .iter()
                .position(|table| table.name.eq_ignore_ascii_case(kind))
                .ok_or_else(|| Decoded {
                    passed_over: vec![Category::OTHER],
                    ..Decoded::default()
                });
        }
        if let Some(category) = self.first(&self.category_at, cell) {
            let category = category.text().trim();
            let named = |table: &Table| table.category.eq_ignore_ascii_case(category);
            if let Some(at) = TABLES.iter().position(named) {
                return Ok(at);
            }
        }
        if let Some(at) = self.marked {
            let interactive = self.first(&self.interactive_at, cell);
            let told = interactive.is_some_and(|flag| flag.text().eq_ignore_ascii_case("false"));
            return Ok(if at == 0 && told { 1 } else { at });
        }
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        Err(Decoded {
            quarantined: vec![Undecodable {
                bytes: Vec::new(),
                index: None,
                reason: format!("Type: missing, expected one of {}", names.join(", ")),
            }],
            ..Decoded::default()
        })
    }

    /// The row as its record's JSON, and what is wrong with a date of it.
    fn record<'a>(
        &self,
        table: usize,
        cell: &impl Fn(usize) -> Option<Cell<'a>>,
        order: Option<Order>,
    ) -> (Vec<u8>, Option<String>) {
        let mut json = format!("{{\"category\":\"{}\"", TABLES[table].category).into_bytes();
        let mut bad_date = None;
        let mut inside = false;
        for (number, (field, at)) in self.plans[table].iter().enumerate() {
            if number == ENVELOPE.len() {
                json.extend_from_slice(b",\"properties\":{");
                inside = true;
            }
            let Some(value) = self.first(at, cell) else {
                continue;
            };
            let (column, key, kind) = *field;
            if !json.ends_with(b"{") {
                json.push(b',');
            }
            put_text(&mut json, key);
            json.push(b':');
            match (&value, kind) {
                (Cell::Text(text), Time) => match dates::iso(text, order) {
                    Some(iso) => put_text(&mut json, &iso),
                    None => {
                        let text: String = text.chars().take(60).collect();
                        bad_date = Some(format!(
                            "{column}: saw {text:?}, expected a time such as \
                             2026-11-24T08:00:00Z, or as the rest of the file has it"
                        ));
                        put_text(&mut json, &text);
                    }
                },
                (Cell::Text(text), Json) if is_json(text) => {
                    json.extend_from_slice(text.trim().as_bytes());
                }
                (Cell::Text(text), Text | Json) => put_text(&mut json, text),
                (Cell::Json(value), _) => json.extend_from_slice(value.as_bytes()),
            }
        }
        json.extend_from_slice(if inside { b"}}" } else { b"}" });
        (json, bad_date)
    }
}

/// A column's name without its zone and its type.
fn name(head: &str) -> Result<String, String> {
    let head = head.trim_start_matches('\u{feff}').trim();
    let mut name = head;
    if let Some((column, zone)) = head.split_once(" [") {
        if zone != "UTC]" {
            return Err(format!(
                "column {head:?}: expected times in UTC; set the portal's time zone to UTC and \
                 export again"
            ));
        }
        name = column;
    }
    let bare = TYPES.iter().find_map(|kind| name.strip_suffix(kind));
    Ok(bare.unwrap_or(name).to_owned())
}

fn places(names: &[String], column: &str) -> Vec<usize> {
    let named = |(at, name): (usize, &String)| name.eq_ignore_ascii_case(column).then_some(at);
    names.iter().enumerate().filter_map(named).collect()
}

/// How many of these heads are columns of the tables.
pub(super) fn known<'a>(heads: impl IntoIterator<Item = &'a str>) -> usize {
    let all = || {
        TABLES
            .iter()
            .flat_map(|table| table.properties)
            .chain(ENVELOPE)
    };
    let is_known = |head: &str| {
        name(head).is_ok_and(|name| {
            name == "Type" || all().any(|field| field.0.eq_ignore_ascii_case(&name))
        })
    };
    heads.into_iter().filter(|head| is_known(head)).count()
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn put_text(json: &mut Vec<u8>, text: &str) {
    // Writing to a Vec does not fail, and text is always JSON.
    let _ = serde_json::to_writer(json, text);
}

/// Names the columns where the decoder names the record's fields.
fn in_columns(reason: &str, table: usize) -> String {
    let (fields, rest) = reason.split_once(": ").unwrap_or(("", reason));
    let named = |field: &str| {
        let (properties, key) = match field.strip_prefix("properties.") {
            Some(key) => (TABLES[table].properties, key),
            None => (ENVELOPE, field),
        };
        let (key, inner) = match key.find(['.', '[']) {
            Some(end) => key.split_at(end),
            None => (key, ""),
        };
        let column = properties.iter().find(|(_, field, _)| *field == key);
        column.map_or_else(
            || field.to_owned(),
            |(column, ..)| format!("{column}{inner}"),
        )
    };
    let fields: Vec<String> = fields.split(", ").map(named).collect();
    match fields.as_slice() {
        [nothing] if nothing.is_empty() => rest.to_owned(),
        fields => format!("{}: {rest}", fields.join(", ")),
    }
}

/// Rows that come as JSON objects, each with its own keys: mostly the same
/// ones, so that they are matched with the tables only when they change.
#[derive(Debug, Default)]
pub(super) struct Rows {
    heads: Option<(Vec<String>, Heads)>,
}

impl Rows {
    /// Decodes an object whose keys are a table's columns; `None` where it is
    /// something else.
    pub(super) fn decode(&mut self, value: &[u8]) -> Option<Decoded> {
        let Members(members) = serde_json::from_slice(value).ok()?;
        let keys = || members.iter().map(|(key, _)| &**key);
        let same = |(seen, _): &(Vec<String>, Heads)| {
            seen.len() == members.len() && keys().eq(seen.iter().map(String::as_str))
        };
        if !self.heads.as_ref().is_some_and(same) {
            let heads = Heads::new(keys()).ok()?;
            self.heads = Some((keys().map(str::to_owned).collect(), heads));
        }
        let (_, heads) = self.heads.as_ref()?;
        if !heads.are_of_a_table() || keys().any(|key| key.eq_ignore_ascii_case("properties")) {
            return None;
        }
        let cell = |at: usize| Cell::of(members.get(at)?.1);
        Some(heads.decode(cell, None))
    }
}

/// An object's members as they stand.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Str(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
