//! Score: what one policy says of what is remembered of a user.
//!
//! Invariant: pure, exact and independent of the order of the signals. The
//! arithmetic is in whole numbers, so the same evidence scores the same on
//! every machine and an explanation can be checked by hand. Within one window
//! one signal more never lowers the score.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{Policy, PolicySet, Rung, Weight};
use crate::model::{
    Effect, Family, FamilyScore, Intent, Mode, PolicyVerdict, ReservationGround, RungVerdict,
    SetAside, Signal, SignalName, UserRef,
};

/// Who weighs which signal: so that a policy that weighs none of what fired
/// costs next to nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Weighers(HashMap<SignalName, Vec<(usize, Weight)>, ahash::RandomState>);

impl Weighers {
    pub(super) fn of(policies: &[Policy]) -> Self {
        let mut weighers = Self::default();
        for (index, policy) in policies.iter().enumerate() {
            for (name, weight) in &policy.weights {
                let of_signal = weighers.0.entry(name.clone()).or_default();
                of_signal.push((index, *weight));
            }
        }
        weighers
    }

    /// The policies that weigh a signal, by index, and what it weighs.
    pub(super) fn of_signal(&self, name: &SignalName) -> &[(usize, Weight)] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl PartialEq for Weighers {
    /// They follow from the policies.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What one policy says, before it is put on record: what every event with a
/// signal is asked for, so nothing is allocated. [`Score::verdict`] is the
/// record.
#[derive(Debug, Clone, Copy)]
pub struct Score<'p> {
    policy: &'p Policy,
    window: Window,
    out_of_scope: bool,
    /// Whether the user could be one that the policy excludes by name.
    unsure: bool,
}

impl<'p> Score<'p> {
    /// The policy.
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// 0–100.
    pub fn points(&self) -> u8 {
        self.window.score
    }

    /// The highest rung whose conditions hold, and its place, from 0.
    pub fn rung(&self) -> Option<(u8, &'p Rung)> {
        let index = self.window.rung?;
        Some((index, &self.policy.rungs[usize::from(index)]))
    }

    /// What that rung comes to.
    pub fn effect(&self) -> Option<Effect> {
        let effect = self.window.effect(self.policy)?;
        // Whoever could be excluded is only asked about.
        Some(if self.unsure {
            effect.min(Effect::Ask)
        } else {
            effect
        })
    }

    /// The score for the record: `signals` are those that were scored.
    pub fn verdict(&self, signals: &[Signal]) -> PolicyVerdict {
        let Self { policy, window, .. } = self;
        let inside: Vec<Weighed<'_>> = if self.out_of_scope {
            Vec::new()
        } else {
            let weighed = signals
                .iter()
                .filter_map(|signal| policy.weigh(signal))
                .filter(|weighed| window.holds(weighed.at));
            weighed.collect()
        };
        PolicyVerdict {
            policy: policy.name.clone(),
            mode: policy.mode,
            window_start: window.start,
            window_end: window.end,
            score: window.score,
            families: strongest(inside.iter().filter(|w| w.counts(window.sure_only))),
            rung: self.rung().map(|(index, rung)| RungVerdict {
                index,
                at: rung.at,
                families: rung.families,
                intent: rung.intent.clone(),
                actions: rung.actions.clone(),
            }),
            effect: self.effect(),
            out_of_scope: self.out_of_scope,
            set_aside: aside(&inside),
        }
    }
}

/// What every policy of a set says, in the set's order: see [`evaluate`].
///
/// Only windows that reach back before `newest`, the time of the newest signal
/// that was not judged before: what a late signal is not in was judged, perhaps
/// by another set, and is not called for again.
pub fn scores<'p>(
    set: &'p PolicySet,
    user: &UserRef,
    signals: &[Signal],
    ends: &[Timestamp],
    newest: Timestamp,
) -> Vec<Score<'p>> {
    let weighers = |signal: &Signal| set.weighers.of_signal(&signal.name);
    let most = signals.iter().map(|signal| weighers(signal).len()).sum();
    let mut weighed: Vec<(usize, Weighed<'_>)> = Vec::with_capacity(most);
    for signal in signals {
        let of_signal = weighers(signal).iter();
        weighed.extend(
            of_signal.map(|(index, weight)| {
                (*index, Weighed::new(&set.policies[*index], signal, *weight))
            }),
        );
    }
    // Of one policy together; the order of the signals does not matter.
    if !weighed.is_sorted_by_key(|(index, _)| *index) {
        weighed.sort_by_key(|(index, _)| *index);
    }
    let mut rest = weighed.as_slice();
    let policies = set.policies.iter().enumerate();
    policies
        .map(|(index, policy)| {
            let own = rest.iter().take_while(|(of, _)| *of == index).count();
            let (own, others) = rest.split_at(own);
            rest = others;
            let changed = ends.iter().copied();
            // A window that ends by then begins before it; most do.
            let changed = changed.filter(|end| *end <= newest || start_of(policy, *end) < newest);
            score(
                policy,
                user,
                own.iter().map(|(_, weighed)| weighed),
                changed,
            )
        })
        .collect()
}

