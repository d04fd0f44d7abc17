//! What follows an eviction: it is proven, or the thief is back.
//!
//! The thief is at place 3 (hosting) throughout, and Graph acknowledged the
//! revoke at [`REVOKED`]; `containment_evaded.grace` is 5 min by default.

use super::*;
use crate::model::Prefix;

const THEFT: i64 = 1_800;
const REVOKED: i64 = 1_860;
const GRACE: i64 = 300;
const THIEF: u8 = 3;
const REVOKE_AND_CONFIRM: [(ActionKind, Effect); 2] = [
    (ActionKind::RevokeSessions, Effect::Act),
    (ActionKind::ConfirmCompromised, Effect::Act),
];

/// A theft that was acted on and revoked.
fn evicted() -> Life {
    let mut life = Life::known();
    life.tell(&sign_in(0, 0, 1, true));
    let theft = life.tell(&sign_in(THEFT, THIEF, 1, false));
    assert_eq!(orders(&theft), REVOKE_AND_CONFIRM);
    life.revoked_at = Some(at(REVOKED));
    life
}

fn outcome(step: &Step) -> Option<ProofOutcome> {
    step.proof.as_ref().map(|proof| proof.outcome)
}

#[test]
fn the_thiefs_network_is_remembered_and_the_owners_is_not() {
    let life = evicted();
    let thief = Prefix::of(network(THIEF).address.unwrap());
    assert_eq!(life.incident().attacker, [thief]);
}

#[test]
fn a_refusal_proves_a_success_evades_and_everything_else_says_nothing() {
    use ProofOutcome::{Evaded, Proven};
    let home = 0;
    let elsewhere = 2;
    // Seconds, place, error code, what it shows.
    let table = [
        (REVOKED + 40, THIEF, 50173, Some(Proven)),
        (REVOKED + 40, THIEF, 50132, Some(Proven)),
        (REVOKED, THIEF, 50173, Some(Proven)),
        (REVOKED + 30 * 60, THIEF, 50173, Some(Proven)),
        (REVOKED - 1, THIEF, 50173, None),
        (REVOKED + 40, THIEF, 50126, None),
        (REVOKED + 40, THIEF, 50074, None),
        (REVOKED + 40, THIEF, 0, None),
        (REVOKED + GRACE - 1, THIEF, 0, None),
        (REVOKED + GRACE, THIEF, 0, Some(Evaded)),
        (REVOKED + 3_600, THIEF, 0, Some(Evaded)),
        // The owner's own token died as well, and the owner is back.
        (REVOKED + 40, home, 50173, None),
        (REVOKED + 3_600, home, 0, None),
        (REVOKED + 40, elsewhere, 50173, None),
    ];
    for (seconds, place, code, expected) in table {
        let event = if code == 0 {
            sign_in(seconds, place, 9, true)
        } else {
            failed(seconds, place, 9, code)
        };
        let mut life = evicted();
        let step = life.tell(&event);
        assert_eq!(outcome(&step), expected, "{seconds} s, {place}, {code}");
        if let Some(proof) = &step.proof {
            assert_eq!(
                (proof.case, proof.at, &proof.record),
                (life.incident().case, event.at(), event.record())
            );
        }
        // Without a revoke there is nothing to prove.
        let mut life = evicted();
        life.revoked_at = None;
        assert_eq!(outcome(&life.tell(&event)), None, "{seconds} s, {code}");
    }
}

#[test]
fn a_proof_calls_for_nothing() {
    let mut life = evicted();
    let before = life.incident().clone();
    let step = life.tell(&failed(REVOKED + 40, THIEF, 1, 50173));
    assert_eq!((step.signals, step.decision), (vec![], None));
    assert_eq!(life.incident(), &before);
}

#[test]
fn an_evasion_is_acted_on_again_in_the_same_case_by_fresh_evidence() {
    let mut life = evicted();
    let before = life.incident().clone();
    let back = sign_in(REVOKED + GRACE, THIEF, 9, true);
    let step = life.tell(&back);
    assert!(names(&step).contains(&"containment_evaded"), "{step:?}");
    assert_eq!(orders(&step), REVOKE_AND_CONFIRM);
    let decision = step.decision.unwrap();
    assert_eq!(decision.case, before.case);
    assert_eq!(&decision.opened_by, back.record());
    assert_ne!(decision.opened_by, before.opened_by);
    assert_eq!(step.case, Some(before.case));
    assert_eq!(life.incident().evaded_at, Some(back.at()));
}

