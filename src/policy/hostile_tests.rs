//! Hostile policy files and conditions: refused in words, soon, and nothing
//! worse.
//!
//! The same is done at greater length by `fuzz/`, where the toolchain allows;
//! its corpus is replayed here. Tests run on threads of 2 MiB, so a stack that
//! is too deep aborts them. How long is measured by bounds that tell growth
//! from a slow machine, how much by the sizes of what comes out: the budgets in
//! `yaml.rs` bound what goes in.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::fixtures::{known, minimal, sign_in_with_agent};
use super::{PolicyErrors, PolicySet, Problem, Source, Subject, includes, shipped};
use crate::model::NetworkClass;

/// Milliseconds in a release build; without optimization, and on a machine
/// that does other things, seconds.
const SOON: Duration = Duration::from_secs(10);

/// Compiles texts as files and checks what every refusal must be.
fn compile(texts: &[&str]) -> Result<PolicySet, PolicyErrors> {
    let sources: Vec<Source> = (0..)
        .zip(texts)
        .map(|(index, text)| Source {
            path: format!("{index}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    for source in &sources {
        includes(source);
    }
    let started = Instant::now();
    let compiled = PolicySet::compile(sources, &known());
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    match &compiled {
        Ok(set) => check_told(&set.warnings, texts),
        Err(errors) => {
            assert!(!errors.problems.is_empty());
            check_told(&errors.problems, texts);
        }
    }
    compiled
}

/// Short, safe for a terminal, and of a place that is in the file.
fn check_told(problems: &[Problem], texts: &[&str]) {
    for problem in problems {
        let told = problem.to_string();
        assert!(told.len() < 32 * 1024, "{} bytes", told.len());
        let steers = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!told.contains(steers), "{told:?}");
        assert!(!problem.message.trim().is_empty(), "{told}");
        // What is said where CEL's parser panics.
        assert!(!problem.message.contains("cannot be parsed"), "{told}");
        let Some(place) = problem.place else { continue };
        let text = texts[usize::from(place.file)].replace("\r\n", "\n");
        let line = text.split(['\n', '\r']).nth(place.line as usize - 1);
        let length = line
            .unwrap_or_else(|| panic!("no such line: {told}"))
            .chars()
            .count();
        let columns = 1..=length + 1;
        assert!(columns.contains(&(place.column as usize)), "{told}");
    }
}

fn refused(text: &str) -> String {
    let errors = compile(&[text]).expect_err("it must be refused");
    assert!(errors.problems.len() <= 101, "{}", errors.problems.len());
    errors.to_string()
}

/// A condition in YAML's double quotes.
fn with_when(condition: &str) -> String {
    let mut quoted = String::new();
    for c in condition.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\U{:08x}", u32::from(c)).unwrap(),
            c => quoted.push(c),
        }
    }
    format!("{}when: \"{quoted}\"\n", minimal("p"))
}

fn corpus(target: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    files
        .map(|file| {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (path.display().to_string(), text)
        })
        .collect()
}

/// As `fuzz/fuzz_targets` takes its input apart.
const BETWEEN: &str = "\n=====\n";

#[test]
fn the_corpus_of_policy_files_breaks_nothing() {
    let files = corpus("policy_file");
    assert!(files.len() > 20);
    for (path, text) in files {
        of_file(&path, || {
            let shipped = shipped();
            let mut texts: Vec<&str> = text.split(BETWEEN).collect();
            if text.contains("override:") {
                texts.extend(shipped.iter().map(|source| &*source.text));
            }
            compile(&texts).ok();
        });
    }
}

#[test]
fn the_corpus_of_conditions_breaks_nothing() {
    let files = corpus("condition");
    assert!(files.len() > 20);
    for (path, text) in files {
        of_file(&path, || ask(text.split(BETWEEN).next().unwrap()));
    }
}

/// Names the file of the corpus that a panic is about.
fn of_file(path: &str, test: impl FnOnce()) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
    assert!(result.is_ok(), "{path}");
}

