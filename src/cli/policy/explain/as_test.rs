//! An event as a ready test: the records as they were recorded, and what they
//! led to as what is expected.
//!
//! Invariant: what is printed passes `policy test` under the same policies, as
//! long as the records of that user alone lead to the same.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::explain::Explained;
use crate::ingest::{entra, recorded};
use crate::model::{Decision, Effect, UserId};

/// Records that one test holds at most: the last ones.
const RECORDS_MAX: usize = 40;

/// A test file with a story for each explained event.
pub(super) fn text(files: &[PathBuf], explained: &[Explained]) -> anyhow::Result<String> {
    let users: BTreeSet<&UserId> = explained.iter().map(|event| &event.user.id).collect();
    let mut records: Vec<(UserId, String, Value)> = Vec::new();
    for file in files {
        of_file(file, &users, &mut records).with_context(|| file.display().to_string())?;
    }
    let mut text = String::from(
        "# Made by `evictd policy explain --as-test`: it holds real names.\n\nstories:\n",
    );
    for event in explained {
        story(event, &records, &mut text)?;
    }
    Ok(text)
}

/// The users' records of a file, in order.
fn of_file(
    file: &PathBuf,
    users: &BTreeSet<&UserId>,
    records: &mut Vec<(UserId, String, Value)>,
) -> anyhow::Result<()> {
    let opened = BufReader::new(File::open(file).context("cannot be read")?);
    let reader = BufReader::new(recorded::unpacked(opened)?);
    for value in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
        let value = value.context("only JSON can be made a test of: records or envelopes")?;
        let several = match value {
            Value::Array(items) => items,
            Value::Object(mut object) => match object.remove("records") {
                Some(Value::Array(items)) => items,
                _ => vec![object.remove("log").unwrap_or(Value::Object(object))],
            },
            other => bail!("expected a record, saw {other}"),
        };
        for record in several {
            for (_, event) in entra::decode(record.to_string().as_bytes()).events {
                if users.contains(&event.user().id) {
                    let id = event.record().to_string();
                    records.push((event.user().id.clone(), id, record.clone()));
                }
            }
        }
    }
    Ok(())
}

fn story(
    event: &Explained,
    records: &[(UserId, String, Value)],
    text: &mut String,
) -> anyhow::Result<()> {
    let of_user: Vec<&(UserId, String, Value)> = records
        .iter()
        .filter(|(user, ..)| *user == event.user.id)
        .collect();
    let Some(last) = of_user
        .iter()
        .position(|(_, id, _)| id == event.record.as_str())
    else {
        bail!("the record {} is not in the files as JSON", event.record);
    };
    let first = (last + 1).saturating_sub(RECORDS_MAX);
    let name = event.record.as_str().replace('"', "'");
    text.push_str(&format!("  - story: \"record {name}\"\n    when:\n"));
    for (_, _, record) in &of_user[first..=last] {
        // JSON is YAML; on one line, so that it stays as it was.
        text.push_str(&format!("      - record: {record}\n"));
    }
    text.push_str(&format!(
        "    expect: {}\n",
        expectation(event.decision.as_deref())
    ));
    Ok(())
}

fn expectation(decision: Option<&Decision>) -> String {
    let Some(decision) = decision else {
        return "nothing".to_owned();
    };
    let strongest = decision
        .verdicts
        .iter()
        .filter(|verdict| verdict.effect.is_some())
        .max_by_key(|verdict| (verdict.effect, verdict.score));
    match strongest {
        Some(verdict) => format!(
            "{} by {}, score = {}",
            verdict.effect.unwrap_or(Effect::Shadow),
            verdict.policy,
            verdict.score
        ),
        None => "nothing".to_owned(),
    }
}
