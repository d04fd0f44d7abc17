//! The outbox: the table of actions is the queue.
//!
//! Invariant: an action's state is written only where [`lifecycle::next`]
//! allowed the step, in the transaction that read the state. An action claimed
//! is `sending` on the disk before the request leaves, so a crash in between
//! repeats a request (they are safe to repeat) and never loses one.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params_from_iter};

use super::sqlite::begin;
use super::{
    Claimed, Decided, OutboxStats, Settlement, StoreError, Withdrawn, cases, quarantine, schema,
};
use crate::model::{ActionId, ActionKind, ActionState, CaseId, Order, UserId};
use crate::respond::lifecycle::{self, Call, Transition};

/// Actions claimed at most at once.
const CLAIM_MAX: u32 = 1_000;
/// Characters kept of an outcome.
const OUTCOME_CHARS_MAX: usize = 500;
/// Why a question of an earlier round ends: it is asked anew.
const SUPERSEDED: &str = "newer evidence in the same case calls for it anew";
/// How long a question stands that is asked again: the policies' default.
const ASKED_AGAIN_FOR: SignedDuration = SignedDuration::from_mins(30);

/// The question that an order puts to humans.
struct Question {
    approvers: u8,
    expires_at: Timestamp,
}

impl Question {
    fn of(order: &Order, now: Timestamp) -> Self {
        let stands = SignedDuration::from_secs(order.expires_seconds.into());
        Self {
            approvers: order.approvers.max(1),
            expires_at: now.saturating_add(stands).unwrap_or(Timestamp::MAX),
        }
    }
}

/// Files an order of a new decision. Returns whether the action became `queued`.
pub(super) fn order(
    transaction: &Transaction<'_>,
    decided: &Decided,
    order: &Order,
    call: Call,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let decision = &decided.decision;
    let id = ActionId::derive(&decision.case, order.kind, &decision.opened_by);
    let Some((_, existing)) = standing(transaction, &id)? else {
        let state = lifecycle::opening(call);
        // One question at a time: two rounds would otherwise be answered by one
        // yes and done twice.
        let case = &decision.case;
        withdraw_asked(transaction, case, Some(order.kind), SUPERSEDED)?;
        insert(transaction, &id, decided, order, now)?;
        enter(transaction, &id, state, order, now)?;
        return Ok(state == ActionState::Queued);
    };
    let state = step(&id, existing, Transition::Ordered(call))?;
    transaction
        .prepare_cached("UPDATE actions SET score = max(score, ?2) WHERE id = ?1")?
        .execute((id.to_string(), order.score))?;
    if state == existing {
        if state == ActionState::AwaitingApproval {
            // Two questions in one: as many must agree as the stricter asks for.
            transaction
                .prepare_cached(
                    "UPDATE actions SET approvers_needed = max(approvers_needed, ?2) WHERE id = ?1",
                )?
                .execute((id.to_string(), Question::of(order, now).approvers))?;
        }
        return Ok(false);
    }
    restart(transaction, &id, decided, now)?;
    enter(transaction, &id, state, order, now)?;
    Ok(state == ActionState::Queued)
}

/// The theft goes on: what was asked of a case and answered by nobody, or
/// withdrawn, is asked again, on the same terms. Only the latest round of each
/// kind is.
pub(super) fn ask_again(
    transaction: &Transaction<'_>,
    case: &CaseId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let unanswered: Vec<(ActionId, ActionState)> = transaction
        .prepare_cached(
            "SELECT a.id, a.state FROM actions a
             WHERE a.case_id = ?1 AND a.state IN (?2, ?3) AND NOT EXISTS (
                 SELECT 1 FROM actions later
                 WHERE later.case_id = a.case_id AND later.kind = a.kind
                   AND (later.ordered_at, later.id) > (a.ordered_at, a.id))",
        )?
        .query_map(
            (
                case.to_string(),
                ActionState::Expired.as_str(),
                ActionState::Withdrawn.as_str(),
            ),
            |row| {
                Ok((
                    schema::parsed(row, "id", ActionId::parse)?,
                    schema::parsed(row, "state", str::parse::<ActionState>)?,
                ))
            },
        )?
        .collect::<Result<_, _>>()?;
    let until = now
        .saturating_add(ASKED_AGAIN_FOR)
        .unwrap_or(Timestamp::MAX);
    for (id, from) in unanswered {
        let state = step(&id, from, Transition::AskedAgain)?;
        transaction
            .prepare_cached(
                "UPDATE actions SET
                     state = ?2, approved = 0, expires_at = ?3, round = round + 1,
                     last_outcome = CASE state WHEN 'withdrawn' THEN NULL ELSE last_outcome END
                 WHERE id = ?1",
            )?
            .execute((id.to_string(), state.as_str(), schema::micros(until)))?;
    }
    Ok(())
}

