//! What cases turned out to be, what each policy called for in them, and so
//! how right it was.
//!
//! Invariant: a report reads two indexed tables and the answers, never a
//! decision's body, on the connection that reads, and no more rows than the
//! bound; where there are more it says so. A finding moves no action.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use super::sqlite::begin;
use super::{JudgeError, StoreError, cases, schema};
use crate::model::{
    Admission, CaseId, CaseView, Decision, Effect, Finding, PolicyName, PolicyVerdict, Truth,
};

/// Pairs of policy and case that one report reads: the newest.
const ROWS_MAX: u32 = 100_000;
/// Characters kept of a note.
const NOTE_CHARS_MAX: usize = 500;
/// Findings shown of one case, the latest.
const FINDINGS_MAX: u32 = 100;

/// How it is known what a case was, the most telling first. A human's finding
/// is about the case as a whole and is given last, so it counts before their
/// answer to a question; and that before a click in Entra, where risk is often
/// dismissed once a theft was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// A human's finding: theft.
    Theft,
    /// A human's finding: no theft.
    Benign,
    /// A human said yes to what was asked.
    Approved,
    /// A human said no.
    Denied,
    /// An administrator confirmed the user compromised in Entra.
    ConfirmedInEntra,
    /// An administrator dismissed the risk in Entra, or confirmed it safe.
    DismissedInEntra,
    /// Humans were asked, and nobody answered.
    Expired,
    /// Nobody was asked, or the question stands or was withdrawn.
    Unjudged,
}

impl Judged {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Theft,
        Self::Benign,
        Self::Approved,
        Self::Denied,
        Self::ConfirmedInEntra,
        Self::DismissedInEntra,
        Self::Expired,
        Self::Unjudged,
    ];

    /// The name used in JSON and by the query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Theft => "theft",
            Self::Benign => "benign",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::ConfirmedInEntra => "confirmed_in_entra",
            Self::DismissedInEntra => "dismissed_in_entra",
            Self::Expired => "expired",
            Self::Unjudged => "unjudged",
        }
    }

    /// What the case was by this; `None` where nobody said. Silence is not a
    /// judgement: it says that nobody looked.
    pub fn truth(self) -> Option<Truth> {
        match self {
            Self::Theft | Self::Approved | Self::ConfirmedInEntra => Some(Truth::Theft),
            Self::Benign | Self::Denied | Self::DismissedInEntra => Some(Truth::Benign),
            Self::Expired | Self::Unjudged => None,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|judged| judged.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no way to judge"))
    }
}

/// Cases of one policy that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The policy.
    pub policy: PolicyName,
    /// What it called for at most, after the guard: `Shadow` is recorded,
    /// `Ask` was asked, `Act` was done without asking.
    pub effect: Effect,
    /// What became known of them.
    pub judged: Judged,
    /// How many.
    pub cases: u64,
}

/// What policies called for and how right they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackRecord {
    /// By policy, effect and judgement, each once.
    pub tallies: Vec<Tally>,
    /// Whether the bound cut the oldest off.
    pub cut_off: bool,
}

/// Takes down what each policy called for in a decision's case.
pub(super) fn called_for(
    transaction: &Transaction<'_>,
    decision: &Decision,
    now: Timestamp,
) -> Result<(), StoreError> {
    let admitted = |verdict: &PolicyVerdict| {
        let effect = verdict.effect?;
        Some(match decision.admission {
            Admission::Admitted => effect,
            Admission::Demoted(_) => effect.min(Effect::Ask),
            Admission::Refused(_) => Effect::Shadow,
        })
    };
    for verdict in &decision.verdicts {
        let Some(effect) = admitted(verdict) else {
            continue;
        };
        transaction
            .prepare_cached(
                "INSERT INTO policy_cases (policy, case_id, effect, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (policy, case_id) DO UPDATE SET effect = CASE
                     WHEN 'act' IN (effect, excluded.effect) THEN 'act'
                     WHEN 'ask' IN (effect, excluded.effect) THEN 'ask'
                     ELSE 'shadow' END",
            )?
            .execute((
                verdict.policy.as_str(),
                decision.case.to_string(),
                effect.as_str(),
                schema::micros(now),
            ))?;
    }
    Ok(())
}

/// Takes down a human's finding on any case.
pub(super) fn judge(
    connection: &mut Connection,
    prefix: &str,
    finding: &Finding,
) -> Result<CaseView, JudgeError> {
    let transaction = begin(connection)?;
    let case = cases::find(&transaction, prefix)?;
    save(&transaction, &case, finding)?;
    cases::touch(&transaction, &case, finding.at)?;
    let view = cases::view(&transaction, &case)?;
    transaction.commit()?;
    Ok(view)
}

