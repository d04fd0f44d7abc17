//! Where a thief sits, and where the victim does.
//!
//! Invariant: a place is chosen by its relation to the victim (the same
//! provider, another one in the same city, another country), since that is
//! what decides whether a comparison of two addresses can see it.

use rand::Rng;

use super::Stage;
use crate::lab::evaluate::world::{ELSEWHERE, HOMES, Spot};

/// Lines that are rented out without their owners' knowing are numbered from
/// here, above every household.
const PROXIES_FROM: u32 = 400_000;
/// How many of them there are of each provider.
const PROXIES: u32 = 200_000;
/// Providers in a city (`World::home`).
const PROVIDERS: u32 = 3;
/// How often another provider is drawn for before the last one is taken.
const DRAWS_MAX: usize = 32;

impl Stage<'_> {
    /// A number of seconds, or of anything, between the two: `low <= n < high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.dice.random_range(low..high)
    }

    /// The victim's own line.
    pub(super) fn home(&self) -> Spot {
        self.world.home(self.victim.city, self.victim.household)
    }

    /// The victim's phone on its carrier.
    pub(super) fn carrier(&mut self) -> Spot {
        self.world
            .mobile(self.dice, self.victim.city, self.victim.carrier)
    }

    /// A rented machine.
    pub(super) fn hosting(&mut self) -> Spot {
        self.world.hosting(self.dice)
    }

    /// A rented machine of another provider.
    pub(super) fn hosting_other_than(&mut self, first: Spot) -> Spot {
        let mut spot = self.hosting();
        for _ in 0..DRAWS_MAX {
            if spot.asn != first.asn {
                break;
            }
            spot = self.hosting();
        }
        spot
    }

    /// An exit of a commercial VPN.
    pub(super) fn vpn(&mut self) -> Spot {
        let provider = self.dice.random();
        self.world.vpn(self.dice, provider)
    }

    pub(super) fn tor(&mut self) -> Spot {
        self.world.tor(self.dice)
    }

    /// Somebody's line in a country where nobody of Contoso lives.
    pub(super) fn abroad(&mut self) -> Spot {
        let city = ELSEWHERE[self.dice.random_range(0..ELSEWHERE.len())];
        self.world.residential_proxy(self.dice, city)
    }

    /// Somebody's line in the victim's city, of the victim's own provider: the
    /// address differs and nothing else.
    pub(super) fn same_provider(&mut self) -> Spot {
        self.line_of(self.victim.household % PROVIDERS)
    }

    /// Somebody's line in the victim's city, of another provider.
    pub(super) fn other_provider(&mut self) -> Spot {
        let shift = self.dice.random_range(1..PROVIDERS);
        self.line_of((self.victim.household + shift) % PROVIDERS)
    }

    /// Somebody's line in another city of the victim's country.
    pub(super) fn other_city(&mut self) -> Spot {
        let victim = self.victim.city;
        let city = HOMES
            .into_iter()
            .find(|city| city.country == victim.country && city.name != victim.name)
            .unwrap_or(victim);
        self.world.residential_proxy(self.dice, city)
    }

    fn line_of(&mut self, provider: u32) -> Spot {
        let line = PROXIES_FROM + self.dice.random_range(0..PROXIES);
        let spot_of = |line| {
            self.world
                .home(self.victim.city, line * PROVIDERS + provider)
        };
        // Addresses repeat after so many lines; nobody rents the victim's own.
        let spot = spot_of(line);
        if spot.address == self.home().address {
            return spot_of(line + 1);
        }
        spot
    }
}
