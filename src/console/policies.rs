//! What the console says of policies: which serve, whether what lies on the
//! disk is what serves, and how right each was.
//!
//! Invariant: a report promotes nothing. It says whether the bar that an
//! author set is met, and where their edit would go.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::precision::{Precision, precision};
use crate::model::{Effect, Mode, Truth};
use crate::store::{Judged, TrackRecord};

/// `GET /v1/policies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// The set that serves.
    pub serving: ServingSet,
    /// The last attempt to load one.
    pub attempt: Attempt,
    /// What lies on the disk now; `None` where the shipped policies serve.
    pub on_disk: Option<OnDisk>,
    /// Since when calls are counted.
    pub counted_since: Timestamp,
    /// What each policy called for since then, by name; those that serve.
    pub calls: BTreeMap<String, Calls>,
}

/// The policies that serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServingSet {
    /// The set's hash, as it stands in each decision.
    pub hash: String,
    /// Since when it serves.
    pub since: Timestamp,
    /// From where; `None`: those that ship.
    pub directory: Option<String>,
    /// Each, in the order of the set.
    pub policies: Vec<ServingPolicy>,
}

/// A policy that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingPolicy {
    /// Its name.
    pub name: String,
    /// What it may do at most.
    pub mode: Mode,
    /// Whom to ask about it; may be empty.
    pub owner: String,
    /// When its author would let it do more.
    pub bar: Option<Bar>,
    /// `FILE:LINE` of its mode, or `FILE` where it has none written; `None`
    /// where the shipped policies serve.
    pub mode_at: Option<String>,
}

/// The bar an author set with `promote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// The least precision, in percent, that the interval's lower end reaches.
    pub precision: u8,
    /// The least number of judged cases.
    pub cases: u32,
}

/// An attempt to load the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// Every problem whole, each with its place and its line; empty where it
    /// went well.
    pub problems: Vec<String>,
}

/// What lies in the policies' folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDisk {
    /// The hash of the set there; `None` where it does not compile.
    pub hash: Option<String>,
    /// The files that are not as they were loaded: `changed a.yaml`,
    /// `new b.yaml`, `gone c.yaml`. Empty where the set is the one that serves.
    pub differs: Vec<String>,
}

/// In how many cases a policy called for something, by the most it called for
/// after the guard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Recorded, and nothing else.
    pub shadow: u64,
    /// A human was asked.
    pub asked: u64,
    /// Done without asking.
    pub acted: u64,
}

impl Calls {
    fn add(&mut self, effect: Effect, cases: u64) {
        *match effect {
            Effect::Shadow => &mut self.shadow,
            Effect::Ask => &mut self.asked,
            Effect::Act => &mut self.acted,
        } += cases;
    }

    /// All of them.
    pub fn cases(&self) -> u64 {
        self.shadow + self.asked + self.acted
    }
}

/// `GET /v1/policies/report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// The first moment of what is counted.
    pub since: Timestamp,
    /// Whether there was more than a report reads: the oldest are left out.
    pub cut_off: bool,
    /// Those that serve in the order of the set, then those that served.
    pub policies: Vec<Standing>,
}

/// How one policy stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its mode; `None`: it serves no more.
    pub mode: Option<Mode>,
    /// Whom to ask about it; may be empty.
    pub owner: String,
    /// What it called for.
    pub calls: Calls,
    /// How it is known what the cases were; only what happened.
    pub judged: BTreeMap<Judged, u64>,
    /// Cases that were theft.
    pub theft: u64,
    /// Cases that were not.
    pub benign: u64,
    /// Cases of which nobody said.
    pub unjudged: u64,
    /// The share of theft among those judged; `None` where none is.
    pub precision: Option<Precision>,
    /// The bar its author set.
    pub bar: Option<Bar>,
    /// Whether it is met; `None` where there is no bar.
    pub meets_bar: Option<bool>,
    /// `FILE:LINE` of its mode.
    pub mode_at: Option<String>,
}

impl Bar {
    /// Whether so many judged cases with that precision meet it.
    fn is_met(self, judged: u64, precision: Option<Precision>) -> bool {
        let least = f64::from(self.precision) / 100.0;
        judged >= self.cases.into() && precision.is_some_and(|p| p.low >= least)
    }
}

/// What each policy called for.
pub(super) fn calls(record: &TrackRecord) -> BTreeMap<String, Calls> {
    let mut calls: BTreeMap<String, Calls> = BTreeMap::new();
    for tally in &record.tallies {
        calls
            .entry(tally.policy.as_str().to_owned())
            .or_default()
            .add(tally.effect, tally.cases);
    }
    calls
}

