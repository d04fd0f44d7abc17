//! What a backtest found: the input, each side, and where the two differ.
//!
//! Invariant: everything here is sorted or counted, nothing depends on threads
//! or on the order of a hash table, so the same files give the same JSON, byte
//! for byte. Lists have a bound and say how much they leave out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::records::{Block, UNREAD_NAMED_MAX, Unread};
use crate::model::{CaseId, Effect, Event, GuardReason, Mode, UserRef};

/// Everything a backtest says; `--format json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was read.
    pub input: Input,
    /// By the policies of today.
    pub old: SideReport,
    /// By the changed ones.
    pub new: SideReport,
    /// Whom the change concerns, in the order of [`ChangeKind`] and of time.
    pub changes: Vec<Change>,
    /// Cases that either side left out of its list, so that their changes are
    /// not known: 0 unless a side has more than a hundred thousand.
    pub left_out: u64,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Files.
    pub files: usize,
    /// Records: events, those passed over and those that did not decode.
    pub records: u64,
    /// Events judged.
    pub events: u64,
    /// Records of other categories, by category.
    pub passed_over: BTreeMap<&'static str, u64>,
    /// Records that did not decode.
    pub undecodable: u64,
    /// The first of those.
    pub undecodable_first: Vec<Unread>,
    /// The earliest event.
    pub first: Option<Timestamp>,
    /// The latest.
    pub last: Option<Timestamp>,
    /// Files that run newest first and were turned round.
    pub newest_first: Vec<String>,
}

impl Input {
    /// Takes in a block whose events were taken out of it.
    pub(super) fn count(&mut self, block: Block, events: &[Event]) {
        self.records += block.records;
        self.events += events.len() as u64;
        for (category, count) in block.passed_over {
            *self.passed_over.entry(category).or_default() += count;
        }
        self.undecodable += block.unread;
        let room = UNREAD_NAMED_MAX - self.undecodable_first.len();
        self.undecodable_first
            .extend(block.named.into_iter().take(room));
        let times = || events.iter().map(Event::at);
        self.first = self.first.into_iter().chain(times()).min();
        self.last = self.last.into_iter().chain(times()).max();
    }
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Acted on unattended.
    pub acted: u64,
    /// A human was asked.
    pub asked: u64,
    /// Recorded only: a policy in shadow.
    pub shadow: u64,
}

impl Counts {
    pub(super) fn add(&mut self, effect: Effect) {
        *match effect {
            Effect::Act => &mut self.acted,
            Effect::Ask => &mut self.asked,
            Effect::Shadow => &mut self.shadow,
        } += 1;
    }
}

/// What one set of policies would have done.
#[derive(Debug, PartialEq, Serialize)]
pub struct SideReport {
    /// Where the policies are from.
    pub policies_from: String,
    /// The hash of the set.
    pub policy_set: String,
    /// Cases by the strongest thing that came of them.
    pub cases: Counts,
    /// Cases of protected accounts, where nothing would have been done.
    pub protected: u64,
    /// Decisions to act that the guard turned into questions, by its reason.
    pub demoted: BTreeMap<&'static str, u64>,
    /// Every policy of the set.
    pub policies: Vec<PolicyRow>,
    /// Every day on which anything was decided.
    pub days: Vec<DayRow>,
    /// The work for approvers.
    pub approvers: Load,
    /// What Graph's quotas make of it.
    pub graph: Quotas,
    /// Records that came twice.
    pub duplicates: u64,
    /// Users remembered.
    pub users: u64,
}

/// What one policy called for. A case counts for each policy that called for
/// something in it, and again where a question became an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// Its name.
    pub policy: String,
    /// Its mode.
    pub mode: Mode,
    /// What it called for.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was called for on one day, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayRow {
    /// The day, such as `2026-11-24`.
    pub day: String,
    /// By all policies: each case once for each effect.
    #[serde(flatten)]
    pub counts: Counts,
    /// By each that called for anything.
    pub policies: BTreeMap<String, Counts>,
}

