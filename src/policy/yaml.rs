//! YAML as a tree in which every key and value knows its place.
//!
//! Invariant: reading costs a bounded amount of time, memory and stack,
//! whatever the text: its size, depth, nodes and aliases are budgeted before
//! anything is built. A tree rather than derived structs, because a derived
//! struct stops at its first problem and an author wants them all.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::problem::{Place, Sink, quoted};

/// How deep mappings and lists may nest; a policy needs four.
const DEPTH_MAX: usize = 16;
/// Keys and values in one file: room for 10,000 listed users.
const NODES_MAX: usize = 20_000;
/// One value, in bytes: the longest that means anything is a description of a
/// thousand characters.
const SCALAR_BYTES_MAX: usize = 4 * 1024;
/// How the message of a longer one begins.
const TOO_LONG: &str = "a value of ";
/// The parser's message, in characters.
const MESSAGE_MAX: usize = 200;
/// Values that aliases repeat. With the above it bounds what a small file can
/// grow into: 8 MiB.
const REPEATED_MAX: usize = 2_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A whole number; one beyond `i64` is a `Float`.
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order written, duplicates included.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Depth is bounded by [`DEPTH_MAX`].
    fn set_file(&mut self, file: u16) {
        self.place.file = file;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.set_file(file)),
            Value::Map(pairs) => {
                for (key, value) in pairs {
                    key.set_file(file);
                    value.set_file(file);
                }
            }
            _ => {}
        }
    }

    /// As JSON, which holds all that YAML does but keys that are no text.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| {
                    let name = match &key.value {
                        Value::Text(text) => text.clone(),
                        _ => key.json().to_string(),
                    };
                    (name, value.json())
                })
                .collect(),
        }
    }

    /// What stands there, for a message.
    pub(crate) fn seen(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => quoted(&value.to_string()),
            Value::Int(value) => quoted(&value.to_string()),
            Value::Float(value) => quoted(&value.to_string()),
            Value::Text(text) => quoted(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads one document, the text of the sink's `file`. A problem with the YAML
/// itself goes to the sink.
pub(crate) fn read(file: u16, sink: &mut Sink<'_>) -> Option<Node> {
    match serde_saphyr::from_str_with_options::<Node>(sink.text(file), options()) {
        Ok(mut node) => {
            node.set_file(file);
            Some(node)
        }
        Err(error) => {
            report(file, &error, sink);
            None
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 2,
            max_aliases: 100,
            max_anchors: 100,
            max_recorded_anchor_events: NODES_MAX,
            max_recorded_anchor_bytes: 1024 * 1024,
            // One is allowed; the second is refused below by its own message.
            max_documents: 2,
        },
        // Both are refused below with their place, like any other mistake.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn report(file: u16, error: &Error, sink: &mut Sink<'_>) {
    let error = error.without_snippet();
    let start = Place {
        file,
        line: 1,
        column: 1,
        width: 1,
    };
    let place = error.location().map_or(start, place_of);
    let place = Place { file, ..place };
    let told = message_of(error);
    let message = match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => return too_much(place, sink),
        Error::MultipleDocuments { .. } => "a second document begins; one file, one policy".into(),
        // The scanner's own errors are known by their words alone.
        _ if told == "recursion limit exceeded" => return too_much(place, sink),
        _ if told == "reference to unknown value" => {
            "an alias, `*name`, without an anchor, `&name`, before it".into()
        }
        _ if told.contains("<document start>") => {
            "something stands behind the end of the document".into()
        }
        _ if told.starts_with(TOO_LONG) => told,
        _ => format!("not valid YAML: {told}"),
    };
    sink.report(place, message);
}

fn too_much(place: Place, sink: &mut Sink<'_>) {
    sink.report_with_hint(
        place,
        "too large or too deeply nested for a policy file",
        format!("a file holds at most {NODES_MAX} values, {DEPTH_MAX} levels deep"),
    );
}

/// The parser's message without the place it ends with, which is told apart.
fn message_of(error: &Error) -> String {
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let message = match error.location() {
        Some(at) => {
            let suffix = format!(" at line {}, column {}", at.line(), at.column());
            message
                .strip_suffix(&suffix)
                .map_or(message.clone(), str::to_owned)
        }
        None => message,
    };
    // It may quote a name of any length.
    message
        .replace('\n', " ")
        .chars()
        .take(MESSAGE_MAX)
        .collect()
}

fn place_of(at: Location) -> Place {
    let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        // Set once the whole tree is read.
        file: 0,
        line: clamp(at.line()).max(1),
        column: clamp(at.column()).max(1),
        width: clamp(at.span().len()).max(1),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            place: place_of(spanned.referenced),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Before it is copied.
fn bounded<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.len() <= SCALAR_BYTES_MAX {
        return Ok(());
    }
    let length = text.len();
    Err(E::custom(format_args!(
        "{TOO_LONG}{length} bytes; at most {SCALAR_BYTES_MAX} fit"
    )))
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        bounded(text)?;
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        bounded(&text)?;
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
