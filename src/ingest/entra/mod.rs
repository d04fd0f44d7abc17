//! Entra's records: bytes to events.
//!
//! UTF-8 is checked once, then the whole message is parsed straight into
//! private wire structs and converted. Only when that fails is the message
//! taken apart, so that one bad record is quarantined and its neighbours are
//! judged: nothing is lost, and the common path pays nothing for it.
//!
//! What a field may look like, and why, is in the shared facts on Entra's
//! records; each trap has a test here.

mod audit;
mod category;
mod convert;
mod graph;
mod loose;
mod record;
mod sign_in;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod wire;
mod workload;

use jiff::{SignedDuration, Timestamp};
use serde_json::error::Category as JsonFault;

use self::category::Kind;
use self::record::{Envelope, Peek, Record};
use super::pieces::take_apart;
use super::{Decoded, Undecodable};
use crate::model::Event;

/// Records taken from one message; a hub's message is at most 1 MiB, a real
/// record 3–8 KB.
const RECORDS_MAX: usize = 10_000;

/// How far beyond its message an event may be dated: time zones are at most
/// 14 h apart, clocks less. A user's memory is kept up to the newest event it
/// has seen, so a single one dated in the year 9999 would push out all others.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Decodes one message: `{"records":[…]}`, a bare array, or a single record.
/// Never fails: what does not decode is in `quarantined`.
pub fn decode(body: &[u8]) -> Decoded {
    decode_until(body, None)
}

/// As [`decode`], for a message that Event Hubs took in at `enqueued_at`: an
/// event dated more than a day later is quarantined.
pub fn decode_enqueued(body: &[u8], enqueued_at: Timestamp) -> Decoded {
    decode_until(body, Some(enqueued_at))
}

fn decode_until(body: &[u8], enqueued_at: Option<Timestamp>) -> Decoded {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    whole(body, enqueued_at).unwrap_or_else(|| record_by_record(body, enqueued_at))
}

/// The common path: every record is what it should be.
fn whole(body: &[u8], enqueued_at: Option<Timestamp>) -> Option<Decoded> {
    let text = simdutf8::basic::from_utf8(body).ok()?;
    let records = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => envelope.records,
        Err(_) => {
            let record = serde_json::from_str::<Record<'_>>(text).ok()?;
            if record.is_envelope {
                return None;
            }
            vec![record]
        }
    };
    let mut decoded = Decoded::default();
    decoded.events.reserve(records.len());
    for record in &records {
        take(record, enqueued_at, &mut decoded).ok()?;
    }
    Some(decoded)
}

fn happened_by(event: &Event, enqueued_at: Timestamp) -> Result<(), String> {
    let at = event.at();
    if at.duration_since(enqueued_at) <= AHEAD_MAX {
        return Ok(());
    }
    let field = match event {
        Event::SignIn(_) => "properties.createdDateTime",
        Event::RiskDetection(_) => "properties.activityDateTime",
        Event::RiskyUser(_) => "properties.riskLastUpdatedDateTime",
        Event::DirectoryAudit(_) => "properties.activityDateTime",
        Event::GraphActivity(_) => "properties.timeGenerated",
    };
    Err(format!(
        "{field}: saw {at}, expected no later than a day after Event Hubs took the message in, \
         {enqueued_at}"
    ))
}

fn take(
    record: &Record<'_>,
    enqueued_at: Option<Timestamp>,
    decoded: &mut Decoded,
) -> Result<(), String> {
    let Some(name) = record.category.as_ref() else {
        return Err("category: missing, expected e.g. \"SignInLogs\"".to_owned());
    };
    let (category, kind) = category::of(name);
    match convert::event(kind, record)? {
        Some(event) => {
            if let Some(enqueued_at) = enqueued_at {
                happened_by(&event, enqueued_at)?;
            }
            decoded.events.push((category, event));
        }
        None => decoded.passed_over.push(category),
    }
    Ok(())
}

/// The path for a message in which something is wrong.
fn record_by_record(body: &[u8], enqueued_at: Option<Timestamp>) -> Decoded {
    let pieces = take_apart(body, RECORDS_MAX);
    let mut decoded = Decoded::default();
    for (index, bytes) in pieces.records.iter().enumerate() {
        if let Err(reason) = one(bytes, enqueued_at, &mut decoded) {
            decoded.quarantined.push(Undecodable {
                bytes: bytes.to_vec(),
                index: u32::try_from(index).ok(),
                reason: format!("records[{index}]{reason}"),
            });
        }
    }
    if let Some(rest) = pieces.rest {
        decoded.quarantined.push(Undecodable {
            // Of a message that could not be taken apart at all, everything.
            bytes: if pieces.records.is_empty() {
                body.to_vec()
            } else {
                rest.bytes.to_vec()
            },
            index: None,
            reason: rest.reason.to_owned(),
        });
    }
    decoded
}

fn one(bytes: &[u8], enqueued_at: Option<Timestamp>, decoded: &mut Decoded) -> Result<(), String> {
    let text = simdutf8::compat::from_utf8(bytes)
        .map_err(|error| format!(": not UTF-8 from byte {}", error.valid_up_to() + 1))?;
    let text = &*text::without_lone_surrogates(text);
    // The shape of what is not judged is not our business.
    if let Ok(Peek {
        category: Some(name),
    }) = serde_json::from_str(text)
        && let (category, Kind::PassedOver) = category::of(&name)
    {
        decoded.passed_over.push(category);
        return Ok(());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize::<_, Record<'_>>(&mut json);
    let taken = match parsed {
        Ok(record) => take(&record, enqueued_at, decoded),
        Err(error) if is_duplicate(error.inner()) => {
            // Of a key that stands twice the last one counts, as in a map.
            let object: serde_json::Value =
                serde_json::from_str(text).map_err(|error| not_json(&error))?;
            let text = object.to_string();
            let mut json = serde_json::Deserializer::from_str(&text);
            let record = serde_path_to_error::deserialize(&mut json).map_err(misshapen)?;
            take(&record, enqueued_at, decoded)
        }
        Err(error) => return Err(misshapen(error)),
    };
    taken.map_err(|reason| format!(".{reason}"))
}

/// Serde has no other mark for it than the message.
fn is_duplicate(error: &serde_json::Error) -> bool {
    error.is_data() && error.to_string().contains("duplicate field `")
}

fn misshapen(error: serde_path_to_error::Error<serde_json::Error>) -> String {
    let inner = error.inner();
    match inner.classify() {
        // Properties that came before their category name their own path.
        JsonFault::Data if inner.to_string().starts_with("properties.") => {
            format!(".{}", brief(inner))
        }
        JsonFault::Data => format!(".{}: {}", error.path(), brief(inner)),
        _ => not_json(inner),
    }
}

fn not_json(error: &serde_json::Error) -> String {
    format!(": not JSON: {}", brief(error))
}

/// Serde's message without its place (the path says where), and cut: it quotes
/// the value seen, which may be megabytes.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = match text.rsplit_once(" at line ") {
        Some((message, _)) if error.is_data() => message.to_owned(),
        _ => text,
    };
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
