//! Where two sets of policies differ, incident by incident.
//!
//! A case is named after the record that opened it, and a changed policy may
//! see the same theft at another record. So what is compared is a user's
//! incidents: the same case first, else the nearest that began within the time
//! in which an incident takes in further signals.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::report::{Change, ChangeKind};
use super::side::Case;
use crate::model::{UserId, limits};

/// How far apart two sides may see the beginning of one incident.
const SAME_INCIDENT: SignedDuration = SignedDuration::from_hours(limits::INCIDENT_HOURS);

/// Every incident of which the two sides make different things, the gravest
/// first.
pub(super) fn changes(old: &[Case], new: &[Case]) -> Vec<Change> {
    let mut users: BTreeMap<&UserId, (Vec<&Case>, Vec<&Case>)> = BTreeMap::new();
    for case in old {
        users.entry(&case.user.id).or_default().0.push(case);
    }
    for case in new {
        users.entry(&case.user.id).or_default().1.push(case);
    }
    let mut found: Vec<(ChangeKind, Timestamp, Change)> = users
        .into_values()
        .flat_map(|(old, new)| pairs(old, new))
        .filter_map(|(old, new)| {
            let effect = |case: Option<&Case>| case.map(|case| case.outcome.effect);
            let kind = ChangeKind::of(effect(old), effect(new))?;
            let either = new.or(old)?;
            let change = Change {
                change: kind,
                user: either.user.clone(),
                old: old.map(|case| case.outcome.clone()),
                new: new.map(|case| case.outcome.clone()),
            };
            Some((kind, either.outcome.at, change))
        })
        .collect();
    // Stable: users at one instant stay in the order of their ids.
    found.sort_by_key(|(kind, at, _)| (*kind, *at));
    found.into_iter().map(|(_, _, change)| change).collect()
}

/// The incidents of one user, each with its like on the other side.
fn pairs<'a>(
    mut old: Vec<&'a Case>,
    mut new: Vec<&'a Case>,
) -> Vec<(Option<&'a Case>, Option<&'a Case>)> {
    let mut pairs = Vec::new();
    let apart = |a: &Case, b: &Case| a.first.duration_since(b.first).abs();
    let mut pair = |same: &dyn Fn(&Case, &Case) -> bool, old: &mut Vec<&'a Case>| {
        old.retain(|before| {
            let likes = new
                .iter()
                .enumerate()
                .filter(|(_, after)| same(before, after));
            let nearest = likes.min_by_key(|(_, after)| apart(before, after));
            let Some(at) = nearest.map(|(at, _)| at) else {
                return true;
            };
            pairs.push((Some(*before), Some(new.remove(at))));
            false
        });
    };
    pair(&|a, b| a.outcome.case == b.outcome.case, &mut old);
    pair(&|a, b| apart(a, b) <= SAME_INCIDENT, &mut old);
    pairs.extend(old.into_iter().map(|case| (Some(case), None)));
    pairs.extend(new.into_iter().map(|case| (None, Some(case))));
    pairs
}
