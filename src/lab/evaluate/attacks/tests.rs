use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::client::{script, windows_chrome};
use super::{Scenario, Stage, scenarios};
use crate::lab::evaluate::people::{Delivery, Label, Person};
use crate::lab::evaluate::world::{HOMES, World};
use crate::model::{
    ConditionalAccess, Event, IncomingToken, Protocol, RiskLevel, RiskState, SignIn,
    TokenProtection, TransferMethod,
};

const SEEDS: [u64; 3] = [1, 42, 4711];
/// How many plays the evaluation is to have at least.
const PLAYS_MIN: usize = 90;
const RUN: usize = 7;

fn victim() -> Person {
    Person::new(3, HOMES[0], &mut ChaCha8Rng::seed_from_u64(0))
}

fn start() -> Timestamp {
    "2026-03-03T10:00:00Z".parse().unwrap()
}

fn staged<T>(seed: u64, act: impl FnOnce(&mut Stage<'_>) -> T) -> (T, Vec<Delivery>) {
    let world = World::new();
    let victim = victim();
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut stage = Stage {
        world: &world,
        dice: &mut dice,
        victim: &victim,
        start: start(),
        laptop_session: victim.session("laptop", 20),
        run: RUN,
        deliveries: Vec::new(),
    };
    let result = act(&mut stage);
    (result, stage.deliveries)
}

fn play(scenario: &Scenario, variation: &'static str, seed: u64) -> Vec<Delivery> {
    staged(seed, |stage| (scenario.play)(stage, variation)).1
}

/// Every variation of every scenario, with every seed.
fn plays() -> impl Iterator<Item = (String, Scenario, &'static str, Vec<Delivery>)> {
    scenarios().into_iter().flat_map(|scenario| {
        scenario.variations.iter().flat_map(move |variation| {
            SEEDS.into_iter().map(move |seed| {
                let title = format!("{} {variation} {seed}", scenario.name);
                let deliveries = play(&scenario, variation, seed);
                (title, scenario, *variation, deliveries)
            })
        })
    })
}

fn sign_ins(deliveries: &[Delivery]) -> impl Iterator<Item = &SignIn> {
    deliveries
        .iter()
        .filter_map(|delivery| match &delivery.event {
            Event::SignIn(event) => Some(&**event),
            _ => None,
        })
}

fn named(name: &str) -> Scenario {
    scenarios()
        .into_iter()
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("no scenario {name}"))
}

/// The comparison that tells a play from another, whatever it is called.
fn told(deliveries: &[Delivery]) -> String {
    format!("{deliveries:?}")
}

#[test]
fn names_are_unique_and_every_scenario_says_what_it_is() {
    let scenarios = scenarios();
    let names: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenarios.len());
    assert!(scenarios.len() >= 34, "{}", scenarios.len());
    for scenario in &scenarios {
        let name = scenario.name;
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
        assert!(scenario.technique.starts_with('T'), "{name}");
        assert!(
            !scenario.summary.is_empty() && !scenario.summary.contains('\n'),
            "{name}"
        );
        let variations: BTreeSet<_> = scenario.variations.iter().collect();
        assert_eq!(variations.len(), scenario.variations.len(), "{name}");
        assert!((2..=5).contains(&variations.len()), "{name}");
    }
    let plays: usize = scenarios.iter().map(|s| s.variations.len()).sum();
    assert!(plays >= PLAYS_MIN, "{plays}");
}

#[test]
fn every_variation_plays_and_differs_from_its_siblings() {
    for scenario in scenarios() {
        for seed in SEEDS {
            let told: BTreeSet<_> = scenario
                .variations
                .iter()
                .map(|variation| told(&play(&scenario, variation, seed)))
                .collect();
            assert_eq!(told.len(), scenario.variations.len(), "{}", scenario.name);
        }
    }
    for (title, _, _, deliveries) in plays() {
        assert!(!deliveries.is_empty(), "{title}");
    }
}

