//! Users' memories as rows.
//!
//! Invariant: a memory is written only over the version it was loaded at, so
//! two writers never lose each other's evidence. The body begins with a byte
//! that names its format; a body in a format that is not known is an error,
//! never an empty memory, which would forget what was already called for.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{Remembered, StoreError};
use crate::model::{UserId, UserMemory};

/// JSON. Self-describing, so that a field added to the model with
/// `#[serde(default)]` reads old rows; and `Evidence` is tagged from within,
/// which formats that are not self-describing cannot read back.
const FORMAT_JSON: u8 = 1;

/// Loads memories in the order asked for.
pub(super) fn load(
    connection: &Connection,
    users: &[UserId],
) -> Result<Vec<Remembered>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT version, body FROM user_memory WHERE user_id = ?1")?;
    let mut loaded = Vec::with_capacity(users.len());
    for user in users {
        let remembered = select
            .query_row([user.as_str()], |row| {
                let version: i64 = row.get(0)?;
                Ok((version, decode(row.get_ref(1)?.as_blob()?)))
            })
            .optional()?;
        loaded.push(match remembered {
            None => Remembered::default(),
            Some((version, memory)) => Remembered {
                memory: memory?,
                version: version.cast_unsigned(),
            },
        });
    }
    Ok(loaded)
}

/// What is remembered of a user, by object id or by principal name.
pub(super) fn find(
    connection: &Connection,
    user: &str,
) -> Result<Option<(UserId, UserMemory)>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT user_id, body FROM user_memory
             WHERE user_id = lower(?1) OR (principal_name <> '' AND principal_name = ?1)
             ORDER BY user_id = lower(?1) DESC LIMIT 1",
        )?
        .query_row([user], |row| {
            let id: String = row.get("user_id")?;
            Ok((UserId::new(id), decode(row.get_ref("body")?.as_blob()?)))
        })
        .optional()?;
    found.map(|(id, memory)| Ok((id, memory?))).transpose()
}

/// Writes a memory over the version it was loaded at.
pub(super) fn save(
    transaction: &Transaction<'_>,
    user: &UserId,
    remembered: &Remembered,
) -> Result<(), StoreError> {
    let expected = remembered.version.cast_signed();
    let body = encode(&remembered.memory)?;
    let written = if remembered.version == 0 {
        transaction
            .prepare_cached(
                "INSERT INTO user_memory (user_id, version, body, principal_name)
                 VALUES (?1, 1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((user.as_str(), body, &*remembered.memory.principal_name))?
    } else {
        transaction
            .prepare_cached(
                "UPDATE user_memory SET version = version + 1, body = ?2, principal_name = ?4
                 WHERE user_id = ?1 AND version = ?3",
            )?
            .execute((
                user.as_str(),
                body,
                expected,
                &*remembered.memory.principal_name,
            ))?
    };
    if written == 1 {
        return Ok(());
    }
    let found: Option<i64> = transaction
        .prepare_cached("SELECT version FROM user_memory WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()?;
    Err(StoreError::Conflict {
        expected: remembered.version,
        found: found.unwrap_or(0).cast_unsigned(),
    })
}

fn encode(memory: &UserMemory) -> Result<Vec<u8>, StoreError> {
    let mut body = vec![FORMAT_JSON];
    serde_json::to_writer(&mut body, memory).map_err(|error| StoreError::Corrupt {
        what: "a user's memory to be written".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(body)
}

fn decode(body: &[u8]) -> Result<UserMemory, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt {
        what: "a user's memory".to_owned(),
        reason,
    };
    match body.split_first() {
        Some((&FORMAT_JSON, json)) => serde_json::from_slice(json)
            .map_err(|error| corrupt(format!("{:?} at {}", error.classify(), error.column()))),
        Some((format, _)) => Err(corrupt(format!("format {format} is not known"))),
        None => Err(corrupt("it is empty".to_owned())),
    }
}
