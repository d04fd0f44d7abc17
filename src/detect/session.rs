//! Session divergence (#1–#9): a session that continues where it did not
//! start.
//!
//! Stolen cookies reuse the victim's session id, so one session on two
//! networks, in two countries or in two browsers is the trace of a replay.
//! People move too, and what tells them apart is this: their networks become
//! known, their registered device goes with them, and they are not in two
//! places at once. Neutral egress never counts as a second network.

use super::{Ground, Pair, Seen, catalogue, protocol, raise, travel};
use crate::model::{
    Evidence, Footprint, GraphActivity, Habit, NetworkClass, Parameter, Place, Prefix, SessionId,
    SessionMemory, Sighting, Signal, Traits,
};

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let Some(session) = &seen.sign_in.session else {
        return;
    };
    // Newest first, so that the evidence names the nearest earlier end.
    for footprint in ground.memory.footprints.iter().rev() {
        if !is_same(seen, footprint) && footprint.session.as_ref() == Some(session) {
            for pair in Pair::of(seen, footprint) {
                judge(session, &pair, ground, signals);
                protocol::of_session(session, &pair, ground, signals);
            }
        }
    }
    let known = |hash| ground.memory.session_of(hash);
    if let Some(born) = seen.session_hash.and_then(known) {
        resumed(session, born, seen, ground, signals);
    }
}

/// Whether there is nothing to compare: one address and one client.
fn is_same(seen: &Seen<'_>, footprint: &Footprint) -> bool {
    seen.prefix.is_some()
        && seen.prefix == footprint.prefix
        && seen.agent.client == footprint.client
}

fn judge(session: &SessionId, pair: &Pair<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if pair.seconds() > ground.get(Parameter::SessionWindow) {
        return;
    }
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    let to_new = !ground.knows(to) && !ground.is_shared(to);
    device_lost(session, pair, ground, signals);
    // A code is typed on one device and redeemed by another: that it goes on
    // elsewhere is judged once, by the protocol.
    let remote = pair.either(Traits::DEVICE_CODE) || is_remote_work(pair, ground);
    if !pair.neutral() && !pair.same_network() && pair.prefixes_differ() && to_new && !remote {
        networks(session, pair, ground, signals);
        unbound(session, pair, signals);
    }
    // A code is typed in a browser and redeemed by a program, and a registered
    // device has as many browsers as it likes.
    let two_by_nature = pair.either(Traits::DEVICE_CODE) || pair.either(Traits::CLI);
    if let (Some(before), Some(after)) = (pair.earlier.client, pair.later.client)
        && before.differs_from(after)
        && !two_by_nature
        && !pair.same_device()
    {
        let evidence = Evidence::ClientChange {
            session: session.clone(),
            from: before.to_string().into(),
            to: after.to_string().into(),
            from_at: from.at,
        };
        raise(
            signals,
            pair.signal(&catalogue::SESSION_CLIENT_CHANGE, evidence),
        );
    }
}

/// Whether it is a command line, or an editor, on another machine of somebody
/// who works like that: a rented one, or one in a country of theirs. They sign
/// in there by device code, since there is no browser.
pub(super) fn is_remote_work(pair: &Pair<'_>, ground: &Ground<'_>) -> bool {
    let to = &pair.later.sighting;
    let abroad = |country| ground.is_new_country(country, to.at);
    pair.either(Traits::CLI)
        && pair.either(Traits::DEVICE_CODE)
        && ground.is_habit(Habit::CommandLine, to.at)
        && to.class != NetworkClass::Tor
        && (to.class.is_anonymous() || !to.place.country.is_some_and(abroad))
}

/// #1, #2, #4: the networks of the two ends.
fn networks(session: &SessionId, pair: &Pair<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    let divergence = || Evidence::Divergence {
        session: session.clone(),
        from: from.clone(),
        to: to.clone(),
    };
    // The owner's own device may be behind a rented gateway, but not behind Tor.
    let carried = pair.same_device() && to.class != NetworkClass::Tor;
    if !carried && pair.turns_anonymous() {
        let spec = match to.class {
            NetworkClass::Vpn => &catalogue::SESSION_VPN,
            _ => &catalogue::SESSION_HOSTING,
        };
        raise(signals, pair.signal(spec, divergence()));
    } else if !carried && pair.asns_differ() && is_apart(pair, ground) {
        raise(
            signals,
            pair.signal(&catalogue::SESSION_TWO_ASNS, divergence()),
        );
    }
    if !carried
        && to.class != NetworkClass::Vpn
        && pair.countries_differ()
        && !pair.later.interactive
        && pair.seconds() <= ground.get(Parameter::CountriesWindow)
    {
        raise(
            signals,
            pair.signal(&catalogue::SESSION_TWO_COUNTRIES, divergence()),
        );
    }
}

