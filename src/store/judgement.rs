//! What humans say of a case, and what their silence says.
//!
//! Invariant: an action is approved only by as many different people as it
//! needs, each answering the question as it was last asked, in time. Who said
//! what and when is kept with the action.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};

use super::sqlite::begin;
use super::{JudgeError, Judgement, StoreError, cases, outbox, schema};
use crate::model::{ActionId, ActionState, CaseId, CaseView};
use crate::respond::lifecycle::Transition;

/// An action that waits for a human.
struct Asked {
    id: ActionId,
    case: CaseId,
    round: u32,
    needed: u8,
}

/// Takes a human's word on every action of the case that waits for one.
pub(super) fn judge(
    connection: &mut Connection,
    prefix: &str,
    judgement: Judgement,
    by: &str,
    now: Timestamp,
) -> Result<CaseView, JudgeError> {
    let transaction = begin(connection)?;
    let case = cases::find(&transaction, prefix)?;
    let asked = asked(&transaction, &case)?;
    let (late, open): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(_, until)| *until <= now);
    // An answer that comes too late is no answer, whether or not the silence
    // was written down yet.
    for (action, _) in &late {
        move_on(&transaction, action, Transition::Expired)?;
        cases::touch(&transaction, &case, now)?;
    }
    if open.is_empty() {
        let view = cases::view(&transaction, &case)?;
        transaction.commit()?;
        return Err(JudgeError::NothingToJudge {
            case: case.short(),
            status: view.status.as_str(),
        });
    }
    let open: Vec<Asked> = open.into_iter().map(|(action, _)| action).collect();
    match judgement {
        Judgement::Approve => approve(&transaction, &open, by, now)?,
        Judgement::Deny => deny(&transaction, &open, by, now)?,
    }
    cases::touch(&transaction, &case, now)?;
    let view = cases::view(&transaction, &case)?;
    transaction.commit()?;
    Ok(view)
}

/// Denies by silence what nobody answered in time; returns how many.
pub(super) fn expire(connection: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    let transaction = begin(connection)?;
    let late = transaction
        .prepare_cached(
            "SELECT id, case_id, round, approvers_needed FROM actions
             WHERE state = ?1 AND expires_at <= ?2",
        )?
        .query_map(
            (ActionState::AwaitingApproval.as_str(), schema::micros(now)),
            asked_row,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    for action in &late {
        move_on(&transaction, action, Transition::Expired)?;
        cases::touch(&transaction, &action.case, now)?;
    }
    transaction.commit()?;
    Ok(late.len() as u64)
}

/// The actions of a case that wait for a human, and until when.
fn asked(
    transaction: &Transaction<'_>,
    case: &CaseId,
) -> Result<Vec<(Asked, Timestamp)>, StoreError> {
    let mut select = transaction.prepare_cached(
        "SELECT id, case_id, round, approvers_needed, expires_at FROM actions
         WHERE case_id = ?1 AND state = ?2 ORDER BY id",
    )?;
    let rows = select.query_map(
        (case.to_string(), ActionState::AwaitingApproval.as_str()),
        |row| Ok((asked_row(row)?, schema::time(row, "expires_at")?)),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn asked_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Asked> {
    Ok(Asked {
        id: schema::parsed(row, "id", ActionId::parse)?,
        case: schema::parsed(row, "case_id", CaseId::parse)?,
        round: row.get("round")?,
        needed: row.get("approvers_needed")?,
    })
}

fn approve(
    transaction: &Transaction<'_>,
    open: &[Asked],
    by: &str,
    now: Timestamp,
) -> Result<(), JudgeError> {
    let mut counted = false;
    for action in open {
        counted |= note(transaction, action, Judgement::Approve, by, now)?;
        if approvals(transaction, action)? >= action.needed.into() {
            transaction
                .prepare_cached(
                    "UPDATE actions SET approved = 1, queued_at = ?2, not_before = ?2
                     WHERE id = ?1",
                )?
                .execute((action.id.to_string(), schema::micros(now)))?;
            move_on(transaction, action, Transition::Approved)?;
        }
    }
    match open.iter().max_by_key(|action| action.needed) {
        Some(strictest) if !counted => Err(JudgeError::SamePerson {
            case: strictest.case.short(),
            by: by.to_owned(),
            needed: strictest.needed,
        }),
        _ => Ok(()),
    }
}

fn deny(
    transaction: &Transaction<'_>,
    open: &[Asked],
    by: &str,
    now: Timestamp,
) -> Result<(), JudgeError> {
    for action in open {
        note(transaction, action, Judgement::Deny, by, now)?;
        move_on(transaction, action, Transition::Denied)?;
    }
    Ok(())
}

/// Writes down who said what; returns false when they had said it before.
fn note(
    transaction: &Transaction<'_>,
    action: &Asked,
    judgement: Judgement,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = transaction
        .prepare_cached(
            "INSERT INTO approvals (action_id, round, judged_by, judgement, at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute((
            action.id.to_string(),
            action.round,
            by,
            judgement.as_str(),
            schema::micros(now),
        ))?;
    Ok(noted == 1)
}

/// How many different people said yes to the question as it was last asked.
fn approvals(transaction: &Transaction<'_>, action: &Asked) -> Result<u32, StoreError> {
    Ok(transaction
        .prepare_cached(
            "SELECT count(*) FROM approvals
             WHERE action_id = ?1 AND round = ?2 AND judgement = ?3",
        )?
        .query_row(
            (
                action.id.to_string(),
                action.round,
                Judgement::Approve.as_str(),
            ),
            |row| row.get(0),
        )?)
}

fn move_on(
    transaction: &Transaction<'_>,
    action: &Asked,
    transition: Transition,
) -> Result<(), StoreError> {
    let state = outbox::step(&action.id, ActionState::AwaitingApproval, transition)?;
    transaction
        .prepare_cached("UPDATE actions SET state = ?2 WHERE id = ?1")?
        .execute((action.id.to_string(), state.as_str()))?;
    Ok(())
}
