//! Schema and compiler agree on files good and bad.

use super::*;
use crate::model::{ActionKind, Family, Mode};
use crate::policy::bad_files::bad_files;
use crate::policy::compile::SETTINGS;
use crate::policy::compile::policy::KEYS;
use crate::policy::fixtures::known;
use crate::policy::problem::Sink;
use crate::policy::yaml;
use crate::policy::{PolicySet, Source};

/// A policy that `file` may be checked beside.
const BESIDE: &str = "policy: beside\nwindow: 1h\nsignals: { tor_exit: 70 }\n\
                      rungs: [{ at: 70, do: [revoke_sessions] }]\n";
/// A policy less one key, for the tables below to complete.
const BODY: &str = "policy: a\nwindow: 1h\n";
const SIGNALS: &str = "signals: { tor_exit: 70, session_hosting: 85 }\n";
const RUNGS: &str = "rungs: [{ at: 70, do: [revoke_sessions] }]\n";

fn validator() -> jsonschema::Validator {
    let signals: Vec<SignalDoc> = known()
        .iter()
        .map(|signal| SignalDoc {
            name: signal.name,
            doc: signal.family.to_string(),
        })
        .collect();
    jsonschema::draft7::new(&schema(&signals)).unwrap()
}

fn validates(validator: &jsonschema::Validator, text: &str) -> bool {
    let mut sink = Sink::new("a.yaml", text);
    let node = yaml::read(0, &mut sink).unwrap_or_else(|| panic!("not YAML: {text}"));
    validator.is_valid(&node.json())
}

fn compiles(text: &str) -> Result<PolicySet, String> {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.into(),
    };
    let mut sources = vec![source("a.yaml", text)];
    // A file of settings decides nothing alone, and an override changes nothing.
    if !text.contains("policy: ") {
        sources.push(source("beside.yaml", BESIDE));
    }
    PolicySet::compile(sources, &known()).map_err(|errors| errors.to_string())
}

fn policy(more: &str) -> String {
    format!("{BODY}{SIGNALS}{RUNGS}{more}")
}

fn with_rungs(rungs: &str) -> String {
    format!("{BODY}{SIGNALS}rungs: {rungs}\n")
}

fn with_signals(signals: &str) -> String {
    format!("{BODY}signals: {signals}\nrungs: [{{ at: 1, do: [revoke_sessions] }}]\n")
}

fn exception(until: &str) -> String {
    policy(&format!(
        "except: [{{ name: x, when: event.user.guest, owner: a, reason: b, until: {until} }}]\n"
    ))
}

#[test]
fn what_compiles_validates() {
    let validator = validator();
    let files = [
        policy(""),
        policy("description: x\nowner: y\nmode: shadow\n"),
        policy("mode: approve\nwhen: event.sign_in.succeeded\n"),
        policy("promote: { precision: 95%, cases: 20 }\n"),
        policy("scope: { users: [ana@contoso.example], exclude: { users: [] } }\n"),
        policy("scope: { exclude: { users: [0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11] } }\n"),
        policy("scope: { users: ['bob_example.com#EXT#@contoso.example'] }\n"),
        "policy: a\nwindow: 1h\nscope: { workloads: true }\nmode: approve\n\
         signals: { risk.x: 80 }\nrungs: [{ at: 80, do: [confirm_compromised] }]\n"
            .to_owned(),
        exception("2027-01-31"),
        with_signals("{ risk.neverHeardOf: 50 }"),
        with_rungs(
            "[{ at: 85, families: 2, do: [revoke_sessions, confirm_compromised] },\n\
              { at: 60, ask: { approvers: 2, expires: 168h, on_silence: deny }, \
              do: [reset_password] }, { at: 50, ask: {}, do: [revoke_sessions] }]",
        ),
        "guard: {}\n".to_owned(),
        "guard: { protected: { users: [ana@contoso.example] }, stale_after: 90s, \
         acts_per_hour: 0 }\n"
            .to_owned(),
        "lists: {}\n".to_owned(),
        "lists:\n  rooms: { users: [] }\n  offices: { networks: [203.0.113.0/24, '2001:db8::1'] }\n  \
         clouds: { asns: [AS64500, 64501] }\n  home: { countries: [FR, NO] }\n  \
         apps: { texts: [x] }\n"
            .to_owned(),
        "include: [shipped, ../common]\nsignals:\n  custom.rooms: { description: x, \
         family: behaviour, weight: 30, when: event.user.guest }\n"
            .to_owned(),
        "parameters:\n  impossible_travel: { distance: 500 km, speed: 900 km/h, window: 24h }\n  \
         learning: { period: 14d, active_days: 5 }\n  address_probes_disabled: { ratio: 50% }\n"
            .to_owned(),
        "override: beside\nmode: approve\nsignals: { session_hosting: 70, tor_exit: 71 }\n"
            .to_owned(),
        "override: beside\nsignals: { session_hosting: 80, tor_exit: off }\n".to_owned(),
        "override: beside\nsignals: {}\nrungs: [{ at: 60, do: [revoke_sessions] }]\n".to_owned(),
    ];
    for file in files {
        if let Err(errors) = compiles(&file) {
            panic!("does not compile:\n{file}\n{errors}");
        }
        assert!(validates(&validator, &file), "does not validate:\n{file}");
    }
}