/// Whether the two networks are two people rather than one on the way: from a
/// network of the user's to a new one of the same country, or of another that
/// cannot be reached in the time.
fn is_apart(pair: &Pair<'_>, ground: &Ground<'_>) -> bool {
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    if !ground.is_learned(to.at) {
        // Of somebody unknown only another country says anything.
        return pair.countries_differ();
    }
    ground.knows(from) && (!pair.countries_differ() || travel::speed(pair, ground).is_some())
}

/// #6: the session goes on at another address without its managed device.
fn device_lost(
    session: &SessionId,
    pair: &Pair<'_>,
    ground: &Ground<'_>,
    signals: &mut Vec<Signal>,
) {
    let (before, after) = (pair.earlier.traits, pair.later.traits);
    // A code is typed on one device and redeemed by another.
    let by_nature = pair.either(Traits::DEVICE_CODE) || pair.either(Traits::CLI);
    let lost = before.has(Traits::MANAGED) && !after.has(Traits::MANAGED) && !by_nature;
    let to = &pair.later.sighting;
    if !lost || pair.neutral() || !pair.prefixes_differ() || ground.was_at(to) {
        return;
    }
    let evidence = pair.moved("the managed device was lost", Some(session));
    raise(signals, pair.signal(&catalogue::DEVICE_LOST, evidence));
}

/// #7: the session is not tied to its device any more.
fn unbound(session: &SessionId, pair: &Pair<'_>, signals: &mut Vec<Signal>) {
    let (before, after) = (pair.earlier.traits, pair.later.traits);
    if before.has(Traits::BOUND) && after.has(Traits::UNBOUND) && pair.asns_differ() {
        let evidence = pair.moved("token protection was lost", Some(session));
        raise(signals, pair.signal(&catalogue::TOKEN_UNBOUND, evidence));
    }
}

/// A session that outlived its footprints: a thief can wait. Only what its
/// beginning says is left to compare with.
fn resumed(
    session: &SessionId,
    born: &SessionMemory,
    seen: &Seen<'_>,
    ground: &Ground<'_>,
    signals: &mut Vec<Signal>,
) {
    let to = seen.sighting();
    let age = seen.sign_in.at.as_second() - born.born;
    let prefixes_differ = matches!((born.prefix, to.prefix), (Some(a), Some(b)) if a != b);
    if age <= ground.get(Parameter::SessionWindow)
        || !prefixes_differ
        || born.class.is_neutral()
        || born.class.is_anonymous()
        || !ground.is_new_network(&to)
    {
        return;
    }
    let from = beginning(born);
    let device_lost = born.traits.has(Traits::MANAGED) && !seen.traits.has(Traits::MANAGED);
    if device_lost {
        let evidence = Evidence::Moved {
            what: "the managed device was lost".into(),
            session: Some(session.clone()),
            from: from.clone(),
            to: to.clone(),
        };
        raise(signals, seen.signal(&catalogue::DEVICE_LOST, evidence));
    }
    let carried = seen.traits.has(Traits::MANAGED) && to.class != NetworkClass::Tor;
    let spec = match to.class {
        _ if carried => return,
        NetworkClass::Hosting | NetworkClass::Tor => &catalogue::SESSION_HOSTING,
        NetworkClass::Vpn => &catalogue::SESSION_VPN,
        // Nothing but a new network: people get a new line.
        _ if device_lost => &catalogue::SESSION_TWO_ASNS,
        _ => return,
    };
    let evidence = Evidence::Divergence {
        session: session.clone(),
        from,
        to,
    };
    raise(signals, seen.signal(spec, evidence));
}

fn beginning(born: &SessionMemory) -> Sighting {
    Sighting {
        at: jiff::Timestamp::from_second(born.born).unwrap_or(jiff::Timestamp::MIN),
        place: Place {
            country: born.country,
            ..Place::default()
        },
        asn: born.asn,
        prefix: born.prefix,
        class: born.class,
    }
}

