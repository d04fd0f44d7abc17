//! The schema and how its columns are read.
//!
//! Invariant: a migration that was released is never edited; a change is a new
//! file in `migrations/`. SQLite's `user_version` says how many were applied.
//! A value that does not read back as what it should be is a typed error that
//! names the column, never a default.

use std::fmt;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use rusqlite_migration::{M, Migrations};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::{UserId, UserRef};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/0001_initial.sql")),
    M::up(include_str!("../../migrations/0002_containment.sql")).foreign_key_check(),
    M::up(include_str!("../../migrations/0003_surroundings.sql")),
    M::up(include_str!("../../migrations/0004_workloads.sql")),
    M::up(include_str!("../../migrations/0005_verdicts.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Brings the schema up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    Ok(MIGRATIONS.to_latest(connection)?)
}

/// A time as it is stored: microseconds since 1970-01-01T00:00Z.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The time in a column.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    let stored: i64 = row.get(column)?;
    Timestamp::from_microsecond(stored).map_err(|error| unreadable(row, column, &error))
}

/// The time in a column that may be empty.
pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let stored: Option<i64> = row.get(column)?;
    stored
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| unreadable(row, column, &error))
}

/// The text of a column as what it stands for: a state, an id, a JSON body.
pub(super) fn parsed<T, E: fmt::Display>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parse(text).map_err(|error| unreadable(row, column, &error))
}

/// A value as the JSON text of a column.
pub(super) fn json<T: Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt {
        what: format!("{what} to be written"),
        reason: error.to_string(),
    })
}

/// The value of a column's JSON text.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

/// How many rows to read when `limit` are asked for and `most` may be.
pub(super) fn at_most(limit: usize, most: u32) -> u32 {
    u32::try_from(limit).map_or(most, |limit| limit.min(most))
}

/// The user of a row that joins `cases`.
pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<UserRef> {
    Ok(UserRef {
        id: UserId::new(row.get::<_, String>("user_id")?),
        principal_name: row.get::<_, String>("principal_name")?.into(),
        guest: row.get("guest")?,
        workload: row.get("workload")?,
    })
}

/// The error of a value that does not read back. The value itself stays out
/// of it: it may name a user.
fn unreadable(row: &Row<'_>, column: &str, error: &dyn fmt::Display) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(
        index,
        Type::Text,
        format!("column {column}: {error}").into(),
    )
}

/// Brings the schema of a new database to an older version.
#[cfg(test)]
pub(super) fn migrate_to(connection: &mut Connection, version: usize) {
    MIGRATIONS.to_version(connection, version).unwrap();
}

/// How SQLite would run a query, one step a line.
#[cfg(test)]
pub(super) fn plan(sql: &str) -> String {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection).unwrap();
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let mut rows = explain.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn an_up_to_date_schema_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute("INSERT INTO positions VALUES ('hub', '0', 7, 0)", ())
            .unwrap();
        migrate(&mut connection).unwrap();
        let sequence: i64 = connection
            .query_row("SELECT sequence FROM positions", (), |row| row.get(0))
            .unwrap();
        assert_eq!(sequence, 7);
    }
}