#[test]
fn the_same_dice_play_the_same_and_others_another() {
    for scenario in scenarios() {
        for variation in scenario.variations {
            let first = told(&play(&scenario, variation, 5));
            assert_eq!(
                first,
                told(&play(&scenario, variation, 5)),
                "{}",
                scenario.name
            );
            assert_ne!(
                first,
                told(&play(&scenario, variation, 6)),
                "{}",
                scenario.name
            );
        }
    }
}

#[test]
fn events_are_of_the_victim_or_of_made_up_others_and_carry_the_run() {
    let victim = victim().user.id;
    for (title, _, _, deliveries) in plays() {
        let mut of_victim = 0;
        for delivery in &deliveries {
            assert_eq!(delivery.label, Label::Attack(RUN), "{title}");
            let user = delivery.event.user();
            if user.id == victim {
                of_victim += 1;
            } else {
                assert!(user.principal_name.starts_with("other"), "{title}");
                let Event::SignIn(event) = &delivery.event else {
                    panic!("{title}: of others there are attempts alone");
                };
                assert!(!event.succeeded(), "{title}");
            }
        }
        assert!(of_victim > 0, "{title}");
    }
}

#[test]
fn an_attack_begins_within_an_hour_of_its_start_and_nothing_arrives_before_it_happened() {
    let hour = SignedDuration::from_hours(1);
    for (title, _, _, deliveries) in plays() {
        let first = deliveries.iter().map(|d| d.event.at()).min().unwrap();
        assert!(
            first >= start() - hour && first <= start() + hour,
            "{title}"
        );
        for delivery in &deliveries {
            assert!(delivery.arrives > delivery.event.at(), "{title}");
        }
    }
}

#[test]
fn records_have_ids_of_their_own() {
    for (title, _, _, deliveries) in plays() {
        let ids: BTreeSet<_> = deliveries.iter().map(|d| d.event.record()).collect();
        assert_eq!(ids.len(), deliveries.len(), "{title}");
    }
}

#[test]
fn the_factors_of_a_sign_in_agree_with_each_other() {
    for (title, _, _, deliveries) in plays() {
        for event in sign_ins(&deliveries) {
            let by_claim = event
                .additional_details
                .as_deref()
                .is_some_and(|text| text.starts_with("MFA requirement satisfied"));
            assert_eq!(event.mfa_by_claim, by_claim, "{title}");
            if event.error_code == 53_003 {
                assert_eq!(
                    event.conditional_access,
                    ConditionalAccess::Failure,
                    "{title}"
                );
            }
            if event.incoming_token == IncomingToken::RefreshToken {
                assert!(!event.interactive, "{title}");
            }
            assert!(event.succeeded() || event.unique_token.is_none(), "{title}");
        }
    }
}

#[test]
fn a_detection_names_a_sign_in_of_the_play_and_comes_after_it() {
    for (title, _, _, deliveries) in plays() {
        for delivery in &deliveries {
            let Event::RiskDetection(risk) = &delivery.event else {
                continue;
            };
            let Some(request) = &risk.request else {
                assert_eq!(risk.state, RiskState::ConfirmedCompromised, "{title}");
                continue;
            };
            let named = sign_ins(&deliveries)
                .find(|event| event.record == *request)
                .unwrap_or_else(|| panic!("{title}: no such sign-in"));
            assert_eq!(risk.at, named.at, "{title}");
            let late = delivery.arrives.duration_since(risk.at);
            let written_into = named.risk_types.contains(&risk.risk_type);
            match written_into {
                true => assert!((300..=600).contains(&late.as_secs()), "{title}"),
                false => assert!((2..=28).contains(&late.as_hours()), "{title}"),
            }
        }
    }
}

#[test]
fn what_microsoft_would_rate_high_carries_a_detection_at_level_high_and_the_rest_need_none() {
    let high = |deliveries: &[Delivery]| {
        deliveries.iter().any(|delivery| {
            matches!(&delivery.event, Event::RiskDetection(risk) if risk.level == RiskLevel::High)
        })
    };
    let mut rated = BTreeSet::new();
    for (title, scenario, _, deliveries) in plays() {
        assert_eq!(high(&deliveries), scenario.microsoft_high, "{title}");
        if scenario.microsoft_high {
            rated.insert(scenario.name);
        }
    }
    // 80 % of them are to act: fewer would say little.
    assert!(rated.len() >= 10, "{}", rated.len());
    for scenario in scenarios() {
        let silent = scenario.variations.iter().any(|variation| {
            !play(&scenario, variation, 1)
                .iter()
                .any(|delivery| matches!(delivery.event, Event::RiskDetection(_)))
        });
        let told_of_by_microsoft = ["new_country_with_finding", "device_after_alert"];
        let expected = !scenario.microsoft_high && !told_of_by_microsoft.contains(&scenario.name);
        assert_eq!(silent, expected, "{}", scenario.name);
    }
}