#[test]
fn what_is_written_wrongly_fails_both() {
    let validator = validator();
    let files = [
        "policy: a\n".to_owned(),
        "rungs: []\n".to_owned(),
        "{}\n".to_owned(),
        "[a]\n".to_owned(),
        "polcy: a\nwindow: 1h\n".to_owned(),
        policy("mdoe: enforce\n"),
        policy("mode: enforced\n"),
        policy("mode: Enforce\n"),
        policy("mode:\n"),
        policy("owner: ''\n"),
        policy("owner: 7\n"),
        policy("owner: [a]\n"),
        policy("scope: all\n"),
        policy("scope: { user: [a@b.example] }\n"),
        policy("scope: { users: [ana] }\n"),
        policy("scope: { users: ana@contoso.example }\n"),
        policy("scope: { users: ['*@contoso.example'] }\n"),
        policy("scope: { workloads: yes }\n"),
        policy("scope: { exclude: [a@b.example] }\n"),
        policy("scope: { exclude: { groups: [x] } }\n"),
        policy("scope: { lists: [] }\n"),
        policy("when: true\n"),
        policy("when: ' '\n"),
        policy("when:\n"),
        policy("except: []\n"),
        policy("except: [{ name: x, when: event.user.guest }]\n"),
        policy("promote: { precision: 95, cases: 20 }\n"),
        policy("promote: { precision: 0%, cases: 20 }\n"),
        policy("promote: { precision: 101%, cases: 20 }\n"),
        policy("promote: { precision: 95% }\n"),
        policy("promote: { precision: 95%, cases: 0 }\n"),
        policy("guard: {}\n"),
        exception("tomorrow"),
        exception("2027-13-01"),
        exception("2027-1-31"),
        exception("2027-01-31T10:00"),
        policy("").replace("window: 1h", "window: 60"),
        policy("").replace("window: 1h", "window: 1d"),
        policy("").replace("window: 1h", "window: 1h30m"),
        policy("").replace("policy: a", "policy: A"),
        policy("").replace("policy: a", "policy: a_b"),
        policy("").replace("policy: a", "policy: 7"),
        with_signals("{}"),
        with_signals("[tor_exit]"),
        with_signals("{ tor_exti: 70 }"),
        with_signals("{ tor_exit: 0 }"),
        with_signals("{ tor_exit: 101 }"),
        with_signals("{ tor_exit: '70' }"),
        with_signals("{ tor_exit: 70.5 }"),
        with_signals("{ tor_exit: default }"),
        with_signals("{ tor_exit: off }"),
        with_signals("{ tor_exit: }"),
        with_signals("{ risk.with-dash: 70 }"),
        with_signals("{ risk.: 70 }"),
        with_rungs("[]"),
        with_rungs("{ at: 70, do: [revoke_sessions] }"),
        with_rungs("[{ at: 70 }]"),
        with_rungs("[{ do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, do: revoke_sessions }]"),
        with_rungs("[{ at: 70, do: [] }]"),
        with_rungs("[{ at: 70, do: [revoke_session] }]"),
        with_rungs("[{ at: 70, do: [revoke_sessions, revoke_sessions] }]"),
        with_rungs("[{ at: 70%, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, families: 10, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, family: 2, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, ask: true, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, ask: { approvers: 6 }, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, ask: { expires: 30 }, do: [revoke_sessions] }]"),
        with_rungs("[{ at: 70, ask: { on_silence: allow }, do: [revoke_sessions] }]"),
        "guard: { protect: { users: [] } }\n".to_owned(),
        "guard: { stale_after: 60 }\n".to_owned(),
        "guard: { acts_per_hour: -1 }\n".to_owned(),
        "guard:\n".to_owned(),
        "guards: {}\n".to_owned(),
        "guard: {}\nmore: 1\n".to_owned(),
        "lists: { Rooms: { users: [] } }\n".to_owned(),
        "lists: { rooms: [a@b.example] }\n".to_owned(),
        "lists: { rooms: {} }\n".to_owned(),
        "lists: { rooms: { users: [], texts: [a] } }\n".to_owned(),
        "lists: { rooms: { people: [a@b.example] } }\n".to_owned(),
        "lists: { a: { networks: [] } }\n".to_owned(),
        "lists: { a: { networks: [office] } }\n".to_owned(),
        "lists: { a: { asns: [64500x] } }\n".to_owned(),
        "lists: { a: { asns: [-1] } }\n".to_owned(),
        "lists: { a: { countries: [France] } }\n".to_owned(),
        "lists: { a: { countries: [fr] } }\n".to_owned(),
        "lists: { a: { countries: [true] } }\n".to_owned(),
        "lists: { a: { texts: [7] } }\n".to_owned(),
        "include: shipped\n".to_owned(),
        "include: []\n".to_owned(),
        "include: [7]\n".to_owned(),
        "signals: { rooms: { description: x, family: network, weight: 9, when: event.user.guest } }\n"
            .to_owned(),
        "signals: { custom.rooms: 30 }\n".to_owned(),
        "signals: { custom.rooms: { description: x, weight: 9, when: event.user.guest } }\n"
            .to_owned(),
        "signals: { custom.a: { description: x, family: net, weight: 9, when: event.user.guest } }\n"
            .to_owned(),
        "parameters: { impossible_travel: { distance: 500 } }\n".to_owned(),
        "parameters: { impossible_travel: { distance: 500km } }\n".to_owned(),
        "parameters: { impossible_travel: { distanse: 500 km } }\n".to_owned(),
        "parameters: { imposible_travel: { distance: 500 km } }\n".to_owned(),
        "parameters: { mfa_fatigue: { denials: 0 } }\n".to_owned(),
        "parameters: { mfa_fatigue: 2 }\n".to_owned(),
        "override: beside\npolicy: b\n".to_owned(),
        "override: beside\nsignals: { tor_exit: on }\n".to_owned(),
        "override: beside\nsignals: { tor_exit: true }\n".to_owned(),
        "override: [beside]\n".to_owned(),
        "override: beside\nguard: {}\n".to_owned(),
    ];
    for file in files {
        assert!(compiles(&file).is_err(), "compiles:\n{file}");
        assert!(!validates(&validator, &file), "validates:\n{file}");
    }
}

