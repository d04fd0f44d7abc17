//! What the address is: Tor exits (#31).

use super::{Seen, catalogue};
use crate::model::{Evidence, NetworkClass, Signal, SignalName};

pub(super) fn detect(seen: &Seen<'_>, signals: &mut Vec<Signal>) {
    if seen.class != NetworkClass::Tor {
        return;
    }
    let succeeded = seen.sign_in.succeeded();
    let spec = if succeeded {
        catalogue::TOR_EXIT
    } else {
        catalogue::TOR_EXIT_FAILED
    };
    signals.push(Signal {
        name: SignalName::new(spec.name),
        family: spec.family,
        at: seen.sign_in.at,
        record: seen.sign_in.record.clone(),
        evidence: Evidence::TorExit {
            sighting: seen.sighting(),
            succeeded,
        },
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Story, TOR};

    #[test]
    fn a_tor_exit_is_seen_in_success_and_in_failure() {
        let mut story = Story::new();
        assert_eq!(story.sign_in(0, TOR).names(), ["tor_exit"]);
        assert_eq!(
            story.sign_in(60, TOR).failed(50126).names(),
            ["tor_exit_failed"]
        );
    }

    #[test]
    fn nearest_misses_another_address_and_no_list() {
        let mut story = Story::new();
        let mut beside = TOR;
        beside.address = "198.51.100.8";
        assert_eq!(story.sign_in(0, beside).names(), Vec::<String>::new());
        story.intel.tor_exits = None;
        assert_eq!(story.sign_in(60, TOR).names(), Vec::<String>::new());
    }
}
