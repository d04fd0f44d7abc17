//! Attacks: what a thief does to one person, as the stream would tell it.
//!
//! Invariant: a scenario says what Entra would log, field by field, and knows
//! nothing of the detectors; so it can find them wanting. Everything follows
//! from the stage (the victim, the time, the dice): a play repeats.
//!
//! No public set of records holds a whole chain of this kind. The plays are
//! made up on the shapes of real records and on published incident reports,
//! each named where it is used.

use jiff::{SignedDuration, Timestamp};

use super::people::{Delivery, Label, Person};
use super::world::{Dice, World};
use crate::model::Event;

mod aitm;
mod client;
mod consent;
mod cookies;
mod device_code;
mod device_tokens;
mod findings;
mod guessing;
mod legacy;
mod microsoft;
mod passwords;
mod persistence;
mod places;
mod slow;
#[cfg(test)]
mod tests;
mod tokens;
mod traces;

/// One way to steal a session or an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    /// `aitm_hosting`, as the tables name it.
    pub(super) name: &'static str,
    /// One line for the analyst.
    pub(super) summary: &'static str,
    /// The MITRE ATT&CK technique.
    pub(super) technique: &'static str,
    /// Whether Microsoft's own detections would rate it high.
    pub(super) microsoft_high: bool,
    /// How it varies; each is played once a victim.
    pub(super) variations: &'static [&'static str],
    /// Plays a variation.
    pub(super) play: fn(&mut Stage<'_>, variation: &'static str),
}

impl Scenario {
    const fn new(
        name: &'static str,
        technique: &'static str,
        summary: &'static str,
        variations: &'static [&'static str],
        play: fn(&mut Stage<'_>, &'static str),
    ) -> Self {
        Self {
            name,
            summary,
            technique,
            microsoft_high: false,
            variations,
            play,
        }
    }

    /// Every variation carries a detection of Microsoft's at level high.
    const fn rated_high(mut self) -> Self {
        self.microsoft_high = true;
        self
    }
}

/// Where a scenario is played: the victim, the time, and what was emitted.
pub(super) struct Stage<'a> {
    pub(super) world: &'a World,
    pub(super) dice: &'a mut Dice,
    pub(super) victim: &'a Person,
    /// When the attack begins: in the victim's working day.
    pub(super) start: Timestamp,
    /// The session of the victim's laptop on that day (`Person::session`), which
    /// began at their home or office before `start`.
    pub(super) laptop_session: crate::model::SessionId,
    pub(super) run: usize,
    pub(super) deliveries: Vec<Delivery>,
}

impl Stage<'_> {
    /// So many seconds into the attack.
    pub(super) fn at(&self, seconds: i64) -> Timestamp {
        self.start + SignedDuration::from_secs(seconds)
    }

    /// The stream tells of it a minute or two later.
    pub(super) fn emit(&mut self, event: Event) {
        let delay = super::people::transport(self.dice);
        self.emit_late(event, delay);
    }

    /// The stream tells of it that much later.
    pub(super) fn emit_late(&mut self, event: Event, delay: SignedDuration) {
        self.deliveries.push(Delivery {
            arrives: event.at() + delay,
            event,
            label: Label::Attack(self.run),
        });
    }
}

/// All of them.
pub(super) fn scenarios() -> Vec<Scenario> {
    [
        aitm::SCENARIOS,
        cookies::SCENARIOS,
        tokens::SCENARIOS,
        device_tokens::SCENARIOS,
        device_code::SCENARIOS,
        consent::SCENARIOS,
        guessing::SCENARIOS,
        passwords::SCENARIOS,
        legacy::SCENARIOS,
        persistence::SCENARIOS,
        microsoft::SCENARIOS,
        slow::SCENARIOS,
    ]
    .concat()
}
