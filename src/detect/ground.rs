//! What an event is judged against: memory, surroundings, lists, parameters,
//! and the questions that several detectors ask of them.

use jiff::Timestamp;

use super::intel::Intel;
use crate::model::{
    CountryCode, Habit, LATENESS_SECONDS, NetworkClass, Parameter, Parameters, Sighting,
    Surroundings, Thing, UserMemory,
};

/// Everything known before the event.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Of the user.
    pub memory: &'a UserMemory,
    /// Of the tenant and of addresses.
    pub around: &'a Surroundings,
    /// Of networks.
    pub intel: &'a Intel,
    /// The detectors' parameters.
    pub parameters: &'a Parameters,
}

impl Ground<'_> {
    pub(super) fn get(&self, parameter: Parameter) -> i64 {
        self.parameters.get(parameter)
    }

    /// Whether the user is known to have that habit at that time.
    pub(super) fn is_habit(&self, habit: Habit, at: Timestamp) -> bool {
        self.memory.habits.is_familiar(habit, at, self.parameters)
    }

    /// Whether a user who is known does for the first time what they did.
    pub(super) fn is_new_habit(&self, habit: Option<Habit>, at: Timestamp) -> bool {
        habit.is_some_and(|habit| self.is_learned(at) && !self.is_habit(habit, at))
    }

    /// Whether enough is known of the user for "new" to mean something.
    pub(super) fn is_learned(&self, at: Timestamp) -> bool {
        self.memory.habits.is_learned(at, self.parameters)
    }

    /// Whether the user was at that very address before, and not only since a
    /// record may be late.
    pub(super) fn was_at(&self, sighting: &Sighting) -> bool {
        self.memory.footprints.iter().any(|footprint| {
            footprint.prefix == sighting.prefix
                && sighting.at.duration_since(footprint.first).as_secs() >= LATENESS_SECONDS
        })
    }

    /// Whether the user is known on that network; neutral ones are anybody's.
    pub(super) fn knows(&self, sighting: &Sighting) -> bool {
        sighting.class.is_neutral()
            || sighting
                .asn
                .is_some_and(|asn| self.is_habit(Habit::Asn(asn), sighting.at))
    }

    /// Whether the network is one that the user was never on, and colleagues
    /// do not share. Only of a user who is known well enough.
    pub(super) fn is_new_network(&self, sighting: &Sighting) -> bool {
        sighting.asn.is_some()
            && self.is_learned(sighting.at)
            && !self.knows(sighting)
            && !self.is_shared(sighting)
    }

    /// Whether an attacker may be there: rented, or new to the user.
    pub fn is_strange(&self, sighting: &Sighting) -> bool {
        let rented = sighting.class.is_anonymous() && !self.knows(sighting);
        (rented && !self.is_shared(sighting)) || self.is_new_network(sighting)
    }

    /// Whether colleagues use the same rented network: a cloud desktop, a
    /// secure web gateway. Ordinary providers are shared by everybody and that
    /// says nothing.
    pub(super) fn is_shared(&self, sighting: &Sighting) -> bool {
        sighting.class.is_anonymous()
            && sighting.class != NetworkClass::Tor
            && sighting.prefix.is_some_and(|prefix| {
                let thing = Thing::Prefix(prefix);
                self.around.is_common(thing, sighting.at, self.parameters)
            })
    }

    /// Whether the country is new to a user who is known, and rare in the
    /// tenant.
    pub(super) fn is_new_country(&self, country: CountryCode, at: Timestamp) -> bool {
        self.is_learned(at)
            && !self.is_habit(Habit::Country(country), at)
            && !self
                .around
                .is_common(Thing::Country(country), at, self.parameters)
    }
}

impl Ground<'_> {
    /// Whether the sign-in is on a managed device that the user is known to
    /// use.
    pub(super) fn is_managed_device_known(&self, seen: &super::Seen<'_>) -> bool {
        seen.traits.has(crate::model::Traits::MANAGED)
            && seen
                .device
                .is_some_and(|device| self.is_habit(Habit::Device(device), seen.sign_in.at))
    }
}
