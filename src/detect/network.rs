//! What the address is: Tor exits (#31), rented networks new to the user (#32)
//! and countries new to the user (#30).

use super::{Ground, Seen, catalogue};
use crate::model::{Evidence, Habit, NetworkClass, Signal, Traits};

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let succeeded = seen.sign_in.succeeded();
    if seen.class == NetworkClass::Tor {
        let spec = if succeeded {
            &catalogue::TOR_EXIT
        } else {
            &catalogue::TOR_EXIT_FAILED
        };
        let evidence = Evidence::TorExit {
            sighting: seen.sighting(),
            succeeded,
        };
        signals.push(seen.signal(spec, evidence));
    }
    if !succeeded || seen.class.is_neutral() || seen.is_service() {
        return;
    }
    let rented = match seen.class {
        NetworkClass::Hosting => Some(&catalogue::NEW_HOSTING_NETWORK),
        NetworkClass::Vpn => Some(&catalogue::NEW_VPN_NETWORK),
        _ => None,
    };
    // A managed device behind a gateway that somebody rents is still itself, and
    // whoever works on command lines works on rented machines.
    let works_remotely =
        seen.traits.has(Traits::CLI) && ground.is_habit(Habit::CommandLine, seen.sign_in.at);
    if let Some(spec) = rented
        && !works_remotely
        && !ground.is_managed_device_known(seen)
        && ground.is_new_network(&seen.sighting())
    {
        signals.push(seen.method(spec, &format!("on a {} network", seen.class.as_str())));
    }
    // Where a rented machine or an exit stands says nothing of its user.
    if seen.class == NetworkClass::Ordinary
        && let Some(country) = seen.network.place.country
        && ground.is_new_country(country, seen.sign_in.at)
    {
        signals.push(seen.method(
            &catalogue::NEW_COUNTRY,
            &format!("the first time in {country}"),
        ));
    }
}
