//! Cases: a user's incident as it is filed and as it is shown.
//!
//! Invariant: where a case stands is derived from its actions and its proof
//! each time and never stored, so it cannot disagree with them. A case is opened by the
//! first decision that names it; its score only rises.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{JudgeError, Judgement, StoreError, containment, findings, schema};
use crate::model::{
    ActionId, ActionKind, ActionState, ActionView, CaseId, CaseStatus, CaseView, Containment,
    Decision, DecisionView, Signal, SignalView, Stage,
};

/// Cases listed at most at once.
const LIST_MAX: u32 = 10_000;
/// Signals filed under one case; a memory holds 64 at a time
/// (`model::limits::SIGNALS_MAX`), and more convince nobody further.
pub(super) const SIGNALS_MAX: u32 = 500;
/// The fewest digits that may name a case: fewer are a slip of the hand.
const PREFIX_DIGITS_MIN: usize = 4;
/// The hex digits of a UUID.
const UUID_DIGITS: usize = 32;
/// How many cases of a prefix are counted before it is given up as ambiguous.
const AMBIGUOUS_MAX: u32 = 100;

const CASE_COLUMNS: &str =
    "id, user_id, principal_name, guest, workload, score, opened_at, updated_at FROM cases";

/// Opens the decision's case, or raises the score of one that is open.
pub(super) fn open(
    transaction: &Transaction<'_>,
    decision: &Decision,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO cases
                 (id, user_id, principal_name, guest, workload, score, opened_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (id) DO UPDATE
             SET score = max(score, excluded.score), updated_at = excluded.updated_at",
        )?
        .execute((
            decision.case.to_string(),
            decision.user.id.as_str(),
            &*decision.user.principal_name,
            decision.user.guest,
            decision.user.workload,
            decision.score,
            schema::micros(now),
        ))?;
    Ok(())
}

/// Whether there is such a case.
pub(super) fn is_open(transaction: &Transaction<'_>, case: &CaseId) -> Result<bool, StoreError> {
    let open = transaction
        .prepare_cached("SELECT 1 FROM cases WHERE id = ?1")?
        .query_row([case.to_string()], |_| Ok(()))
        .optional()?;
    Ok(open.is_some())
}

/// Says that something of a case changed.
pub(super) fn touch(
    transaction: &Transaction<'_>,
    case: &CaseId,
    now: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE cases SET updated_at = ?2 WHERE id = ?1")?
        .execute((case.to_string(), schema::micros(now)))?;
    Ok(())
}

/// Files a signal under a case, once. Returns false when it was left out
/// because the case is full or is not there.
pub(super) fn file(
    transaction: &Transaction<'_>,
    case: &CaseId,
    signal: &Signal,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let id = case.to_string();
    let key = (&id, signal.name.as_str(), signal.record.as_str());
    let known = transaction
        .prepare_cached(
            "SELECT 1 FROM case_signals WHERE case_id = ?1 AND name = ?2 AND record = ?3",
        )?
        .query_row(key, |_| Ok(()))
        .optional()?;
    if known.is_some() {
        return Ok(true);
    }
    let counted = transaction
        .prepare_cached(
            "UPDATE cases SET signal_count = signal_count + 1, updated_at = ?2
             WHERE id = ?1 AND signal_count < ?3",
        )?
        .execute((&id, schema::micros(now), SIGNALS_MAX))?;
    if counted == 0 {
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "INSERT INTO case_signals (case_id, name, record, at, body)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            key.0,
            key.1,
            key.2,
            schema::micros(signal.at),
            schema::json("a signal", signal)?,
        ))?;
    Ok(true)
}

/// Finds the one case whose id begins with `prefix`: at least four hex digits,
/// dashes where one likes.
pub(super) fn find(connection: &Connection, prefix: &str) -> Result<CaseId, JudgeError> {
    let none = || JudgeError::NoSuchCase(prefix.chars().take(2 * UUID_DIGITS).collect());
    let stored = as_stored(prefix).ok_or_else(none)?;
    let mut select = connection
        .prepare_cached("SELECT id FROM cases WHERE id >= ?1 AND id < ?1 || 'g' LIMIT ?2")?;
    let found = select
        .query_map((stored, AMBIGUOUS_MAX), |row| {
            schema::parsed(row, "id", CaseId::parse)
        })?
        .collect::<Result<Vec<_>, _>>()?;
    match *found.as_slice() {
        [] => Err(none()),
        [case] => Ok(case),
        _ => Err(JudgeError::Ambiguous {
            prefix: prefix.to_owned(),
            count: found.len(),
        }),
    }
}

/// A prefix as ids are stored, lower case with dashes; `None` when no id can
/// begin with it or it is too short to mean one.
fn as_stored(prefix: &str) -> Option<String> {
    let mut stored = String::with_capacity(UUID_DIGITS + 4);
    let mut digits = 0;
    for digit in prefix.trim().chars().filter(|c| *c != '-') {
        if !digit.is_ascii_hexdigit() || digits == UUID_DIGITS {
            return None;
        }
        if matches!(digits, 8 | 12 | 16 | 20) {
            stored.push('-');
        }
        stored.push(digit.to_ascii_lowercase());
        digits += 1;
    }
    (digits >= PREFIX_DIGITS_MIN).then_some(stored)
}