/// The work for approvers. Days and hours are UTC.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Load {
    /// Questions asked.
    pub questions: u64,
    /// Questions a day in the median over all days, those without any too.
    pub median_day: f64,
    /// The worst day.
    pub worst_day: Option<Peak>,
    /// The worst hour.
    pub worst_hour: Option<Peak>,
    /// Most questions open at once if nobody answers before they expire.
    pub open_at_once: Option<Peak>,
}

/// When something was at its most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// The beginning of the day or the hour, or the very time.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
}

/// What Graph's quotas make of the actions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Quotas {
    /// Of what is done unattended, the hour with the longest wait.
    pub unattended: Option<Wait>,
    /// The same if every question had been answered with yes at once.
    pub all_approved: Option<Wait>,
}

/// An hour in which actions waited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wait {
    /// The hour's beginning, UTC.
    pub hour: Timestamp,
    /// Actions queued in it.
    pub actions: u64,
    /// The longest that one of them waited for its lane, in seconds.
    pub longest_seconds: f64,
}

/// One user's incident, as one side saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseOutcome {
    /// The case; another than the other side's where another record opened it.
    pub case: CaseId,
    /// The strongest thing that came of it.
    pub effect: Effect,
    /// When that was called for.
    pub at: Timestamp,
    /// The score then.
    pub score: u8,
    /// The arithmetic of the policy that called for it.
    pub reason: String,
    /// The guard's word, where it was not "as ordered".
    pub guard: Option<GuardReason>,
}

/// What the change makes of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Acted on now, where nothing was done.
    NewlyActed,
    /// Acted on now, where a human was asked.
    AskToAct,
    /// No longer acted on, nor asked about.
    NoLongerActed,
    /// Asked about now, where it was acted on.
    ActToAsk,
    /// Asked about now, where nothing was done.
    NewlyAsked,
    /// No longer asked about.
    NoLongerAsked,
    /// Recorded now by a policy in shadow.
    NewlyInShadow,
    /// No longer recorded by one.
    NoLongerInShadow,
}

impl ChangeKind {
    /// All kinds, the gravest first.
    pub const ALL: [Self; 8] = [
        Self::NewlyActed,
        Self::AskToAct,
        Self::NoLongerActed,
        Self::ActToAsk,
        Self::NewlyAsked,
        Self::NoLongerAsked,
        Self::NewlyInShadow,
        Self::NoLongerInShadow,
    ];

    /// What became of an incident; `None` where nothing changed.
    pub(super) fn of(old: Option<Effect>, new: Option<Effect>) -> Option<Self> {
        use Effect::{Act, Ask, Shadow};
        match (old, new) {
            (Some(Ask), Some(Act)) => Some(Self::AskToAct),
            (Some(Act), Some(Ask)) => Some(Self::ActToAsk),
            (old, new) if old == new => None,
            (_, Some(Act)) => Some(Self::NewlyActed),
            (Some(Act), _) => Some(Self::NoLongerActed),
            (_, Some(Ask)) => Some(Self::NewlyAsked),
            (Some(Ask), _) => Some(Self::NoLongerAsked),
            (_, Some(Shadow)) => Some(Self::NewlyInShadow),
            (Some(Shadow), _) => Some(Self::NoLongerInShadow),
            (None, None) => None,
        }
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyActed => "newly acted on",
            Self::AskToAct => "acted on instead of asked about",
            Self::NoLongerActed => "no longer acted on",
            Self::ActToAsk => "asked about instead of acted on",
            Self::NewlyAsked => "newly asked about",
            Self::NoLongerAsked => "no longer asked about",
            Self::NewlyInShadow => "newly in shadow",
            Self::NoLongerInShadow => "no longer in shadow",
        }
    }
}

