//! Files that must not compile, and what they are made of: what the compiler
//! says of each, and what an editor shows by the schema, are tested elsewhere.

use super::fixtures::minimal;

/// A policy whose lines before `signals` are the smallest there are.
pub(super) fn with_signals(signals: &str) -> String {
    format!(
        "policy: p\nwindow: 60m\nsignals: {signals}\nrungs: [{{ at: 60, do: [revoke_sessions] }}]\n"
    )
}

pub(super) fn with_rungs(rungs: &str) -> String {
    format!(
        "policy: p\nwindow: 60m\nsignals: {{ tor_exit: 70, session_hosting: 85 }}\nrungs: {rungs}\n"
    )
}

pub(super) fn with_workloads(rungs: &str, more: &str) -> String {
    format!("scope: {{ workloads: true{more} }}\n{}", with_rungs(rungs))
}

pub(super) fn with_exception(line: &str) -> String {
    format!(
        "{}except:\n  - name: rooms\n    when: event.sign_in.protocol == \"deviceCode\"\n    owner: ana\n    reason: meeting rooms\n    until: 2027-01-31\n{line}",
        minimal("p")
    )
}

pub(super) fn with_line(line: &str) -> String {
    format!("{}{line}\n", minimal("p"))
}

/// Files that must not compile, by what is wrong with them.
pub(super) fn bad_files() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("only a comment", "# nothing yet\n".into()),
        ("a list", "- policy: p\n".into()),
        ("a scalar", "policy\n".into()),
        ("unclosed bracket", "policy: [p\n".into()),
        ("a tab", "policy: p\nscope:\n\tusers: []\n".into()),
        ("bad indentation", "policy: p\n window: 60m\n".into()),
        (
            "two documents",
            format!("{}---\n{}", minimal("a"), minimal("b")),
        ),
        ("unknown alias", with_line("owner: *nobody")),
        ("unknown tag", with_line("owner: !secret me")),
        ("merge key", with_line("<<: { owner: me }")),
        ("key twice", with_line("window: 30m")),
        ("key that is a list", with_line("? [a, b]\n: c")),
        ("unknown key", with_line("groups: [break-glass]")),
        ("when that is no condition", with_line("when: [a]")),
        ("when that is always true", with_line("when: true")),
        (
            "when with a mistake",
            with_line("when: 'event.network.contry == \"FR\"'"),
        ),
        (
            "when over several lines",
            with_line("when: >\n  event.sign_in.succeeded &&\n  event.network.asn < 0"),
        ),
        ("mistyped key", with_line("descripton: x")),
        ("no keys", "{}\n".into()),
        ("name with spaces", minimal("Stolen Session")),
        ("name is a number", minimal("42")),
        ("name is a mapping", minimal("{ a: b }")),
        ("mistyped mode", with_line("mode: enforced")),
        ("mode is a boolean", with_line("mode: true")),
        ("window without a unit", minimal("p").replace("60m", "60")),
        ("window too long", minimal("p").replace("60m", "96h")),
        ("window in days", minimal("p").replace("60m", "1d")),
        (
            "scope is a list",
            with_line("scope: [alice@contoso.example]"),
        ),
        (
            "scope of groups",
            with_line("scope: { exclude: { groups: [break-glass] } }"),
        ),
        (
            "scope that excludes everyone",
            with_line(
                "scope: { users: [a@b.example], exclude: { users: [A@B.example, c@d.example] } }",
            ),
        ),
        (
            "scope of an unknown list",
            with_line("scope: { exclude: { lists: [rooms] } }"),
        ),
        (
            "exception without an end",
            with_exception("").replace("    until: 2027-01-31\n", ""),
        ),
        (
            "exception until a month",
            with_exception("").replace("2027-01-31", "2027-02-30"),
        ),
        (
            "exception of a signal that is not weighed",
            with_exception("").replace(
                "event.sign_in.protocol ==",
                "signal.name in [\"tor_exit\", \"tor_exti\"] && event.sign_in.protocol ==",
            ),
        ),
        (
            "exception twice",
            with_exception(
                "  - { name: rooms, when: event.user.guest, owner: a, reason: b, until: 2027-01-31 }\n",
            ),
        ),
        (
            "list of two kinds",
            "lists:\n  rooms: { users: [], asns: [] }\n".into(),
        ),
        (
            "lists with mistakes",
            "lists:
  Rooms: { users: [a@b.example] }
  offices: { networks: [203.0.113.9/24, here] }
  carriers: { asns: [AS64500, 64501, AS, 99999999999] }
  home: { countries: [FR, de, France] }
  apps: { texts: [a, [b]] }
  other: { groups: [a] }
"
            .into(),
        ),
        (
            "signals of one's own with mistakes",
            "signals:
  device_code: { description: a, family: protocol, weight: 70, when: event.sign_in.interactive }
  custom.a: { description: a, family: protokol, weight: 0, when: signal.name == \"tor_exit\" }
  custom.b: 70
"
            .into(),
        ),
        (
            "override of nothing",
            "override: stolen-session\nmode: shadow\n".into(),
        ),
        ("include that is no list", "include: shipped\n".into()),
        ("weight by default", with_signals("{ tor_exit: default }")),
        ("scope of nobody", with_line("scope: { users: [] }")),
        (
            "users that name nobody",
            with_line("scope: { exclude: { users: [alice, '*@contoso.example', 7] } }"),
        ),
        (
            "unknown signal",
            with_signals("{ tor_exti: 70, qqqqqq: 70 }"),
        ),
        ("risk type with digits", with_signals("{ risk.1: 70 }")),
        (
            "weights out of range",
            with_signals(
                "{ tor_exit: 0, session_hosting: 101, impossible_travel: 70.5, tor_exit_failed: high }",
            ),
        ),
        ("no weight", with_signals("{ tor_exit: }")),
        ("no signals", with_signals("{}")),
        ("signals is a list", with_signals("[tor_exit]")),
        (
            "signal twice",
            with_signals("{ tor_exit: 70, tor_exit: 60 }"),
        ),
        ("no rungs", with_rungs("[]")),
        (
            "rungs is a mapping",
            with_rungs("{ at: 60, do: [revoke_sessions] }"),
        ),
        ("rung without keys", with_rungs("[{}]")),
        (
            "rungs at one score",
            with_rungs(
                "\n  - { at: 60, do: [revoke_sessions] }\n  - { at: 60, families: 2, do: [revoke_sessions] }",
            ),
        ),
        (
            "rung at nothing",
            with_rungs("[{ at: 0, do: [revoke_sessions] }]"),
        ),
        (
            "unknown action",
            with_rungs("[{ at: 60, do: [revoke_session, disable_account] }]"),
        ),
        (
            "action twice",
            with_rungs("[{ at: 60, do: [revoke_sessions, revoke_sessions] }]"),
        ),
        (
            "do is not a list",
            with_rungs("[{ at: 60, do: revoke_sessions }]"),
        ),
        (
            "no family",
            with_rungs("[{ at: 60, families: 0, do: [revoke_sessions] }]"),
        ),
        (
            "ask is a boolean",
            with_rungs("[{ at: 60, ask: true, do: [revoke_sessions] }]"),
        ),
        (
            "bad terms",
            with_rungs(
                "[{ at: 60, ask: { approvers: 6, expires: 10s, on_silence: allow }, do: [revoke_sessions] }]",
            ),
        ),
        (
            "out of reach by score",
            with_rungs("[{ at: 97, do: [revoke_sessions] }]"),
        ),
        (
            "out of reach by families",
            with_rungs("[{ at: 60, families: 3, do: [revoke_sessions] }]"),
        ),
        (
            "a reset that nobody is asked about",
            format!(
                "mode: enforce\n{}",
                with_rungs(
                    "\n  - { at: 85, do: [revoke_sessions, reset_password] }\n  - { at: 60, ask: {}, do: [reset_password] }",
                )
            ),
        ),
        (
            "workloads that are no flag",
            with_line("scope: { workloads: all }"),
        ),
        (
            "a service principal by a user's name",
            with_workloads(
                "[{ at: 60, ask: {}, do: [confirm_compromised] }]",
                ", users: [alice@contoso.example]",
            ),
        ),
        (
            "what cannot be done to a service principal",
            with_workloads(
                "[{ at: 60, ask: {}, do: [revoke_sessions, confirm_compromised, reset_password] }]",
                "",
            ),
        ),
        (
            "a service principal whom nobody is asked about",
            format!(
                "mode: enforce\n{}",
                with_workloads(
                    "\n  - { at: 85, do: [confirm_compromised] }\n  - { at: 60, ask: {}, do: [confirm_compromised] }",
                    "",
                )
            ),
        ),
        ("guard in a policy", with_line("guard: {}")),
        (
            "guard with a mistyped key",
            "guard: { acts_per_hours: 9, protect: {} }\n".into(),
        ),
        (
            "guard out of range",
            "guard: { acts_per_hour: -1, stale_after: 1s }\n".into(),
        ),
        ("guard without settings", "guard:\n".into()),
        (
            "guard for nobody",
            "guard: { protected: { users: [break glass] } }\n".into(),
        ),
        ("only a guard", "guard: {}\n".into()),
    ]
}