/// Takes back what a case still asks, and says why. Returns how many questions
/// that were.
pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    withdrawn: &Withdrawn,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let questions = withdraw_asked(transaction, &withdrawn.case, None, &withdrawn.reason)?;
    if questions > 0 {
        cases::touch(transaction, &withdrawn.case, now)?;
    }
    Ok(questions)
}

/// Takes back the questions of a case, all or those of one kind.
fn withdraw_asked(
    transaction: &Transaction<'_>,
    case: &CaseId,
    kind: Option<ActionKind>,
    reason: &str,
) -> Result<u32, StoreError> {
    let from = ActionState::AwaitingApproval;
    let asked: Vec<ActionId> = transaction
        .prepare_cached(
            "SELECT id FROM actions
             WHERE case_id = ?1 AND state = ?2 AND kind = coalesce(?3, kind)",
        )?
        .query_map(
            (
                case.to_string(),
                from.as_str(),
                kind.map(ActionKind::as_str),
            ),
            |row| schema::parsed(row, "id", ActionId::parse),
        )?
        .collect::<Result<_, _>>()?;
    let mut questions = 0;
    for id in asked {
        let state = step(&id, from, Transition::Withdrawn)?;
        transaction
            .prepare_cached("UPDATE actions SET state = ?2, last_outcome = ?3 WHERE id = ?1")?
            .execute((id.to_string(), state.as_str(), kept(reason)))?;
        questions += 1;
    }
    Ok(questions)
}

/// As much of an outcome as is kept.
fn kept(outcome: &str) -> String {
    outcome.chars().take(OUTCOME_CHARS_MAX).collect()
}

/// Inserts a new action, refused until [`enter`] says otherwise.
fn insert(
    transaction: &Transaction<'_>,
    id: &ActionId,
    decided: &Decided,
    order: &Order,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO actions (id, case_id, kind, state, score, approvers_needed, event_at,
                                  enqueued_at, received_at, committed_at, not_before, ordered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?9, ?9)",
        )?
        .execute((
            id.to_string(),
            decided.decision.case.to_string(),
            order.kind.as_str(),
            ActionState::Refused.as_str(),
            order.score,
            schema::micros(decided.decision.at),
            schema::micros(decided.enqueued_at),
            schema::micros(decided.received_at),
            schema::micros(now),
        ))?;
    Ok(())
}

/// Measures an action from the decision that revived it, not from the one that
/// came to nothing.
fn restart(
    transaction: &Transaction<'_>,
    id: &ActionId,
    decided: &Decided,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE actions SET event_at = ?2, enqueued_at = ?3, received_at = ?4,
                                committed_at = ?5, attempts = 0,
                 last_outcome = CASE state WHEN 'withdrawn' THEN NULL ELSE last_outcome END
             WHERE id = ?1",
        )?
        .execute((
            id.to_string(),
            schema::micros(decided.decision.at),
            schema::micros(decided.enqueued_at),
            schema::micros(decided.received_at),
            schema::micros(now),
        ))?;
    Ok(())
}