/// Scores the signals of one user in every candidate window, which ends at
/// one of `ends` and reaches back for the policy's window, its start not
/// included. The window with the highest rung counts; among those the highest
/// score, then the earliest end.
///
/// `signals` are all that is remembered, in any order. With no `ends` nothing
/// is scored.
pub fn evaluate(
    policy: &Policy,
    user: &UserRef,
    signals: &[Signal],
    ends: &[Timestamp],
) -> PolicyVerdict {
    let weighed: Vec<Weighed<'_>> = signals.iter().filter_map(|s| policy.weigh(s)).collect();
    score(policy, user, weighed.iter(), ends.iter().copied()).verdict(signals)
}

fn score<'p, 'a>(
    policy: &'p Policy,
    user: &UserRef,
    weighed: impl ExactSizeIterator<Item = &'a Weighed<'a>> + Clone,
    ends: impl Iterator<Item = Timestamp> + Clone,
) -> Score<'p> {
    let out_of_scope = !policy.scope.takes_in(user);
    let best = if out_of_scope || weighed.len() == 0 {
        nothing_in(policy, ends)
    } else {
        best_window(policy, weighed, ends)
    };
    Score {
        policy,
        window: best.unwrap_or_default(),
        out_of_scope,
        unsure: policy.scope.exclude.may_hold(user),
    }
}

/// The window that counts. What is undecided adds a question and takes nothing
/// away: where the signals that nothing speaks against are enough to act, the
/// window that they are best in counts.
fn best_window<'a>(
    policy: &Policy,
    weighed: impl Iterator<Item = &'a Weighed<'a>> + Clone,
    ends: impl Iterator<Item = Timestamp> + Clone,
) -> Option<Window> {
    let best = |sure_only: bool| {
        let windows = ends
            .clone()
            .map(|end| score_window(policy, weighed.clone(), end, sure_only));
        windows.max_by_key(|window| {
            let rung = window.rung.map(Reverse);
            (rung, window.score, Reverse(window.end))
        })
    };
    let found = best(false)?;
    if found.effect(policy) == Some(Effect::Ask) && !found.certain {
        let sure = best(true).filter(|sure| sure.effect(policy) == Some(Effect::Act));
        return sure.or(Some(found));
    }
    Some(found)
}

/// What a policy says that weighs none of the signals.
fn nothing_in(policy: &Policy, ends: impl Iterator<Item = Timestamp>) -> Option<Window> {
    let end = ends.min()?;
    Some(Window {
        start: start_of(policy, end),
        end,
        ..Window::default()
    })
}

impl Policy {
    /// The signal as it weighs it.
    fn weigh<'s>(&self, signal: &'s Signal) -> Option<Weighed<'s>> {
        let weight = self.weights.get(&signal.name)?;
        Some(Weighed::new(self, signal, *weight))
    }
}

/// A remembered signal that the policy weighs.
struct Weighed<'a> {
    at: Timestamp,
    name: &'a SignalName,
    family: Family,
    weight: u8,
    /// What the policy's conditions said of its record.
    reservation: Option<&'a ReservationGround>,
}

impl<'a> Weighed<'a> {
    fn new(policy: &Policy, signal: &'a Signal, weight: Weight) -> Self {
        Self {
            at: signal.at,
            name: &signal.name,
            family: weight.family,
            weight: weight.weight,
            reservation: policy.against(signal),
        }
    }

    /// Whether it counts: with `sure_only`, where nothing speaks against it.
    fn counts(&self, sure_only: bool) -> bool {
        match self.reservation {
            None => true,
            Some(ReservationGround::Undecided) => !sure_only,
            Some(_) => false,
        }
    }
}

/// What one window comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    start: Timestamp,
    end: Timestamp,
    score: u8,
    /// The index of the highest rung reached; 0 is the highest of all.
    rung: Option<u8>,
    /// Whether signals that nothing speaks against reach that rung alone.
    certain: bool,
    /// Whether only those were scored.
    sure_only: bool,
}

impl Window {
    /// What its rung comes to.
    fn effect(&self, policy: &Policy) -> Option<Effect> {
        let rung = &policy.rungs[usize::from(self.rung?)];
        let effect = effect_of(policy.mode, &rung.intent);
        // A record that does not say what was asked is no ground to act.
        Some(if self.certain {
            effect
        } else {
            effect.min(Effect::Ask)
        })
    }

