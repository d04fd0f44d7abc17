//! What became of evictions: when they were acknowledged, and what proved them
//! right or wrong.
//!
//! Invariant: of the proofs of a case the latest by event time is kept, so a
//! redelivered or late record changes nothing, and bad news is never
//! overwritten by older good news.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{Committed, StoreError, cases, schema};
use crate::model::{ActionKind, CaseId, Proof, ProofOutcome, RecordId};

const REVOKED_AT: &str = "SELECT max(acknowledged_at) AS revoked_at FROM actions
     WHERE case_id = ?1 AND kind = ?2 AND acknowledged_at IS NOT NULL";

/// When Graph last acknowledged a revoke of each case, in the order asked for.
pub(super) fn revoked_at(
    connection: &Connection,
    cases: &[CaseId],
) -> Result<Vec<Option<Timestamp>>, StoreError> {
    cases
        .iter()
        .map(|case| last_revoke(connection, case))
        .collect()
}

fn last_revoke(connection: &Connection, case: &CaseId) -> Result<Option<Timestamp>, StoreError> {
    let key = (case.to_string(), ActionKind::RevokeSessions.as_str());
    Ok(connection
        .prepare_cached(REVOKED_AT)?
        .query_row(key, |row| schema::optional_time(row, "revoked_at"))?)
}

/// The proof that counts for a case.
pub(super) fn proof(connection: &Connection, case: &CaseId) -> Result<Option<Proof>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Proof {
            case: *case,
            at: schema::time(row, "at")?,
            record: RecordId::new(row.get::<_, String>("record")?),
            outcome: schema::parsed(row, "outcome", str::parse::<ProofOutcome>)?,
        })
    };
    Ok(connection
        .prepare_cached("SELECT outcome, at, record FROM proofs WHERE case_id = ?1")?
        .query_row([case.to_string()], read)
        .optional()?)
}

/// Keeps a proof if it is the latest of its case, and counts it if it tells
/// anything new. One of a case that is not there is left out.
pub(super) fn prove(
    transaction: &Transaction<'_>,
    new: &Proof,
    now: Timestamp,
    committed: &mut Committed,
) -> Result<(), StoreError> {
    if !cases::is_open(transaction, &new.case)? {
        return Ok(());
    }
    let known = proof(transaction, &new.case)?;
    if known.as_ref().is_some_and(|known| !new.outweighs(known)) {
        return Ok(());
    }
    transaction
        .prepare_cached(
            "INSERT INTO proofs (case_id, outcome, at, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (case_id) DO UPDATE
             SET outcome = excluded.outcome, at = excluded.at, record = excluded.record",
        )?
        .execute((
            new.case.to_string(),
            new.outcome.as_str(),
            schema::micros(new.at),
            new.record.as_str(),
        ))?;
    let revoked_at = last_revoke(transaction, &new.case)?;
    if known.is_none_or(|known| new.is_news_after(&known, revoked_at)) {
        match new.outcome {
            ProofOutcome::Proven => committed.proven += 1,
            ProofOutcome::Evaded => committed.evaded += 1,
        }
        cases::touch(transaction, &new.case, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_revoke_of_a_case_is_read_from_the_index_alone() {
        let plan = schema::plan(REVOKED_AT);
        assert!(
            plan.contains("USING COVERING INDEX actions_acknowledged (case_id=? AND kind=?"),
            "{plan}"
        );
    }
}