/// An incident that the change concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What changes.
    pub change: ChangeKind,
    /// Whose incident it is.
    pub user: UserRef,
    /// By the policies of today; `None` where they see nothing in it.
    pub old: Option<CaseOutcome>,
    /// By the changed ones.
    pub new: Option<CaseOutcome>,
}

impl Report {
    /// How many changes there are of each kind.
    pub fn changes_by_kind(&self) -> BTreeMap<ChangeKind, usize> {
        let mut counted = BTreeMap::new();
        for change in &self.changes {
            *counted.entry(change.change).or_default() += 1;
        }
        counted
    }

    /// Replaces every user's name and id by a short form of the id: who works
    /// in the tenant can still find them, a reader elsewhere cannot.
    pub fn mask(&mut self) {
        for change in &mut self.changes {
            let short = masked(change.user.id.as_str());
            change.user.id = crate::model::UserId::new(short);
            change.user.principal_name = "".into();
        }
        for unread in &mut self.input.undecodable_first {
            unread.reason = unseen(&unread.reason).to_owned();
        }
    }
}

/// What is wrong with a record, without what was seen in it: our own decoder
/// says so behind "saw", serde's in quotation marks.
fn unseen(reason: &str) -> &str {
    let seen = [": saw ", "\"", "`"];
    let end = seen.iter().filter_map(|mark| reason.find(mark)).min();
    reason
        .get(..end.unwrap_or(reason.len()))
        .unwrap_or_default()
        .trim_end()
}

/// The first digits of an object id. What is no GUID may be a name.
fn masked(id: &str) -> String {
    match uuid::Uuid::parse_str(id) {
        Ok(guid) => guid.simple().to_string().chars().take(8).collect(),
        Err(_) => format!("{:016x}", crate::model::hash_of(id))
            .chars()
            .take(8)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_effects_is_a_change_of_the_right_kind_or_none() {
        use ChangeKind as K;
        use Effect::{Act, Ask, Shadow};
        let table = [
            (None, None, None),
            (None, Some(Shadow), Some(K::NewlyInShadow)),
            (None, Some(Ask), Some(K::NewlyAsked)),
            (None, Some(Act), Some(K::NewlyActed)),
            (Some(Shadow), None, Some(K::NoLongerInShadow)),
            (Some(Shadow), Some(Shadow), None),
            (Some(Shadow), Some(Ask), Some(K::NewlyAsked)),
            (Some(Shadow), Some(Act), Some(K::NewlyActed)),
            (Some(Ask), None, Some(K::NoLongerAsked)),
            (Some(Ask), Some(Shadow), Some(K::NoLongerAsked)),
            (Some(Ask), Some(Ask), None),
            (Some(Ask), Some(Act), Some(K::AskToAct)),
            (Some(Act), None, Some(K::NoLongerActed)),
            (Some(Act), Some(Shadow), Some(K::NoLongerActed)),
            (Some(Act), Some(Ask), Some(K::ActToAsk)),
            (Some(Act), Some(Act), None),
        ];
        for (old, new, expected) in table {
            assert_eq!(ChangeKind::of(old, new), expected, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn a_masked_reason_keeps_the_field_and_loses_what_was_seen_in_it() {
        let table = [
            (
                "createdDateTime: saw \"ana\", expected a time",
                "createdDateTime",
            ),
            (
                "properties: invalid type: string \"ana@contoso.example\", expected an object",
                "properties: invalid type: string",
            ),
            (
                "category: unknown variant `ana`, expected one of `b`",
                "category: unknown variant",
            ),
            (
                "userId: missing, expected a GUID",
                "userId: missing, expected a GUID",
            ),
        ];
        for (reason, expected) in table {
            assert_eq!(unseen(reason), expected);
        }
    }

    #[test]
    fn a_masked_id_is_short_and_never_a_name() {
        assert_eq!(masked("6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a11"), "6f2a9f0e");
        let other = masked("ana@contoso.example");
        assert!(other.len() == 8 && !other.contains("ana"), "{other}");
    }
}
