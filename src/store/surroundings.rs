//! What is known of the tenant and of addresses, a row for each thing.
//!
//! Invariant: written in the one commit with the memories, so that who was
//! counted and who counted them cannot drift apart.

use rusqlite::{Connection, Transaction};

use super::{StoreError, schema};
use crate::model::{Entry, Thing};

/// Reads everything; it is bounded by the model.
pub(super) fn load(connection: &Connection) -> Result<Vec<(Thing, Entry)>, StoreError> {
    let mut select = connection.prepare_cached("SELECT thing, body FROM surroundings")?;
    let rows = select.query_map((), |row| {
        Ok((
            schema::parsed(row, "thing", schema::from_json)?,
            schema::parsed(row, "body", schema::from_json)?,
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes what changed.
pub(super) fn save(
    transaction: &Transaction<'_>,
    thing: &Thing,
    entry: Option<&Entry>,
) -> Result<(), StoreError> {
    let key = schema::json("a thing", thing)?;
    match entry {
        Some(entry) => transaction
            .prepare_cached(
                "INSERT INTO surroundings (thing, body) VALUES (?1, ?2)
                 ON CONFLICT (thing) DO UPDATE SET body = excluded.body",
            )?
            .execute((key, schema::json("surroundings", entry)?))?,
        None => transaction
            .prepare_cached("DELETE FROM surroundings WHERE thing = ?1")?
            .execute([key])?,
    };
    Ok(())
}