#[test]
fn an_evasion_is_acted_on_once_for_each_revoke() {
    let mut life = evicted();
    let rounds = [
        // Seconds, whether it calls for anything.
        (REVOKED + 400, true),
        (REVOKED + 401, false),
        (REVOKED + 500, false),
    ];
    for (seconds, acts) in rounds {
        let step = life.tell(&sign_in(seconds, THIEF, 9, false));
        assert_eq!(outcome(&step), Some(ProofOutcome::Evaded), "{seconds}");
        assert_eq!(step.decision.is_some(), acts, "{seconds}");
    }
    // The second revoke takes as long to be in force as the first did.
    let again = REVOKED + 510;
    life.revoked_at = Some(at(again));
    let step = life.tell(&sign_in(again + GRACE - 1, THIEF, 9, false));
    assert_eq!((outcome(&step), step.decision), (None, None));
    let step = life.tell(&sign_in(again + GRACE, THIEF, 9, false));
    assert_eq!(orders(&step), REVOKE_AND_CONFIRM);
    let step = life.tell(&sign_in(again + GRACE + 1, THIEF, 9, false));
    assert_eq!(step.decision, None);
}

#[test]
fn an_evasion_delivered_again_changes_nothing() {
    let mut life = evicted();
    let back = sign_in(REVOKED + 400, THIEF, 9, false);
    life.tell(&back);
    let after = life.memory.clone();
    assert!(life.tell(&back).duplicate);
    assert_eq!(life.memory, after);
}

#[test]
fn a_thief_who_stays_for_days_does_not_become_known() {
    let mut life = evicted();
    for day in 0..6 {
        let seconds = REVOKED + 3_600 + day * 20 * 3_600;
        life.revoked_at = Some(at(seconds - 1_800));
        let step = life.tell(&sign_in(seconds, THIEF, 9, true));
        assert_eq!(outcome(&step), Some(ProofOutcome::Evaded), "day {day}");
        assert_eq!(orders(&step), REVOKE_AND_CONFIRM, "day {day}");
    }
    let thief = Prefix::of(network(THIEF).address.unwrap());
    assert!(life.incident().attacker.contains(&thief));
}

#[test]
fn a_second_theft_from_another_network_after_the_eviction_is_acted_on() {
    let mut life = evicted();
    let hour = 3_600;
    life.tell(&sign_in(4 * hour, 0, 2, true));
    // A new session was stolen, and Tor is not where the first thief was.
    let steps = life.tell_all(&[
        sign_in(4 * hour + 600, 4, 2, false),
        risk(4 * hour + 600, "anonymizedIPAddress"),
    ]);
    let revoked = steps
        .iter()
        .flat_map(orders)
        .any(|order| order == (ActionKind::RevokeSessions, Effect::Act));
    assert!(revoked, "{:?}", steps.iter().map(names).collect::<Vec<_>>());
}

#[test]
fn our_own_confirmation_comes_back_as_an_echo_before_and_after_an_evasion() {
    let mut life = evicted();
    let echo = |seconds| risk(seconds, RiskType::ADMIN_CONFIRMED);
    let step = life.tell(&echo(REVOKED + 60));
    assert_eq!((step.signals, step.decision), (vec![], None));
    life.tell(&sign_in(REVOKED + GRACE, THIEF, 9, true));
    let step = life.tell(&echo(REVOKED + GRACE + 30));
    assert_eq!((step.signals, step.decision), (vec![], None));
    // An administrator's word on somebody we did nothing to is no echo.
    let step = Life::known().tell(&echo(0));
    assert_eq!(orders(&step), REVOKE_AND_CONFIRM);
}

#[test]
fn what_was_answered_does_not_make_a_later_question_an_act() {
    // Within the policies' hour of the theft, and after the revoke is in force.
    let mut life = evicted();
    let leaked = REVOKED + GRACE + 600;
    let step = life.tell(&risk(leaked, "leakedCredentials"));
    let reset = [(ActionKind::ResetPassword, Effect::Ask)];
    assert_eq!(orders(&step), reset);
    let counted = &step.decision.as_ref().unwrap().signals;
    assert_eq!(counted.len(), 1, "{counted:?}");
    // Our own confirmation of the first theft comes back only now.
    let step = life.tell(&risk(REVOKED + 30, RiskType::ADMIN_CONFIRMED));
    assert_eq!((step.signals, step.decision), (vec![], None));
    // So does a record of the first theft, which is no second one.
    let step = life.tell(&sign_in(THEFT + 20, THIEF, 1, false));
    assert!(!step.signals.is_empty());
    assert_eq!(step.decision, None);
    // The thief's return is another matter.
    let step = life.tell(&sign_in(leaked + 60, THIEF, 9, true));
    assert_eq!(orders(&step), REVOKE_AND_CONFIRM);
}

#[test]
fn the_owners_ordinary_return_after_an_eviction_calls_for_nothing() {
    let mut life = evicted();
    for (n, minutes) in [6, 30, 90, 300].into_iter().enumerate() {
        let step = life.tell(&sign_in(REVOKED + minutes * 60, 0, 20 + n as u8, true));
        assert_eq!((names(&step).len(), step.decision), (0, None), "{minutes}");
    }
    // A weak sign of the owner's own is filed, and asks nothing.
    life.tell(&sign_in(REVOKED + 400 * 60, 0, 30, true));
    let step = life.tell(&client_changed(REVOKED + 401 * 60, 30));
    assert!(!step.signals.is_empty());
    assert_eq!(step.decision, None);
}
