//! A condition in a policy, asked of events: the CEL, then `=====` on a line of
//! its own, then a message of records.

#![no_main]

mod told;

use evictd::ingest::entra;
use evictd::model::{Family, NetworkClass};
use evictd::policy::{PolicySet, Source, Subject};
use evictd::ruleset::known_signals;

/// Of each kind of event one, asked whatever the input is.
const RECORDS: &[u8] = include_bytes!("../corpus/record/every_kind");

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (condition, message) = text.split_once("\n=====\n").unwrap_or((text, ""));
    // JSON's quotes and escapes are YAML's.
    let quoted = quoted(condition);
    let sources = vec![Source {
        path: "p.yaml".to_owned(),
        text: format!(
            "policy: p\nwindow: 60m\nsignals: {{ tor_exit: 70 }}\nwhen: {quoted}\n\
             rungs: [{{ at: 60, do: [revoke_sessions] }}]\n"
        ),
    }];
    let set = match PolicySet::compile(sources.clone(), &known_signals()) {
        Ok(set) => set,
        Err(errors) => return told::check(&errors.problems, &sources),
    };
    told::check(&set.warnings, &sources);
    let when = set.policies[0]
        .when
        .as_ref()
        .unwrap_or_else(|| panic!("no condition"));
    for message in [RECORDS, message.as_bytes()] {
        for (_, event) in &entra::decode(message).events {
            let answer = when.ask(&Subject {
                event,
                class: NetworkClass::Hosting,
                signal: Some(("tor_exit", Family::Network)),
            });
            std::hint::black_box(answer).ok();
        }
    }
});

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out + "\""
}