/// #9: Microsoft Graph is called in a session from where it never was. The
/// call shows the token that was issued to somebody else.
pub(super) fn of_call(call: &GraphActivity, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let network = ground.intel.enrich(&call.network, call.at).network;
    let to = Sighting {
        at: call.at,
        place: network.place.clone(),
        asn: network.asn,
        prefix: network.address.map(Prefix::of),
        class: ground.intel.class_of(&network, call.at),
    };
    let used = || {
        let of_session = |f: &&Footprint| f.session.as_ref() == Some(&call.session);
        ground.memory.footprints.iter().filter(of_session)
    };
    let reach = ground.get(Parameter::SessionWindow);
    let near = |f: &&Footprint| f.first.duration_since(call.at).as_secs().abs() <= reach;
    let Some(from) = used().filter(near).max_by_key(|f| f.last) else {
        return;
    };
    let at_home = used().any(|f| f.prefix == to.prefix || f.asn.is_some() && f.asn == to.asn);
    // An address alone says too little; its system or its list must speak.
    let told = to.asn.is_some() || to.class.is_anonymous();
    if !told || to.class.is_neutral() || from.class.is_neutral() || at_home || ground.knows(&to) {
        return;
    }
    let evidence = Evidence::Moved {
        what: "Microsoft Graph was called with the session's token".into(),
        session: Some(call.session.clone()),
        from: from.sighting(from.last),
        to,
    };
    signals.push(catalogue::TOKEN_REPLAYED.raised(call.at, &call.record, evidence));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        HOSTING_ASHBURN, LAGOS, MICROSOFT, PARIS, PARIS_MOBILE, Story, UA_CHROME_LINUX,
        UA_EDGE_WINDOWS, UA_EDGE_WINDOWS_NEWER,
    };

    #[test]
    fn a_session_that_continues_on_hosting_is_a_replay() {
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        let mut step = story
            .sign_in(1800, HOSTING_ASHBURN)
            .session("s1")
            .non_interactive();
        assert_eq!(step.names(), ["session_hosting", "session_two_countries"]);
        assert_eq!(
            step.texts()[0],
            "session s1 began at Paris (FR), AS3215, 30 min later used from Ashburn (US), AS16509 hosting"
        );
    }

    #[test]
    fn two_ordinary_networks_are_weaker_evidence() {
        let mut story = Story::of_known(PARIS);
        story.sign_in(0, PARIS).session("s1");
        let mut step = story
            .sign_in(1800, PARIS_MOBILE)
            .session("s1")
            .non_interactive();
        assert_eq!(step.names(), ["session_two_asns"]);
    }

    #[test]
    fn nearest_misses() {
        // Another session.
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        assert!(
            story
                .sign_in(1800, PARIS_MOBILE)
                .session("s2")
                .names()
                .is_empty()
        );
        // The same /24.
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        let mut near = PARIS_MOBILE;
        near.address = "192.0.2.200";
        assert!(story.sign_in(1800, near).session("s1").names().is_empty());
        // Microsoft's own egress.
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        assert!(
            story
                .sign_in(1800, MICROSOFT)
                .session("s1")
                .names()
                .is_empty()
        );
        // A day and a minute apart.
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        assert!(
            story
                .sign_in(24 * 3600 + 60, PARIS_MOBILE)
                .session("s1")
                .names()
                .is_empty()
        );
        // A session born on hosting that moves home did not diverge onto hosting.
        let mut story = Story::new();
        story.sign_in(0, HOSTING_ASHBURN).session("s1");
        assert_eq!(
            story.sign_in(60, PARIS).session("s1").names(),
            ["session_two_asns"]
        );
        // Two countries, but the user was present.
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        assert_eq!(
            story.sign_in(3000, LAGOS).session("s1").names(),
            ["impossible_travel", "session_two_asns"]
        );
    }

    #[test]
    fn another_browser_in_the_same_session_is_a_change_and_an_upgrade_is_not() {
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1").agent(UA_EDGE_WINDOWS);
        assert!(
            story
                .sign_in(60, PARIS)
                .session("s1")
                .agent(UA_EDGE_WINDOWS_NEWER)
                .names()
                .is_empty()
        );
        let mut step = story
            .sign_in(120, PARIS)
            .session("s1")
            .agent(UA_CHROME_LINUX);
        assert_eq!(step.names(), ["session_client_change"]);
        assert_eq!(
            step.texts(),
            ["session s1 changed client: Edge on Windows → Chrome on Linux"]
        );
    }

    #[test]
    fn two_halves_of_the_same_instant_are_compared_both_ways() {
        let mut names = Vec::new();
        for order in [[PARIS, HOSTING_ASHBURN], [HOSTING_ASHBURN, PARIS]] {
            let mut story = Story::new();
            story.sign_in(0, order[0]).session("s1").done();
            let mut found = story.sign_in(0, order[1]).session("s1").names();
            found.sort();
            names.push(found);
        }
        assert_eq!(names[0], names[1]);
        assert!(
            names[0].contains(&"session_hosting".to_owned()),
            "{names:?}"
        );
    }

    #[test]
    fn a_late_first_half_finds_the_second() {
        let mut story = Story::new();
        story
            .sign_in(1800, HOSTING_ASHBURN)
            .session("s1")
            .non_interactive()
            .done();
        let mut step = story.sign_in(0, PARIS).session("s1");
        assert_eq!(step.names(), ["session_hosting", "session_two_countries"]);
    }
}