/// How each policy stands: those that serve, and those that the record knows.
pub(super) fn report(
    serving: &[ServingPolicy],
    record: &TrackRecord,
    since: Timestamp,
) -> PolicyReport {
    let mut calls = calls(record);
    let mut judged: BTreeMap<&str, BTreeMap<Judged, u64>> = BTreeMap::new();
    for tally in &record.tallies {
        *judged
            .entry(tally.policy.as_str())
            .or_default()
            .entry(tally.judged)
            .or_default() += tally.cases;
    }
    let mut of = |name: &str| {
        (
            calls.remove(name).unwrap_or_default(),
            judged.remove(name).unwrap_or_default(),
        )
    };
    let mut policies: Vec<Standing> = serving
        .iter()
        .map(|policy| {
            let (calls, judged) = of(&policy.name);
            standing(policy.name.clone(), Some(policy), calls, judged)
        })
        .collect();
    let former: Vec<String> = calls.keys().cloned().collect();
    for name in former {
        let calls = calls.remove(&name).unwrap_or_default();
        let judged = judged.remove(name.as_str()).unwrap_or_default();
        policies.push(standing(name, None, calls, judged));
    }
    PolicyReport {
        since,
        cut_off: record.cut_off,
        policies,
    }
}

fn standing(
    name: String,
    serving: Option<&ServingPolicy>,
    calls: Calls,
    judged: BTreeMap<Judged, u64>,
) -> Standing {
    let of = |truth: Option<Truth>| -> u64 {
        judged
            .iter()
            .filter(|(judged, _)| judged.truth() == truth)
            .map(|(_, cases)| cases)
            .sum()
    };
    let (theft, benign) = (of(Some(Truth::Theft)), of(Some(Truth::Benign)));
    let precision = precision(theft, theft + benign);
    let bar = serving.and_then(|policy| policy.bar);
    Standing {
        name,
        mode: serving.map(|policy| policy.mode),
        owner: serving.map_or_else(String::new, |policy| policy.owner.clone()),
        calls,
        theft,
        benign,
        unjudged: of(None),
        precision,
        bar,
        meets_bar: bar.map(|bar| bar.is_met(theft + benign, precision)),
        mode_at: serving.and_then(|policy| policy.mode_at.clone()),
        judged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PolicyName;
    use crate::store::Tally;

    fn tally(policy: &str, effect: Effect, judged: Judged, cases: u64) -> Tally {
        Tally {
            policy: PolicyName::new(policy),
            effect,
            judged,
            cases,
        }
    }

    fn serving(name: &str, bar: Option<Bar>) -> ServingPolicy {
        ServingPolicy {
            name: name.to_owned(),
            mode: Mode::Shadow,
            owner: "identity-team".to_owned(),
            bar,
            mode_at: Some("policies/a.yaml:4".to_owned()),
        }
    }

    #[test]
    fn the_lower_end_of_the_interval_and_the_number_of_cases_meet_a_bar() {
        let bar = |precision, cases| Some(Bar { precision, cases });
        // 73 of 73: the lower end is 0.9500; 72 of 72 gives 0.9493.
        let table = [
            (73, 0, bar(95, 20), Some(true)),
            (72, 0, bar(95, 20), Some(false)),
            (73, 0, bar(95, 74), Some(false)),
            (73, 1, bar(95, 20), Some(false)),
            (0, 0, bar(1, 1), Some(false)),
            (73, 0, None, None),
        ];
        for (theft, benign, bar, meets) in table {
            let record = TrackRecord {
                tallies: vec![
                    tally("a", Effect::Shadow, Judged::Approved, theft),
                    tally("a", Effect::Shadow, Judged::DismissedInEntra, benign),
                    tally("a", Effect::Shadow, Judged::Expired, 500),
                ],
                cut_off: false,
            };
            let report = report(&[serving("a", bar)], &record, Timestamp::UNIX_EPOCH);
            assert_eq!(report.policies[0].meets_bar, meets, "{theft} {benign}");
            assert_eq!(report.policies[0].unjudged, 500);
        }
    }

    #[test]
    fn a_false_positive_of_an_act_counts_and_a_policy_that_went_is_still_told() {
        let record = TrackRecord {
            tallies: vec![
                tally("a", Effect::Act, Judged::Benign, 1),
                tally("a", Effect::Ask, Judged::Denied, 2),
                tally("a", Effect::Ask, Judged::Theft, 1),
                tally("gone", Effect::Shadow, Judged::Unjudged, 4),
            ],
            cut_off: true,
        };
        let report = report(
            &[serving("new", None), serving("a", None)],
            &record,
            Timestamp::UNIX_EPOCH,
        );
        assert!(report.cut_off);
        let [new, a, gone] = report.policies.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((new.calls.cases(), new.precision), (0, None));
        assert_eq!(
            a.calls,
            Calls {
                shadow: 0,
                asked: 3,
                acted: 1
            }
        );
        assert_eq!((a.theft, a.benign, a.unjudged), (1, 3, 0));
        assert_eq!(a.precision.unwrap().share, 0.25);
        assert_eq!((gone.mode, gone.unjudged), (None, 4));
    }
}