/// Writes the state that an order led to, with what belongs to it.
fn enter(
    transaction: &Transaction<'_>,
    id: &ActionId,
    state: ActionState,
    order: &Order,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = id.to_string();
    let now_us = schema::micros(now);
    match state {
        ActionState::Queued => transaction
            .prepare_cached(
                "UPDATE actions SET state = ?2, approved = 0, approvers_needed = 0,
                     expires_at = NULL, queued_at = ?3, not_before = ?3, unattended_at = ?3
                 WHERE id = ?1",
            )?
            .execute((id, state.as_str(), now_us))?,
        ActionState::AwaitingApproval => {
            let question = Question::of(order, now);
            transaction
                .prepare_cached(
                    "UPDATE actions SET state = ?2, approved = 0, approvers_needed = ?3,
                         expires_at = ?4, round = round + 1
                     WHERE id = ?1",
                )?
                .execute((
                    id,
                    state.as_str(),
                    question.approvers,
                    schema::micros(question.expires_at),
                ))?
        }
        _ => transaction
            .prepare_cached("UPDATE actions SET state = ?2, expires_at = NULL WHERE id = ?1")?
            .execute((id, state.as_str()))?,
    };
    Ok(())
}

/// The state an action is in and the case it belongs to.
fn standing(
    transaction: &Transaction<'_>,
    id: &ActionId,
) -> Result<Option<(CaseId, ActionState)>, StoreError> {
    Ok(transaction
        .prepare_cached("SELECT case_id, state FROM actions WHERE id = ?1")?
        .query_row([id.to_string()], |row| {
            Ok((
                schema::parsed(row, "case_id", CaseId::parse)?,
                schema::parsed(row, "state", str::parse::<ActionState>)?,
            ))
        })
        .optional()?)
}

/// The state after a step, or the store's error that it is illegal.
pub(super) fn step(
    action: &ActionId,
    from: ActionState,
    transition: Transition,
) -> Result<ActionState, StoreError> {
    lifecycle::next(from, transition).map_err(|step| StoreError::Illegal {
        action: *action,
        step,
    })
}

