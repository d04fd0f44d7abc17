//! What else the address tried: disabled accounts (#33) and many users'
//! passwords (#34).
//!
//! Only a success is judged: a failure evicts nobody. A network that is the
//! user's own, or neutral, is shared by people, not by an attacker.

use super::{Ground, Seen, catalogue};
use crate::model::Signal;

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let Some(address) = seen.network.address else {
        return;
    };
    let at = seen.sign_in.at;
    let (around, parameters) = (ground.around, ground.parameters);
    let spray = around.spray_before(address, at, parameters);
    let probes = around.probes_before(address, at, parameters);
    if spray.is_none() && probes.is_none() || ground.knows(&seen.sighting()) {
        return;
    }
    if let Some(spray) = spray {
        let what = format!(
            "{} users failed from the address, then this one got in",
            spray.users
        );
        signals.push(seen.method(&catalogue::SPRAY_SUCCESS, &what));
    }
    if let Some(probes) = probes {
        let what = format!(
            "the address tried {} disabled accounts and let in {} users",
            probes.disabled, probes.good
        );
        signals.push(seen.method(&catalogue::ADDRESS_PROBES_DISABLED, &what));
    }
}
