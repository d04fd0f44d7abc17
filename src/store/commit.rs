//! The one commit.
//!
//! Invariant: what a batch of messages changed and how far the stream was read
//! become true together or not at all. A decision that is already stored
//! changes nothing, and neither do its orders: a redelivered record cannot
//! queue again what was denied, nor send again what was sent.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::sqlite::begin;
use super::{
    Commit, Committed, Decided, Position, StoreError, cases, containment, findings, memory, outbox,
    quarantine, schema, surroundings,
};
use crate::model::Decision;
use crate::respond::lifecycle::Call;

/// Commits everything of a batch.
pub(super) fn commit(
    connection: &mut Connection,
    commit: &Commit,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let transaction = begin(connection)?;
    let committed = apply(&transaction, commit, now)?;
    transaction.commit()?;
    Ok(committed)
}

pub(super) fn apply(
    transaction: &Transaction<'_>,
    commit: &Commit,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let mut committed = Committed::default();
    for position in &commit.positions {
        advance(transaction, position)?;
    }
    for (user, remembered) in &commit.memories {
        memory::save(transaction, user, remembered)?;
    }
    for (thing, entry) in &commit.surroundings {
        surroundings::save(transaction, thing, entry.as_ref())?;
    }
    for decided in &commit.decisions {
        decide(transaction, decided, now, &mut committed)?;
    }
    for (case, signal) in &commit.signals {
        committed.signals_dropped += u32::from(!cases::file(transaction, case, signal, now)?);
        outbox::ask_again(transaction, case, now)?;
    }
    for proof in &commit.proofs {
        containment::prove(transaction, proof, now, &mut committed)?;
    }
    for withdrawn in &commit.withdrawn {
        committed.withdrawn += outbox::withdraw(transaction, withdrawn, now)?;
    }
    for (case, truth) in &commit.findings {
        findings::said_in_entra(transaction, case, *truth, now)?;
    }
    quarantine::release(transaction, &commit.released)?;
    for record in &commit.quarantine {
        quarantine::keep(transaction, record, now)?;
    }
    if !commit.quarantine.is_empty() {
        committed.quarantine_dropped = quarantine::drop_oldest(transaction)?;
    }
    Ok(committed)
}

/// Reads every partition's position.
pub(super) fn positions(connection: &Connection) -> Result<Vec<Position>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT hub, partition_id, sequence, epoch FROM positions ORDER BY hub, partition_id",
    )?;
    let rows = select.query_map((), |row| {
        Ok(Position {
            hub: row.get::<_, String>("hub")?.into(),
            partition: row.get::<_, String>("partition_id")?.into(),
            sequence: row.get("sequence")?,
            epoch: row.get("epoch")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Moves a position forward; one that is already further stays. Whoever lost
/// the partition to a higher epoch may not commit.
fn advance(transaction: &Transaction<'_>, position: &Position) -> Result<(), StoreError> {
    let key = (&*position.hub, &*position.partition);
    let written = transaction
        .prepare_cached(
            "INSERT INTO positions (hub, partition_id, sequence, epoch) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (hub, partition_id) DO UPDATE
             SET sequence = max(sequence, excluded.sequence), epoch = excluded.epoch
             WHERE excluded.epoch >= epoch",
        )?
        .execute((key.0, key.1, position.sequence, position.epoch))?;
    if written == 1 {
        return Ok(());
    }
    let found = transaction
        .prepare_cached("SELECT epoch FROM positions WHERE hub = ?1 AND partition_id = ?2")?
        .query_row(key, |row| row.get(0))?;
    Err(StoreError::Fenced {
        hub: key.0.to_owned(),
        partition: key.1.to_owned(),
        epoch: position.epoch,
        found,
    })
}

/// Stores a decision, its case, its signals and its orders; nothing if the
/// decision is stored already.
fn decide(
    transaction: &Transaction<'_>,
    decided: &Decided,
    now: Timestamp,
    committed: &mut Committed,
) -> Result<(), StoreError> {
    let decision = &decided.decision;
    if is_known(transaction, decision)? {
        return Ok(());
    }
    cases::open(transaction, decision, now)?;
    record(transaction, decided, now)?;
    findings::called_for(transaction, decision, now)?;
    for signal in &decision.signals {
        let filed = cases::file(transaction, &decision.case, signal, now)?;
        committed.signals_dropped += u32::from(!filed);
    }
    for order in &decision.orders {
        if let Some(call) = Call::of(order.kind, &decision.user, order.effect, decision.admission) {
            let queued = outbox::order(transaction, decided, order, call, now)?;
            committed.queued += u32::from(queued);
        }
    }
    Ok(())
}

fn is_known(transaction: &Transaction<'_>, decision: &Decision) -> Result<bool, StoreError> {
    let known = transaction
        .prepare_cached("SELECT 1 FROM decisions WHERE id = ?1")?
        .query_row([decision.id.to_string()], |_| Ok(()))
        .optional()?;
    Ok(known.is_some())
}

fn record(
    transaction: &Transaction<'_>,
    decided: &Decided,
    now: Timestamp,
) -> Result<(), StoreError> {
    let decision = &decided.decision;
    transaction
        .prepare_cached(
            "INSERT INTO decisions (id, case_id, record, effect, score, at, enqueued_at,
                                    received_at, decided_at, policy_set, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((
            decision.id.to_string(),
            decision.case.to_string(),
            decision.record.as_str(),
            decision.effect.as_str(),
            decision.score,
            schema::micros(decision.at),
            schema::micros(decided.enqueued_at),
            schema::micros(decided.received_at),
            schema::micros(now),
            &*decision.policy_set,
            schema::json("a decision", decision)?,
        ))?;
    Ok(())
}