/// Claims due actions, highest score first, then oldest.
pub(super) fn claim(
    connection: &mut Connection,
    kinds: &[ActionKind],
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Claimed>, StoreError> {
    let transaction = begin(connection)?;
    let claimed = due(&transaction, kinds, schema::at_most(limit, CLAIM_MAX), now)?;
    for action in &claimed {
        let state = step(&action.id, ActionState::Queued, Transition::Claimed)?;
        transaction
            .prepare_cached("UPDATE actions SET state = ?2, claimed_at = ?3 WHERE id = ?1")?
            .execute((action.id.to_string(), state.as_str(), schema::micros(now)))?;
    }
    transaction.commit()?;
    Ok(claimed)
}

fn due(
    transaction: &Transaction<'_>,
    kinds: &[ActionKind],
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Claimed>, StoreError> {
    let values = [
        rusqlite::types::Value::from(ActionState::Queued.as_str().to_owned()),
        schema::micros(now).into(),
        limit.into(),
    ];
    let kinds_given = kinds.iter().map(|kind| kind.as_str().to_owned().into());
    let mut select = transaction.prepare_cached(&due_sql(kinds.len()))?;
    let rows = select.query_map(
        params_from_iter(values.into_iter().chain(kinds_given)),
        claimed,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// `?1` state, `?2` now, `?3` limit, `?4` and on the kinds.
fn due_sql(kinds: usize) -> String {
    let places: Vec<String> = (4..4 + kinds).map(|place| format!("?{place}")).collect();
    format!(
        "SELECT a.id, a.case_id, a.kind, a.score, a.approved, a.attempts, a.event_at,
                a.enqueued_at, a.queued_at, c.user_id, c.principal_name, c.guest, c.workload
         FROM actions a JOIN cases c ON c.id = a.case_id
         WHERE a.state = ?1 AND a.not_before <= ?2 AND a.kind IN ({})
         ORDER BY a.score DESC, a.queued_at, a.id LIMIT ?3",
        places.join(", ")
    )
}

fn claimed(row: &Row<'_>) -> rusqlite::Result<Claimed> {
    Ok(Claimed {
        id: schema::parsed(row, "id", ActionId::parse)?,
        case: schema::parsed(row, "case_id", CaseId::parse)?,
        kind: schema::parsed(row, "kind", str::parse::<ActionKind>)?,
        user: schema::user(row)?,
        score: row.get("score")?,
        approved: row.get("approved")?,
        attempts: row.get("attempts")?,
        event_at: schema::time(row, "event_at")?,
        enqueued_at: schema::time(row, "enqueued_at")?,
        queued_at: schema::time(row, "queued_at")?,
    })
}

/// Writes what became of claimed actions, all or none.
pub(super) fn settle(
    connection: &mut Connection,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<(), StoreError> {
    let transaction = begin(connection)?;
    for settlement in settlements {
        let id = &settlement.id;
        let (case, from) =
            standing(&transaction, id)?.ok_or(StoreError::NoSuchAction { action: *id })?;
        let transition =
            Transition::settling(settlement.state).ok_or(StoreError::NoSettlement {
                action: *id,
                state: settlement.state,
            })?;
        let state = step(id, from, transition)?;
        write_settlement(&transaction, settlement, state, now)?;
        cases::touch(&transaction, &case, now)?;
    }
    transaction.commit()?;
    Ok(())
}

fn write_settlement(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    state: ActionState,
    now: Timestamp,
) -> Result<(), StoreError> {
    let acknowledged_at = (state == ActionState::Acknowledged).then(|| schema::micros(now));
    transaction
        .prepare_cached(
            "UPDATE actions SET
                 state = ?2, not_before = ?3, last_outcome = ?4, attempts = attempts + ?5,
                 sent_at = CASE WHEN ?5 THEN coalesce(sent_at, claimed_at) ELSE sent_at END,
                 acknowledged_at = coalesce(?6, acknowledged_at)
             WHERE id = ?1",
        )?
        .execute((
            settlement.id.to_string(),
            state.as_str(),
            schema::micros(settlement.not_before.unwrap_or(now)),
            kept(&settlement.outcome),
            settlement.sent,
            acknowledged_at,
        ))?;
    Ok(())
}

/// Queues again what was claimed by a process that is no more.
pub(super) fn release_claims(
    connection: &mut Connection,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let transaction = begin(connection)?;
    let from = ActionState::Sending;
    let ids = transaction
        .prepare_cached("SELECT id FROM actions WHERE state = ?1")?
        .query_map([from.as_str()], |row| {
            schema::parsed(row, "id", ActionId::parse)
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for id in &ids {
        let state = step(id, from, Transition::Released)?;
        transaction
            .prepare_cached("UPDATE actions SET state = ?2, not_before = ?3 WHERE id = ?1")?
            .execute((id.to_string(), state.as_str(), schema::micros(now)))?;
    }
    transaction.commit()?;
    Ok(ids.len() as u64)
}

/// For each user acted on without a human since then, the last time, ascending.
pub(super) fn acted_since(
    connection: &Connection,
    since: Timestamp,
) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT c.user_id, max(a.unattended_at) AS at FROM actions a JOIN cases c ON c.id = a.case_id
         WHERE a.unattended_at >= ?1 GROUP BY c.user_id ORDER BY at",
    )?;
    let rows = select.query_map([schema::micros(since)], |row| {
        let user = UserId::new(row.get::<_, String>("user_id")?);
        Ok((user, schema::time(row, "at")?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Counts what the outbox and the quarantine hold.
pub(super) fn stats(connection: &Connection) -> Result<OutboxStats, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT state, count(*) AS count FROM actions GROUP BY state ORDER BY state",
    )?;
    let by_state = select
        .query_map((), |row| {
            let count: i64 = row.get("count")?;
            let state = schema::parsed(row, "state", str::parse::<ActionState>)?;
            Ok((state, count.cast_unsigned()))
        })?
        .collect::<Result<_, _>>()?;
    let next_due = connection
        .prepare_cached("SELECT min(not_before) AS next_due FROM actions WHERE state = ?1")?
        .query_row([ActionState::Queued.as_str()], |row| {
            schema::optional_time(row, "next_due")
        })?;
    Ok(OutboxStats {
        by_state,
        quarantined: quarantine::count(connection)?,
        next_due,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_walks_the_index_in_order_and_sorts_nothing() {
        for kinds in 1..=ActionKind::ALL.len() {
            let plan = schema::plan(&due_sql(kinds));
            assert!(
                plan.contains("SEARCH a USING INDEX actions_by_turn (state=?)"),
                "{plan}"
            );
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
        }
    }
}