/// What a schema cannot know: each of these validates and does not compile.
/// They are what `evictd policy check` is for beside an editor.
#[test]
fn what_a_schema_cannot_know_is_left_to_check() {
    let validator = validator();
    let table = [
        (
            "a score out of reach",
            with_rungs("[{ at: 99, do: [revoke_sessions] }]"),
        ),
        (
            "two rungs at one score",
            with_rungs(
                "[{ at: 70, do: [revoke_sessions] }, { at: 70, do: [confirm_compromised] }]",
            ),
        ),
        (
            "a mode that an action forbids",
            format!(
                "mode: enforce\n{}",
                with_rungs("[{ at: 70, do: [reset_password] }]")
            ),
        ),
        (
            "a duration out of bounds",
            policy("").replace("window: 1h", "window: 73h"),
        ),
        (
            "a parameter out of bounds",
            "parameters: { impossible_travel: { distance: 5 km } }\n".to_owned(),
        ),
        (
            "nobody left",
            policy("scope: { users: [a@b.example], exclude: { users: [a@b.example] } }\n"),
        ),
        ("nobody named", policy("scope: { users: [] }\n")),
        (
            "a list that is not there",
            policy("scope: { lists: [rooms] }\n"),
        ),
        (
            "a condition with a mistake in it",
            policy("when: event.network.contry == \"FR\"\n"),
        ),
        ("a day that no calendar has", exception("2027-02-30")),
        (
            "a signal that is not defined",
            with_signals("{ custom.rooms: 50 }"),
        ),
        (
            "a default without a definition",
            with_signals("{ custom.rooms: default }"),
        ),
        (
            "a network with bits behind its mask",
            "lists: { a: { networks: [203.0.113.7/24] } }\n".to_owned(),
        ),
        (
            "a number beyond 32 bits",
            "lists: { a: { asns: [AS9999999999] } }\n".to_owned(),
        ),
        // 70.0 is a whole number to JSON Schema.
        (
            "a fraction that is none",
            with_signals("{ tor_exit: 70.0 }"),
        ),
        ("a policy that is not there", "override: gone\n".to_owned()),
        (
            "nothing to switch off",
            "override: beside\nsignals: { session_hosting: off }\n".to_owned(),
        ),
    ];
    for (what, file) in table {
        assert!(compiles(&file).is_err(), "{what} compiles:\n{file}");
        assert!(
            validates(&validator, &file),
            "{what} does not validate:\n{file}"
        );
    }
}