/// Takes down what an administrator said in Entra, where there is such a case.
pub(super) fn said_in_entra(
    transaction: &Transaction<'_>,
    case: &CaseId,
    truth: Truth,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !cases::is_open(transaction, case)? {
        return Ok(());
    }
    let finding = Finding {
        truth,
        by: None,
        note: None,
        at: now,
    };
    save(transaction, case, &finding)?;
    cases::touch(transaction, case, now)
}

fn save(transaction: &Transaction<'_>, case: &CaseId, finding: &Finding) -> Result<(), StoreError> {
    let note = finding.note.as_deref();
    let note = note.map(|note| note.chars().take(NOTE_CHARS_MAX).collect::<String>());
    let source = if finding.by.is_some() {
        "human"
    } else {
        "entra"
    };
    transaction
        .prepare_cached(
            "INSERT INTO findings (case_id, source, judged_by, truth, note, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (case_id, source, judged_by) DO UPDATE
             SET truth = excluded.truth, note = excluded.note, at = excluded.at",
        )?
        .execute((
            case.to_string(),
            source,
            finding.by.as_deref().unwrap_or_default(),
            finding.truth.as_str(),
            note,
            schema::micros(finding.at),
        ))?;
    Ok(())
}

/// The findings on a case, oldest first.
pub(super) fn of(connection: &Connection, case: &CaseId) -> Result<Vec<Finding>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT judged_by, truth, note, at FROM findings WHERE case_id = ?1
         ORDER BY at DESC, source, judged_by LIMIT ?2",
    )?;
    let rows = select.query_map((case.to_string(), FINDINGS_MAX), |row| {
        let by: String = row.get("judged_by")?;
        Ok(Finding {
            truth: schema::parsed(row, "truth", str::parse::<Truth>)?,
            by: (!by.is_empty()).then_some(by),
            note: row.get("note")?,
            at: schema::time(row, "at")?,
        })
    })?;
    let mut found: Vec<Finding> = rows.collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}

/// `?1` since, `?2` rows. Of several words of one kind the latest counts, and
/// at the same moment a no before a yes.
const TRACK_RECORD: &str = "
    SELECT policy, effect, judged, count(*) AS cases FROM (
        SELECT p.policy, p.effect, coalesce(
            (SELECT f.truth FROM findings f
             WHERE f.case_id = p.case_id AND f.source = 'human'
             ORDER BY f.at DESC, f.truth LIMIT 1),
            (SELECT CASE s.judgement WHEN 'approve' THEN 'approved' ELSE 'denied' END
             FROM actions a JOIN approvals s ON s.action_id = a.id
             WHERE a.case_id = p.case_id
             ORDER BY s.at DESC, s.judgement DESC LIMIT 1),
            (SELECT CASE f.truth WHEN 'theft' THEN 'confirmed_in_entra'
                                 ELSE 'dismissed_in_entra' END
             FROM findings f WHERE f.case_id = p.case_id AND f.source = 'entra'),
            (SELECT 'expired' FROM actions a
             WHERE a.case_id = p.case_id AND a.state = 'expired' LIMIT 1),
            'unjudged') AS judged
        FROM policy_cases p WHERE p.at >= ?1 ORDER BY p.at DESC LIMIT ?2)
    GROUP BY policy, effect, judged ORDER BY policy, effect, judged";

/// What policies called for since then, and what became known of it.
pub(super) fn track_record(
    connection: &Connection,
    since: Timestamp,
) -> Result<TrackRecord, StoreError> {
    let effect = |text: &str| {
        [Effect::Shadow, Effect::Ask, Effect::Act]
            .into_iter()
            .find(|effect| effect.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no effect"))
    };
    let mut select = connection.prepare_cached(TRACK_RECORD)?;
    let rows = select.query_map((schema::micros(since), ROWS_MAX), |row| {
        let cases: i64 = row.get("cases")?;
        Ok(Tally {
            policy: PolicyName::new(row.get::<_, String>("policy")?),
            effect: schema::parsed(row, "effect", effect)?,
            judged: schema::parsed(row, "judged", Judged::parse)?,
            cases: cases.cast_unsigned(),
        })
    })?;
    let tallies: Vec<Tally> = rows.collect::<Result<_, _>>()?;
    let read: u64 = tallies.iter().map(|tally| tally.cases).sum();
    Ok(TrackRecord {
        tallies,
        cut_off: read >= ROWS_MAX.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_walks_indexes_and_scans_no_table() {
        let plan = schema::plan(TRACK_RECORD);
        assert!(
            plan.contains("SEARCH p USING INDEX policy_cases_newest (at>?)"),
            "{plan}"
        );
        for line in plan.lines().filter(|line| line.contains("SCAN")) {
            // What it groups is the bounded result of the inner query.
            assert!(line.starts_with("SCAN (subquery"), "{plan}");
        }
    }
}
