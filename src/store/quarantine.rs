//! Records that could not be decoded, kept until a newer version can.
//!
//! Invariant: the quarantine is bounded in rows and in bytes, so that a stream
//! of nonsense cannot fill the disk. The oldest go first and are counted. A
//! record delivered again is kept once.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{QuarantineRow, Quarantined, StoreError, schema};
use crate::ingest::Undecodable;

/// Rows kept.
pub(super) const ROWS_MAX: u32 = 10_000;
/// Bytes kept, over all rows.
pub(super) const BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Bytes kept of one record: the largest message that Event Hubs' standard
/// tier takes is 1 MiB (event-hubs.md), so only the dedicated tiers' are cut.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Characters kept of a reason.
const REASON_CHARS_MAX: usize = 500;
/// Rows read at most at once.
const PAGE_MAX: u32 = 1_000;
/// `record_index` of a message that could not be taken apart.
const WHOLE_MESSAGE: i64 = -1;

/// The newest row that does not fit the bounds (`?1` rows, `?2` bytes) together
/// with all that are newer.
const CUTOFF: &str = "
    SELECT id FROM (
        SELECT id, row_number() OVER newest AS row_count, sum(size) OVER newest AS byte_count
        FROM quarantine WINDOW newest AS (ORDER BY id DESC)
    ) WHERE row_count > ?1 OR byte_count > ?2 ORDER BY id DESC LIMIT 1";

/// Keeps a record, cut to its bound.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    quarantined: &Quarantined,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Quarantined {
        source,
        enqueued_at,
        record,
    } = quarantined;
    let whole = record.bytes.len();
    let bytes = &record.bytes[..whole.min(RECORD_BYTES_MAX)];
    let mut reason: String = record.reason.chars().take(REASON_CHARS_MAX).collect();
    if whole > RECORD_BYTES_MAX {
        reason.push_str(&format!(" (cut from {whole} to {RECORD_BYTES_MAX} bytes)"));
    }
    transaction
        .prepare_cached(
            "INSERT INTO quarantine (hub, partition_id, sequence, record_index, enqueued_at,
                                     quarantined_at, reason, size, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (hub, partition_id, sequence, record_index) DO NOTHING",
        )?
        .execute((
            &*source.hub,
            &*source.partition,
            source.sequence,
            record.index.map_or(WHOLE_MESSAGE, i64::from),
            schema::micros(*enqueued_at),
            schema::micros(now),
            reason,
            schema::at_most(bytes.len(), u32::MAX),
            bytes,
        ))?;
    Ok(())
}

/// Lets go of rows that were decoded after all.
pub(super) fn release(transaction: &Transaction<'_>, ids: &[i64]) -> Result<(), StoreError> {
    let mut delete = transaction.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}

/// Drops the oldest rows until both bounds hold; returns how many.
pub(super) fn drop_oldest(transaction: &Transaction<'_>) -> Result<u64, StoreError> {
    let cutoff: Option<i64> = transaction
        .prepare_cached(CUTOFF)?
        .query_row((ROWS_MAX, BYTES_MAX), |row| row.get(0))
        .optional()?;
    let Some(cutoff) = cutoff else { return Ok(0) };
    let dropped = transaction
        .prepare_cached("DELETE FROM quarantine WHERE id <= ?1")?
        .execute([cutoff])?;
    Ok(dropped as u64)
}

/// How many rows there are.
pub(super) fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM quarantine")?
        .query_row((), |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Reads up to `limit` rows with ids beyond `after`, oldest first.
pub(super) fn read(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Result<Vec<QuarantineRow>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, hub, partition_id, sequence, record_index, enqueued_at, quarantined_at,
                reason, bytes
         FROM quarantine WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = select.query_map((after, schema::at_most(limit, PAGE_MAX)), |row| {
        let index: i64 = row.get("record_index")?;
        Ok(QuarantineRow {
            id: row.get("id")?,
            hub: row.get("hub")?,
            partition: row.get("partition_id")?,
            sequence: row.get("sequence")?,
            enqueued_at: schema::time(row, "enqueued_at")?,
            quarantined_at: schema::time(row, "quarantined_at")?,
            record: Undecodable {
                bytes: row.get("bytes")?,
                index: u32::try_from(index).ok(),
                reason: row.get("reason")?,
            },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_without_reading_the_records() {
        let plan = schema::plan(CUTOFF);
        assert!(plan.contains("COVERING INDEX quarantine_sizes"), "{plan}");
    }
}