/// The newest cases, without decisions and signals.
pub(super) fn list(connection: &Connection, limit: usize) -> Result<Vec<CaseView>, StoreError> {
    let sql = format!("SELECT {CASE_COLUMNS} ORDER BY opened_at DESC, id LIMIT ?1");
    let mut cases = connection
        .prepare_cached(&sql)?
        .query_map([schema::at_most(limit, LIST_MAX)], head)?
        .collect::<Result<Vec<_>, _>>()?;
    for case in &mut cases {
        add_actions(connection, case)?;
    }
    Ok(cases)
}

/// One case whole.
pub(super) fn view(connection: &Connection, id: &CaseId) -> Result<CaseView, StoreError> {
    let sql = format!("SELECT {CASE_COLUMNS} WHERE id = ?1");
    let mut case = connection
        .prepare_cached(&sql)?
        .query_row([id.to_string()], head)?;
    add_actions(connection, &mut case)?;
    case.decisions = decisions(connection, id)?;
    case.signals = signals(connection, id)?;
    case.findings = findings::of(connection, id)?;
    Ok(case)
}

/// A case's own row; its actions and so its status are still to come.
fn head(row: &Row<'_>) -> rusqlite::Result<CaseView> {
    Ok(CaseView {
        id: schema::parsed(row, "id", CaseId::parse)?,
        user: schema::user(row)?,
        status: CaseStatus::of(&[], Stage::None),
        score: row.get("score")?,
        opened_at: schema::time(row, "opened_at")?,
        updated_at: schema::time(row, "updated_at")?,
        containment: Containment::default(),
        actions: Vec::new(),
        decisions: Vec::new(),
        signals: Vec::new(),
        findings: Vec::new(),
    })
}

fn add_actions(connection: &Connection, case: &mut CaseView) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, kind, state, score, approvers_needed, round, expires_at, attempts,
                last_outcome, event_at, acknowledged_at
         FROM actions WHERE case_id = ?1 ORDER BY ordered_at, id",
    )?;
    let rows = select.query_map([case.id.to_string()], action)?;
    for row in rows {
        let (round, mut action) = row?;
        add_judgements(connection, round, &mut action)?;
        case.actions.push(action);
    }
    // Stable: within a kind the rounds stay in the order they were ordered in.
    case.actions.sort_by_key(|action| action.kind);
    case.derive(containment::proof(connection, &case.id)?);
    Ok(())
}

fn action(row: &Row<'_>) -> rusqlite::Result<(u32, ActionView)> {
    let event_at = schema::time(row, "event_at")?;
    let acknowledged_at = schema::optional_time(row, "acknowledged_at")?;
    let action = ActionView {
        id: schema::parsed(row, "id", ActionId::parse)?,
        kind: schema::parsed(row, "kind", str::parse::<ActionKind>)?,
        state: schema::parsed(row, "state", str::parse::<ActionState>)?,
        score: row.get("score")?,
        approvers_needed: row.get("approvers_needed")?,
        approved_by: Vec::new(),
        denied_by: None,
        expires_at: schema::optional_time(row, "expires_at")?,
        attempts: row.get("attempts")?,
        last_outcome: row.get("last_outcome")?,
        acknowledged_at,
        event_to_acknowledged_seconds: acknowledged_at
            .map(|acknowledged_at| acknowledged_at.duration_since(event_at).as_secs_f64()),
    };
    Ok((row.get("round")?, action))
}

/// Adds who has answered the question as it was last asked.
fn add_judgements(
    connection: &Connection,
    round: u32,
    action: &mut ActionView,
) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT judged_by, judgement FROM approvals
         WHERE action_id = ?1 AND round = ?2 ORDER BY at, judged_by",
    )?;
    let rows = select.query_map((action.id.to_string(), round), |row| {
        let by: String = row.get("judged_by")?;
        Ok((
            by,
            schema::parsed(row, "judgement", str::parse::<Judgement>)?,
        ))
    })?;
    for row in rows {
        match row? {
            (by, Judgement::Approve) => action.approved_by.push(by),
            (by, Judgement::Deny) => action.denied_by = Some(by),
        }
    }
    Ok(())
}

fn decisions(connection: &Connection, case: &CaseId) -> Result<Vec<DecisionView>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT body, decided_at FROM decisions WHERE case_id = ?1 ORDER BY at, id",
    )?;
    let rows = select.query_map([case.to_string()], |row| {
        Ok(DecisionView {
            decision: schema::parsed(row, "body", schema::from_json)?,
            decided_at: schema::time(row, "decided_at")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn signals(connection: &Connection, case: &CaseId) -> Result<Vec<SignalView>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT body FROM case_signals WHERE case_id = ?1 ORDER BY at, name, record",
    )?;
    let rows = select.query_map([case.to_string()], |row| {
        schema::parsed(row, "body", schema::from_json::<Signal>).map(SignalView::from)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_four_hex_digits_or_more_with_dashes_where_one_likes() {
        let table = [
            ("abcd", Some("abcd")),
            ("ABCD", Some("abcd")),
            (" ab-cd ", Some("abcd")),
            ("abcdef012", Some("abcdef01-2")),
            ("abcdef01-2345", Some("abcdef01-2345")),
            (
                "0123456789abcdef0123456789abcdef",
                Some("01234567-89ab-cdef-0123-456789abcdef"),
            ),
            ("abc", None),
            ("", None),
            ("----", None),
            ("abcg", None),
            ("abcd%", None),
            ("0123456789abcdef0123456789abcdef0", None),
        ];
        for (prefix, stored) in table {
            assert_eq!(as_stored(prefix).as_deref(), stored, "{prefix:?}");
        }
    }
}
