//! Session divergence (#1–#4): a session that continues where it did not
//! start.
//!
//! Stolen cookies reuse the victim's session id, so one session on two
//! networks, in two countries or in two browsers is the trace of a replay.
//! Neutral egress (Microsoft's, a relay's, the tenant's own) never counts as a
//! second network.

use super::{Pair, Seen, catalogue, client, raise};
use crate::model::{Evidence, SessionId, Signal, UserMemory};

/// The window of #1–#3 (signals.md: 24 h).
const WINDOW_SECONDS: i64 = 24 * 3600;
/// The window of #4 (signals.md: 60 min).
const COUNTRIES_WINDOW_SECONDS: i64 = 3600;

pub(super) fn detect(seen: &Seen<'_>, memory: &UserMemory, signals: &mut Vec<Signal>) {
    let Some(session) = &seen.sign_in.session else {
        return;
    };
    // Newest first, so that the evidence names the nearest earlier end.
    for footprint in memory.footprints.iter().rev() {
        if footprint.session.as_ref() == Some(session) && !seen.is_like(footprint) {
            for pair in Pair::of(seen, footprint) {
                judge(session, &pair, signals);
            }
        }
    }
}

fn judge(session: &SessionId, pair: &Pair<'_>, signals: &mut Vec<Signal>) {
    if pair.seconds() > WINDOW_SECONDS {
        return;
    }
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    let neutral = from.class.is_neutral() || to.class.is_neutral();
    let divergence = || Evidence::Divergence {
        session: session.clone(),
        from: from.clone(),
        to: to.clone(),
    };
    if !neutral && !pair.same_network() {
        let asns_differ = matches!((from.asn, to.asn), (Some(a), Some(b)) if a != b);
        let prefixes_differ = matches!((from.prefix, to.prefix), (Some(a), Some(b)) if a != b);
        if prefixes_differ && to.class.is_anonymous() && !from.class.is_anonymous() {
            raise(
                signals,
                pair.signal(&catalogue::SESSION_HOSTING, divergence()),
            );
        } else if prefixes_differ && asns_differ {
            raise(
                signals,
                pair.signal(&catalogue::SESSION_TWO_ASNS, divergence()),
            );
        }
        let countries_differ =
            matches!((from.place.country, to.place.country), (Some(a), Some(b)) if a != b);
        if countries_differ && !pair.later.interactive && pair.seconds() <= COUNTRIES_WINDOW_SECONDS
        {
            raise(
                signals,
                pair.signal(&catalogue::SESSION_TWO_COUNTRIES, divergence()),
            );
        }
    }
    if let (Some(before), Some(after)) = (pair.earlier.client, pair.later.client)
        && client::differ(before, after)
    {
        let evidence = Evidence::ClientChange {
            session: session.clone(),
            from: before.into(),
            to: after.into(),
            from_at: from.at,
        };
        raise(
            signals,
            pair.signal(&catalogue::SESSION_CLIENT_CHANGE, evidence),
        );
    }
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
        assert_eq!(
            step.names(),
            [
                "impossible_travel",
                "session_hosting",
                "session_two_countries"
            ]
        );
        assert_eq!(
            step.texts()[1],
            "session s1 began at Paris (FR), AS3215, 30 min later used from Ashburn (US), AS16509 hosting"
        );
    }

    #[test]
    fn two_ordinary_networks_are_weaker_evidence() {
        let mut story = Story::new();
        story.sign_in(0, PARIS).session("s1");
        let mut step = story.sign_in(1800, PARIS_MOBILE).session("s1");
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
        assert_eq!(
            step.names(),
            [
                "impossible_travel",
                "session_hosting",
                "session_two_countries"
            ]
        );
    }
}