/// The same of every file that the compiler's own tests know to be bad: what
/// is not listed here, an editor shows.
#[test]
fn of_the_bad_files_an_editor_shows_all_but_these() {
    let validator = validator();
    let mut unseen = Vec::new();
    for (what, text) in bad_files() {
        let mut sink = Sink::new("a.yaml", &text);
        // What is no YAML at all an editor shows anyhow.
        if let Some(node) = yaml::read(0, &mut sink)
            && validator.is_valid(&node.json())
        {
            unseen.push(what);
        }
    }
    insta::assert_snapshot!(unseen.join("\n"));
}

#[test]
fn the_keys_of_each_kind_of_file_are_the_compiler_s() {
    let schema = schema(&[]);
    let keys = |name: &str| -> Vec<String> {
        let properties = schema["definitions"][name]["properties"].as_object();
        properties.unwrap().keys().cloned().collect()
    };
    let sorted = |keys: &[&str]| {
        let mut keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("Policy"), sorted(KEYS));
    let mut changed: Vec<&str> = KEYS
        .iter()
        .copied()
        .filter(|key| *key != "policy")
        .collect();
    changed.push("override");
    assert_eq!(keys("Override"), sorted(&changed));
    assert_eq!(keys("Settings"), sorted(SETTINGS));
}

#[test]
fn the_names_to_choose_from_are_the_model_s() {
    let schema = schema(&[]);
    let names = |name: &str| -> Vec<String> {
        let choices = schema["definitions"][name]["oneOf"].as_array().unwrap();
        let of = |choice: &Value| choice["const"].as_str().unwrap().to_owned();
        choices.iter().map(of).collect()
    };
    assert_eq!(names("Action"), ActionKind::ALL.map(ActionKind::as_str));
    assert_eq!(names("Family"), Family::ALL.map(|family| family.as_str()));
    let modes = [Mode::Shadow, Mode::Approve, Mode::Enforce];
    assert_eq!(names("Mode"), modes.map(|mode| mode.as_str()));
}
