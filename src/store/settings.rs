//! What a human set and a restart must not forget: the pause.
//!
//! Invariant: a pause that was stored but cannot be read is an error, never
//! "not paused".

use rusqlite::{Connection, OptionalExtension};

use super::{Pause, StoreError, schema};

const PAUSE: &str = "pause";

/// The pause, if there is one.
pub(super) fn paused(connection: &Connection) -> Result<Option<Pause>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM settings WHERE name = ?1")?
        .query_row([PAUSE], |row| {
            schema::parsed(row, "value", schema::from_json)
        })
        .optional()?)
}

/// Pauses or resumes.
pub(super) fn set_pause(connection: &Connection, pause: Option<&Pause>) -> Result<(), StoreError> {
    match pause {
        Some(pause) => connection
            .prepare_cached(
                "INSERT INTO settings (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute((PAUSE, schema::json("the pause", pause)?))?,
        None => connection
            .prepare_cached("DELETE FROM settings WHERE name = ?1")?
            .execute([PAUSE])?,
    };
    Ok(())
}