#[test]
fn the_redemption_of_a_device_code_never_says_so_in_its_protocol() {
    let mut redemptions = 0;
    for (title, scenario, _, deliveries) in plays() {
        for event in sign_ins(&deliveries) {
            let transferred = event.transfer_method == TransferMethod::DeviceCodeFlow;
            assert!(
                transferred || event.protocol != Protocol::DeviceCode,
                "{title}"
            );
            if scenario.name == "device_code_silent" {
                assert_ne!(event.protocol, Protocol::DeviceCode, "{title}");
            }
            if transferred && !event.interactive {
                assert_eq!(event.protocol, Protocol::None, "{title}");
                redemptions += 1;
            }
        }
    }
    assert!(redemptions > 0);
}

#[test]
fn a_proxy_has_a_session_of_its_own_and_a_replayed_cookie_the_victims() {
    let laptop = victim().session("laptop", 20);
    let home = World::new().home(victim().city, victim().household).address;
    for (title, scenario, _, deliveries) in plays() {
        let thief: BTreeSet<_> = sign_ins(&deliveries)
            .filter(|event| event.succeeded() && event.network.address != Some(home))
            .filter_map(|event| event.session.clone())
            .collect();
        if scenario.name.starts_with("aitm_") {
            assert!(!thief.contains(&laptop), "{title}");
        }
        if scenario.name.starts_with("cookie_") && scenario.name != "cookie_weeks_later" {
            assert_eq!(thief, BTreeSet::from([laptop.clone()]), "{title}");
        }
    }
}

#[test]
fn the_scripted_kit_speaks_with_a_scripts_user_agent_and_no_device() {
    for variation in named("aitm_script_kit").variations {
        let deliveries = play(&named("aitm_script_kit"), variation, 1);
        let first = sign_ins(&deliveries).next().unwrap();
        let agent = first.user_agent.as_deref().unwrap();
        assert!(
            ["node", "axios/1.7.9", "undici"].contains(&agent),
            "{variation}"
        );
        assert_eq!(first.device, crate::model::Device::default());
        assert_eq!(first.app.id, first.resource.id);
    }
}

#[test]
fn what_conditional_access_stopped_never_succeeds() {
    for variation in named("aitm_blocked").variations {
        for seed in SEEDS {
            let deliveries = play(&named("aitm_blocked"), variation, seed);
            assert!(sign_ins(&deliveries).all(|event| !event.succeeded()));
            assert!(
                sign_ins(&deliveries).any(|event| [53_000, 53_003].contains(&event.error_code))
            );
        }
    }
}

#[test]
fn a_spray_tries_more_than_thirty_users_in_five_minutes_and_a_slow_one_does_not() {
    for (name, fast) in [
        ("spray_then_success", true),
        ("slow_spray_then_success", false),
    ] {
        for (variation, seed) in named(name).variations.iter().zip(SEEDS) {
            let deliveries = play(&named(name), variation, seed);
            let attempts: Vec<_> = sign_ins(&deliveries)
                .filter(|event| event.user.id != victim().user.id)
                .collect();
            let within = attempts
                .iter()
                .filter(|event| event.at < attempts[0].at + SignedDuration::from_mins(5))
                .count();
            assert_eq!(within > 30, fast, "{name} {variation}: {within}");
            let users: BTreeSet<_> = attempts
                .iter()
                .map(|event| event.user.id.as_str())
                .collect();
            assert_eq!(users.len(), attempts.len());
            let last = sign_ins(&deliveries).last().unwrap();
            assert!(last.succeeded() && last.user.id == victim().user.id);
        }
    }
}