    fn holds(&self, at: Timestamp) -> bool {
        at > self.start && at <= self.end
    }
}

fn start_of(policy: &Policy, end: Timestamp) -> Timestamp {
    end.saturating_sub(policy.window).unwrap_or(Timestamp::MIN)
}

/// `sure_only`: of the signals that nothing speaks against alone.
fn score_window<'a>(
    policy: &Policy,
    weighed: impl Iterator<Item = &'a Weighed<'a>> + Clone,
    end: Timestamp,
    sure_only: bool,
) -> Window {
    let window = Window {
        start: start_of(policy, end),
        end,
        certain: true,
        sure_only,
        ..Window::default()
    };
    let inside = weighed.filter(|w| window.holds(w.at));
    let (score, rung) = highest_rung(policy, inside.clone(), sure_only);
    let doubtful = !sure_only && inside.clone().any(|w| w.reservation.is_some());
    Window {
        score,
        rung,
        certain: !doubtful || highest_rung(policy, inside, true).1 == rung,
        ..window
    }
}

/// The score and the highest rung that it reaches.
fn highest_rung<'a>(
    policy: &Policy,
    inside: impl Iterator<Item = &'a Weighed<'a>>,
    sure_only: bool,
) -> (u8, Option<u8>) {
    let mut heaviest = [0; Family::ALL.len()];
    for weighed in inside.filter(|w| w.counts(sure_only)) {
        let known: &mut u8 = &mut heaviest[weighed.family as usize];
        *known = weighed.weight.max(*known);
    }
    // No weight is 0.
    let counted = heaviest.into_iter().filter(|weight| *weight > 0);
    let families = counted.clone().count();
    let score = noisy_or(counted);
    let reached = |rung: &Rung| rung.at <= score && usize::from(rung.families) <= families;
    let rung = policy.rungs.iter().position(reached);
    (score, rung.and_then(|index| u8::try_from(index).ok()))
}

/// What conditions speak against, each signal once, by name, with the plainest
/// of the grounds.
fn aside(inside: &[Weighed<'_>]) -> Vec<SetAside> {
    let mut found: BTreeMap<&SignalName, &ReservationGround> = BTreeMap::new();
    for weighed in inside {
        if let Some(ground) = weighed.reservation {
            let known = found.entry(weighed.name).or_insert(ground);
            *known = ground.min(*known);
        }
    }
    found
        .into_iter()
        .map(|(signal, ground)| SetAside {
            signal: signal.clone(),
            ground: ground.clone(),
        })
        .collect()
}

/// The strongest signal of each family, strongest first. Among equals the
/// first by name, so that the order of arrival does not show.
fn strongest<'a>(signals: impl Iterator<Item = &'a Weighed<'a>>) -> Vec<FamilyScore> {
    let mut best = [const { None }; Family::ALL.len()];
    for signal in signals {
        let candidate = (signal.weight, Reverse(signal.name));
        let known: &mut Option<(u8, Reverse<&SignalName>)> = &mut best[signal.family as usize];
        *known = (*known).max(Some(candidate));
    }
    let mut families: Vec<FamilyScore> = Family::ALL
        .into_iter()
        .zip(best)
        .filter_map(|(family, strongest)| {
            let (weight, Reverse(name)) = strongest?;
            Some(FamilyScore {
                family,
                signal: name.clone(),
                weight,
            })
        })
        .collect();
    families.sort_by_key(|f| (Reverse(f.weight), f.family));
    families
}

/// 100 × (1 − Π(1 − wᵢ/100)), rounded half up: the probability, in percent,
/// that at least one of some independent weights is right.
///
/// At most one weight per family, so at most nine: 2 × 100⁹ fits `u64`, whose
/// division is several times as fast as that of `u128`.
pub(super) fn noisy_or(weights: impl IntoIterator<Item = u8>) -> u8 {
    let mut whole: u64 = 1;
    let mut missing: u64 = 1;
    for weight in weights.into_iter().take(Family::ALL.len()) {
        whole *= 100;
        missing *= u64::from(100 - weight.min(100));
    }
    if whole == 1 {
        return 0;
    }
    // `whole` is a power of 100, so this is exact.
    let one_percent = whole / 100;
    let percent = (2 * (whole - missing) + one_percent) / (2 * one_percent);
    u8::try_from(percent).unwrap_or(100).min(100)
}

/// What a rung comes to under its policy's mode.
pub(super) fn effect_of(mode: Mode, intent: &Intent) -> Effect {
    match (mode, intent) {
        (Mode::Shadow, _) => Effect::Shadow,
        (Mode::Approve, _) | (Mode::Enforce, Intent::Ask { .. }) => Effect::Ask,
        (Mode::Enforce, Intent::Do) => Effect::Act,
    }
}

#[cfg(test)]
mod tests;
