//! A set of policy files: its texts stand one behind the other, `=====` on a
//! line of its own between them, and beside them stand those that ship.

#![no_main]

mod told;

use evictd::policy::{self, PolicySet, Source};
use evictd::ruleset::known_signals;

const FILES_MAX: usize = 8;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let files = text.splitn(FILES_MAX, "\n=====\n").enumerate();
    let own = files.map(|(index, text)| Source {
        path: format!("{index}.yaml"),
        text: text.to_owned(),
    });
    // Own paths sort first: a place's file is an index into the sorted set.
    let mut sources: Vec<Source> = own.collect();
    for source in &sources {
        policy::includes(source);
    }
    if text.contains("override:") {
        sources.extend(policy::shipped());
    }
    match PolicySet::compile(sources.clone(), &known_signals()) {
        Ok(set) => {
            assert!(!set.policies.is_empty());
            told::check(&set.warnings, &sources);
        }
        Err(errors) => {
            assert!(!errors.problems.is_empty());
            told::check(&errors.problems, &sources);
        }
    }
});