#[test]
fn the_second_redemption_of_a_code_comes_within_its_ten_minutes_from_another_network() {
    for name in ["consent_fix", "consent_fix_quiet"] {
        for variation in named(name).variations {
            for seed in SEEDS {
                let deliveries = play(&named(name), variation, seed);
                let events: Vec<_> = sign_ins(&deliveries).collect();
                let pause = events[1].at.duration_since(events[0].at).as_secs();
                assert!((5..=720).contains(&pause), "{name} {variation}: {pause}");
                assert_eq!(events[0].session, events[1].session);
                assert_ne!(events[0].network.asn, events[1].network.asn);
            }
        }
    }
}

#[test]
fn an_unbound_session_was_bound_on_the_laptop_first() {
    for variation in named("token_unbound").variations {
        let deliveries = play(&named("token_unbound"), variation, 1);
        let events: Vec<_> = sign_ins(&deliveries).collect();
        assert_eq!(events[0].token_protection, TokenProtection::Bound);
        for later in &events[1..] {
            assert_eq!(later.token_protection, TokenProtection::Unbound);
            assert_eq!(later.session, events[0].session);
            assert_ne!(later.network.asn, events[0].network.asn);
        }
    }
}

#[test]
fn a_stolen_access_token_is_seen_in_graphs_log_alone() {
    for variation in named("access_token_graph").variations {
        let deliveries = play(&named("access_token_graph"), variation, 1);
        let own = sign_ins(&deliveries).next().unwrap();
        assert_eq!(sign_ins(&deliveries).count(), 1, "{variation}");
        let calls: Vec<_> = deliveries
            .iter()
            .filter_map(|delivery| match &delivery.event {
                Event::GraphActivity(call) => Some(call),
                _ => None,
            })
            .collect();
        assert!(calls.iter().all(|call| {
            Some(&call.session) == own.session.as_ref() && call.unique_token == own.unique_token
        }));
        let foreign = calls
            .iter()
            .filter(|call| call.network.address != own.network.address);
        assert_eq!(foreign.count(), 3, "{variation}");
    }
}

#[test]
fn slow_thieves_leave_more_than_a_day_between_steps_that_count() {
    let day = SignedDuration::from_hours(24);
    for (title, scenario, _, deliveries) in plays() {
        if scenario.name.starts_with("slow_") && scenario.name != "slow_spray_then_success" {
            let last = deliveries.iter().map(|d| d.event.at()).max().unwrap();
            assert!(last > start() + day * 2, "{title}");
        }
    }
}

#[test]
fn places_stand_to_the_victim_as_their_names_say() {
    for seed in SEEDS {
        staged(seed, |stage| {
            let home = stage.home();
            for _ in 0..20 {
                let same = stage.same_provider();
                assert_eq!((same.asn, same.city), (home.asn, home.city));
                assert_ne!(same.address, home.address);
                let other = stage.other_provider();
                assert_ne!(other.asn, home.asn);
                assert_eq!(other.city, home.city);
                let far = stage.other_city();
                assert_eq!(far.city.country, home.city.country);
                assert_ne!(far.city, home.city);
                assert_ne!(stage.abroad().city.country, home.city.country);
                let first = stage.hosting();
                assert_ne!(stage.hosting_other_than(first).asn, first.asn);
            }
        });
    }
}

#[test]
fn a_single_factor_goes_with_its_session() {
    let (event, _) = staged(1, |stage| {
        let spot = stage.hosting();
        let thief = stage.thief(spot, windows_chrome()).single_factor();
        thief.by_cookie(stage, 0, super::client::OUTLOOK_WEB)
    });
    assert!(!event.mfa_by_claim);
    assert_eq!(event.conditional_access, ConditionalAccess::NotApplied);
    let (event, _) = staged(1, |stage| {
        let spot = stage.hosting();
        let thief = stage.thief(spot, script("node"));
        thief.by_cookie(stage, 0, super::client::OUTLOOK_WEB)
    });
    assert!(event.mfa_by_claim);
    assert_eq!(event.device.operating_system, None);
}