/// Compiles a condition and, if it compiles, asks it.
fn ask(condition: &str) {
    if let Ok(set) = compile(&[&with_when(condition)]) {
        let event = sign_in_with_agent(&"a".repeat(1_000));
        let when = set.policies[0].when.as_ref().unwrap();
        let answer = when.ask(&Subject {
            event: &event,
            class: NetworkClass::Hosting,
            signal: None,
        });
        std::hint::black_box(answer).ok();
    }
}

#[test]
fn files_that_are_too_much_are_refused_in_words() {
    let scalar = "x".repeat(900_000);
    let nested_block = (0..10_000).fold(String::new(), |mut text, depth| {
        writeln!(text, "{}a:", " ".repeat(depth.min(90))).unwrap();
        text
    });
    let steps = (0..1_000).fold(String::new(), |mut text, depth| {
        writeln!(text, "{}a:", " ".repeat(depth)).unwrap();
        text
    });
    let table = [
        ("[".repeat(10_000), "too deeply nested"),
        ("{a: ".repeat(10_000), "too deeply nested"),
        ("- ".repeat(10_000), "too deeply nested"),
        ("? ".repeat(10_000), "too deeply nested"),
        (steps, "too deeply nested"),
        (nested_block, "too deeply nested"),
        (format!("policy: {scalar}\n"), "at most 4096 fit"),
        (format!("? {scalar}\n: x\n"), ""),
        (format!("policy: |\n  {scalar}\n"), "at most 4096 fit"),
        (format!("policy: \"{scalar}\"\n"), "at most 4096 fit"),
        (format!("# {scalar}\n"), "the file holds nothing"),
        (format!("policy: !{scalar} x\n"), ""),
        (format!("policy: *{scalar}\n"), "without an anchor"),
        (format!("policy: &{scalar} x\n"), ""),
        (format!("%{scalar}\n---\na: b\n"), ""),
        ("a: b\n---\n".repeat(10_000), "a second document begins"),
        ("---\n".repeat(10_000), ""),
        ("\n".repeat(1_000_000), "the file holds nothing"),
        (" ".repeat(1_000_000), "the file holds nothing"),
        ("\t".repeat(1_000_000), ""),
        ("\u{feff}".repeat(1_000), ""),
        ("\0".repeat(1_000), ""),
        ("a: b\r".repeat(9_000), "stands twice"),
        ("'".repeat(1_000_001), ""),
        ("- -\n".repeat(100_000), "too large"),
        ("[],".repeat(300_000), "behind the end of the document"),
        ("[a, b]: c\n".repeat(5_000), "too large"),
    ];
    let mut bad = Vec::new();
    for (text, expected) in table {
        let told = refused(&text);
        let start: String = text.chars().take(20).collect();
        if !told.contains(expected) {
            bad.push((start, told.chars().take(300).collect::<String>()));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn twenty_thousand_mistakes_are_refused_with_a_hundred_told() {
    let keys = (0..9_900).fold(String::new(), |mut text, key| {
        writeln!(text, "misspelt_key_number_{key}: {}", "x".repeat(60)).unwrap();
        text
    });
    let in_a_row = keys.trim_end().replace('\n', ", ");
    let pairs = "{b: c}, ".repeat(4_900);
    for text in [
        keys,
        format!("{{{in_a_row}}}"),
        format!("lists: {{ a: {{ asns: [{pairs}] }} }}\n"),
        format!("lists: {{ a: {{ users: [{}] }} }}\n", "x, ".repeat(9_000)),
    ] {
        let told = refused(&text);
        assert!(told.contains("more problems are not shown"), "{told:.500}");
        assert!(told.len() < 128 * 1024, "{} bytes", told.len());
    }
}

#[test]
fn many_wrong_conditions_cost_no_more_than_a_hundred() {
    let wrong = "event.a == 1 || ".repeat(110) + "event.b == 2";
    let signals = (0..400).fold(String::from("signals:\n"), |mut text, index| {
        writeln!(
            text,
            "  custom.s{index}: {{ description: d, family: network, weight: 5, when: '{wrong}' }}"
        )
        .unwrap();
        text
    });
    let told = refused(&signals);
    assert!(told.contains("more problems are not shown"), "{told:.500}");
}

#[test]
fn what_aliases_repeat_is_bounded_in_bytes() {
    let items = format!("{:?}, ", "x".repeat(4_000)).repeat(200);
    let aliases = "*a, ".repeat(90);
    let told = refused(&format!("a: &a [{items}]\nb: [{aliases}]\n"));
    assert!(told.contains("too large"), "{told:.500}");
}

#[test]
fn a_list_that_many_conditions_name_is_held_once() {
    let users = (0..9_000).fold(String::new(), |mut text, user| {
        write!(text, "u{user}@contoso.example, ").unwrap();
        text
    });
    let lists = format!("lists: {{ staff: {{ users: [{users}] }} }}\n");
    let one = "(event.user in lists.staff && event.sign_in.succeeded)";
    let when = [one; 30].join(" || ");
    let exceptions = (0..50).fold(String::from("except:\n"), |mut text, index| {
        writeln!(
            text,
            "  - {{ name: n{index}, when: '{when}', owner: o, reason: r, until: 2027-01-31 }}"
        )
        .unwrap();
        text
    });
    // Copied, it would be 1,500 times nine thousand names.
    let policy = minimal("p") + &exceptions;
    compile(&[&lists, &policy]).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn a_set_that_is_too_large_is_refused_before_it_is_read() {
    let text = "#".repeat(1_000_000);
    let texts = vec![text.as_str(); 9];
    let told = compile(&texts).unwrap_err().to_string();
    assert!(told.contains("at most 8388608 fit"), "{told}");
}

#[test]
fn a_long_row_of_any_operator_is_answered_and_fits_the_stack() {
    let repeated = |unit: &str| unit.repeat(1_990 / unit.len());
    let units = [
        "!",
        "-",
        "(",
        "[",
        "{1:",
        "{",
        "\"",
        "'",
        "a.",
        "a[",
        "a(",
        "x?",
        "x?1:",
        "1+",
        "1*",
        "1-",
        "true&&",
        "true||",
        "1==",
        "1<",
        "1 in ",
        "has(",
        "size(",
        "!(",
        "-(",
        "a{",
        ")",
        "]",
        "}",
        ",",
        ".",
        "?",
        ":",
        "\\",
        "\n",
        "\t",
        "\0",
        "\u{202e}",
        "é",
        "\u{1F600}",
        "&",
        "|",
        "=",
        "x.exists(x,",
        "x.all(x,",
        "[].map(x,",
        "r'",
        "b\"",
        "//",
        "1u",
        "0x",
        "1e",
        "\"\"\"",
        "event.sign_in.methods.exists(m,",
    ];
    for unit in units {
        for text in [
            repeated(unit),
            format!("{}1", repeated(unit)),
            format!("{}true", repeated(unit)),
            format!("event.user.name{}", repeated(unit)),
        ] {
            ask(&text);
        }
    }
}

#[test]
fn regular_expressions_that_would_run_away_do_not() {
    let matches =
        |pattern: &str| with_when(&format!("event.sign_in.user_agent.matches(r\"{pattern}\")"));
    for pattern in [
        r"(\w{1000}){50}",
        r"((((a{100}){100}){100}){100})",
        r"\pL{1000}",
        &"(".repeat(900),
        "[a",
        r"(?P<x>a)\1",
        r"(?=a)",
    ] {
        assert!(refused(&matches(pattern)).contains("regular expression"));
    }
    let many = ["event.sign_in.user_agent.matches(\"a\")"; 9].join(" || ");
    assert!(refused(&with_when(&many)).contains("more than 8 regular expressions"));

    // Elsewhere each doubling of the text squares the time, or worse.
    let set = compile(&[&matches("^(a+)+$")]).unwrap();
    let when = set.policies[0].when.as_ref().unwrap();
    for length in [1_000, 100_000, 1_000_000] {
        let event = sign_in_with_agent(&format!("{}!", "a".repeat(length)));
        let started = Instant::now();
        let answer = when.ask(&Subject {
            event: &event,
            class: NetworkClass::Ordinary,
            signal: None,
        });
        assert_eq!(answer, Ok(false));
        assert!(started.elapsed() < SOON);
    }
}

#[test]
fn numbers_beyond_a_number_are_refused_or_undecided() {
    for text in [
        "event.network.asn == 99999999999999999999999999",
        "event.network.asn == 18446744073709551615u",
        "event.network.asn == 1e400",
    ] {
        refused(&with_when(text));
    }
    ask("event.network.asn * 9223372036854775807 * 9223372036854775807 > 0");
    ask("-9223372036854775808 - event.network.asn > 0");
    ask("-(-9223372036854775808) > event.network.asn");
}

/// Values and marks that files like to break on.
const HOSTILE: &[&str] = &[
    "",
    "~",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    ".nan",
    "9223372036854775808",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "&a",
    "*a",
    "<<",
    "!!binary",
    "!x",
    "|",
    ">-",
    "?",
    "-",
    ":",
    ": ",
    "#",
    "%",
    "@",
    "`",
    "---",
    "...",
    "\t",
    "\r",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "\u{2028}",
    "\u{85}",
    "\"\\u001b[2J\"",
    "\"\\x00\"",
    "é",
    "\u{1F600}",
    "0x7fffffffffffffffff",
    "[[[[[[[[",
    "999999h",
    "2027-02-30",
    "off",
    "default",
    "event.user",
    "(((((",
    "== ==",
    "&&",
    "shipped",
];

/// Files that are good, to be made bad.
fn good_files() -> Vec<String> {
    let own = corpus("policy_file").into_iter().map(|(_, text)| text);
    let ours = shipped().into_iter().map(|source| source.text);
    // Comments are most of ours, and of no interest here.
    let without_comments = ours.map(|text| {
        let lines = text.lines().filter(|line| !line.trim().starts_with('#'));
        lines.fold(String::new(), |text, line| text + line + "\n")
    });
    own.chain(without_comments).collect()
}

/// Cut where a word, a number or white space begins or ends.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
        } else {
            Some(first.len_utf8())
        };
        let (token, after) = rest.split_at(end.unwrap_or(rest.len()));
        tokens.push(token);
        rest = after;
    }
    tokens
}

/// Deletes, repeats, swaps or replaces tokens or lines.
fn mutated(text: &str, changes: &[(u8, usize, usize, usize)]) -> String {
    let mut parts: Vec<&str> = match changes.first() {
        Some((_, _, _, by_line)) if by_line % 3 == 0 => text.split_inclusive('\n').collect(),
        _ => tokens(text),
    };
    for &(kind, at, other, which) in changes {
        if parts.is_empty() {
            break;
        }
        let (at, other) = (at % parts.len(), other % parts.len());
        match kind % 5 {
            0 => drop(parts.remove(at)),
            1 => parts.insert(other, parts[at]),
            2 => parts.swap(at, other),
            3 => parts[at] = HOSTILE[which % HOSTILE.len()],
            _ => parts.insert(at, HOSTILE[which % HOSTILE.len()]),
        }
    }
    parts.concat()
}

fn changes() -> impl Strategy<Value = Vec<(u8, usize, usize, usize)>> {
    let index = || 0..100_000_usize;
    prop::collection::vec((any::<u8>(), index(), index(), index()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_good_file_made_bad_breaks_nothing(which in any::<prop::sample::Index>(), changes in changes()) {
        let files = good_files();
        let text = mutated(&files[which.index(files.len())], &changes);
        let texts: Vec<&str> = text.split(BETWEEN).collect();
        compile(&texts).ok();
    }

    #[test]
    fn text_that_is_nearly_yaml_breaks_nothing(
        parts in prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8), 0..40),
    ) {
        let keys = ["policy", "window", "signals", "rungs", "when", "at", "do", "lists", "a"];
        let mut text = String::new();
        for (which, glue) in parts {
            let word = which.index(HOSTILE.len() + keys.len());
            text += HOSTILE.get(word).copied().unwrap_or_else(|| keys[word - HOSTILE.len()]);
            text += ["\n", "\n  ", ": ", " ", ", "][usize::from(glue)];
        }
        compile(&[&text]).ok();
    }

    #[test]
    fn text_that_is_nearly_cel_breaks_nothing(
        which in any::<prop::sample::Index>(), changes in changes(), tail in "[ -~é\n\"'\\\\(){}\\[\\].?:&|!=<>+*-]{0,20}",
    ) {
        let conditions = corpus("condition");
        let (_, condition) = &conditions[which.index(conditions.len())];
        let text = mutated(condition, &changes) + &tail;
        ask(&text);
    }
}
