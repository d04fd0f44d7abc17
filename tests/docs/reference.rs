//! docs/policy-reference.md and the schema that ships are what the code says.
//!
//! `BLESS=1 cargo test --test docs` writes them anew; without it a
//! difference fails.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use evictd::model::ActionKind;
use evictd::policy::{self, RULES, condition};
use evictd::respond::permission::needed;
use evictd::ruleset;
use serde_json::Value;

use super::document;

const REFERENCE: &str = "docs/policy-reference.md";
const SCHEMA: &str = "policies/policy.schema.json";
/// The first line of every file that ships.
const LANGUAGE_SERVER: &str = "# yaml-language-server: $schema=policy.schema.json";

fn path(relative: &str) -> String {
    format!("{}/{relative}", env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file against what it should be, or writes it.
fn compare(relative: &str, expected: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path(relative), expected).unwrap();
        return;
    }
    let found = fs::read_to_string(path(relative)).unwrap_or_default();
    let differs = |(found, expected): &(&str, &str)| found != expected;
    if let Some((found, expected)) = found.lines().zip(expected.lines()).find(differs) {
        panic!("{relative} is not what the code says:\n- {found}\n+ {expected}\n{AGAIN}");
    }
    assert_eq!(
        found.len(),
        expected.len(),
        "{relative} is too short or too long; {AGAIN}"
    );
}

const AGAIN: &str = "BLESS=1 cargo test --test docs writes it anew";

#[test]
fn the_generated_parts_of_the_policy_reference_are_the_code_s() {
    let mut text = document(REFERENCE);
    for (part, expected) in [
        ("keys", keys()),
        ("actions", actions()),
        ("fields", fields()),
        ("rules", rules()),
        ("exit codes", exit_codes()),
    ] {
        let (begin, end) = (
            format!("<!-- begin {part} -->"),
            format!("<!-- end {part} -->"),
        );
        let from = text.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let to = text.find(&end).unwrap_or_else(|| panic!("no {end}"));
        text.replace_range(from..to, &format!("\n{expected}"));
    }
    compare(REFERENCE, &text);
}

fn actions() -> String {
    let mut table = String::from(
        "| action | Graph permission | of a service principal | unattended |\n|---|---|---|---|\n",
    );
    for kind in ActionKind::ALL {
        let workload = match kind.fits_workloads() {
            true => format!("`{}`", needed(kind, true)),
            false => "cannot be done".to_owned(),
        };
        let unattended = if kind.needs_approval() {
            "never"
        } else {
            "yes, to users"
        };
        table.push_str(&format!(
            "| `{kind}` | `{}` | {workload} | {unattended} |\n",
            needed(kind, false)
        ));
    }
    table
}

fn fields() -> String {
    let mut table = String::from("| field | type | what it is |\n|---|---|---|\n");
    for field in condition::reference() {
        let names: Vec<String> = field.names.iter().map(|n| format!("`{n}`")).collect();
        let names = match (names.is_empty(), field.open) {
            (true, _) => String::new(),
            (false, open) => {
                let more = if open { " or another" } else { "" };
                format!(" One of {}{more}.", names.join(", "))
            }
        };
        table.push_str(&format!(
            "| `{}` | {} | {}{names} |\n",
            field.path, field.ty, field.doc
        ));
    }
    table
}

fn rules() -> String {
    let mut table =
        String::from("| rule | level | what it finds | what to do |\n|---|---|---|---|\n");
    for rule in RULES {
        let level = rule.level.as_str();
        table.push_str(&format!(
            "| `{}` | {level} | {} | {} |\n",
            rule.id, rule.summary, rule.help
        ));
    }
    table
}

/// As `--help` tells them.
fn exit_codes() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_evictd"))
        .args(["policy", "check", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let codes = help.lines().skip_while(|line| *line != "Exit codes:");
    let mut table = String::from("| code | meaning |\n|---|---|\n");
    for line in codes.skip(1).take_while(|line| !line.is_empty()) {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        table.push_str(&format!("| {code} | {} |\n", meaning.trim()));
    }
    table
}

/// What stands in each kind of file, from the schema.
fn keys() -> String {
    const SECTIONS: &[(&str, &str)] = &[
        ("Policy", "A policy"),
        ("Override", "An override"),
        ("Settings", "What policies refer to"),
        ("Scope", "`scope`"),
        ("Accounts", "`exclude` and `protected`"),
        ("Exception", "An item of `except`"),
        ("Rung", "An item of `rungs`"),
        ("Ask", "`ask`"),
        ("Promotion", "`promote`"),
        ("Guard", "`guard`"),
        ("List", "An item of `lists`"),
        ("Signal", "An item of `signals` in a file without a policy"),
    ];
    let schema = ruleset::schema();
    let definitions = &schema["definitions"];
    let told: BTreeSet<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let mut text = String::new();
    for (name, title) in SECTIONS {
        text.push_str(&format!(
            "### {title}\n\n| key | value | what it is |\n|---|---|---|\n"
        ));
        let definition = &definitions[name];
        let required: Vec<&Value> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let mut properties: Vec<(&String, &Value)> = definition["properties"]
            .as_object()
            .unwrap()
            .iter()
            .collect();
        properties.sort_by_key(|(key, _)| !required.iter().any(|name| *name == *key));
        for (key, property) in properties {
            let must = required.iter().any(|name| *name == key);
            let must = if must { ", required" } else { "" };
            let what = property["description"].as_str().unwrap_or_default();
            let value = value(property, definitions, &told);
            text.push_str(&format!("| `{key}` | {value}{must} | {what} |\n"));
        }
        text.push('\n');
    }
    text
}

/// What a key takes, in words.
fn value(property: &Value, definitions: &Value, told: &BTreeSet<&str>) -> String {
    let reference = property["$ref"]
        .as_str()
        .or(property["allOf"][0]["$ref"].as_str());
    if let Some(reference) = reference {
        let name = reference.rsplit('/').next().unwrap();
        let choices = definitions[name]["oneOf"].as_array();
        return match (name, choices) {
            (_, Some(choices)) => names(choices.iter().map(|choice| &choice["const"])),
            ("Weights", _) => "mapping, name: 1 to 100 (`default` for `custom.…`)".to_owned(),
            ("Changes", _) => "mapping, name: 1 to 100, `default` or `off`".to_owned(),
            ("Parameters", _) => "mapping; docs/signals.md lists them".to_owned(),
            (name, _) if told.contains(name) => "mapping, below".to_owned(),
            (name, _) => panic!("{name} is explained nowhere"),
        };
    }
    if let Some(choices) = property["enum"].as_array() {
        return names(choices.iter());
    }
    if let Some(choices) = property["oneOf"].as_array() {
        return names(choices.iter().map(|choice| &choice["const"]));
    }
    let bound = |key: &str| property[key].as_i64();
    match property["type"].as_str() {
        Some("integer") => format!(
            "whole number, {} to {}",
            bound("minimum").unwrap(),
            bound("maximum").unwrap()
        ),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("array") => {
            let of = value(&property["items"], definitions, told);
            let of = of.trim_end_matches(", below");
            let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap());
            format!("list of {least} to {most}: {of}")
        }
        Some("object") => "mapping by name, below".to_owned(),
        Some("string") => match property["patternErrorMessage"].as_str() {
            Some(expected) => expected.trim_start_matches("expected ").to_owned(),
            None => format!("text, up to {} characters", bound("maxLength").unwrap()),
        },
        _ if property["anyOf"][0]["pattern"] == "^[A-Z]{2}$" => "two capital letters".to_owned(),
        _ if property["anyOf"][0]["pattern"] == "^AS[0-9]{1,10}$" => {
            "`AS64500` or the number".to_owned()
        }
        _ => panic!("{property} has no words"),
    }
}

fn names<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let names: Vec<String> = values
        .map(|v| format!("`{}`", v.as_str().unwrap()))
        .collect();
    names.join(", ")
}

#[test]
fn every_function_of_conditions_is_in_the_policy_reference() {
    let text = document(REFERENCE);
    for function in condition::functions() {
        assert!(
            text.lines()
                .any(|line| line.starts_with('|') && line.contains(&format!("{function}("))),
            "{REFERENCE} has no row for {function}"
        );
    }
}

/// Rules are texts, so only their uses can say that none is missing.
#[test]
fn every_rule_in_the_code_is_documented_and_every_documented_rule_is_used() {
    let mut used = BTreeSet::new();
    for folder in ["src/policy", "src/cli/policy"] {
        collect(&path(folder), &mut used);
    }
    let documented: BTreeSet<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(used, documented);
}

/// What follows `report_rule(` and `: Rule =` in a folder's sources.
fn collect(folder: &str, used: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            collect(&entry.display().to_string(), used);
            continue;
        }
        if entry.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&entry).unwrap();
        for mark in ["report_rule(", ": Rule ="] {
            for rest in text.split(mark).skip(1) {
                if let Some(literal) = rest.trim_start().strip_prefix('"') {
                    used.insert(literal.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
}

#[test]
fn the_schema_beside_the_policies_is_what_the_command_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_evictd"))
        .args(["policy", "schema"])
        .output()
        .unwrap();
    assert!(printed.status.success());
    compare(SCHEMA, &String::from_utf8(printed.stdout).unwrap());
}

#[test]
fn what_ships_validates_and_names_the_schema_in_its_first_line() {
    let validator = jsonschema::draft7::new(&ruleset::schema()).unwrap();
    for source in policy::shipped() {
        let value: Value = serde_saphyr::from_str(&source.text).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{}: {error}", source.path);
        }
        assert_eq!(
            source.text.lines().next(),
            Some(LANGUAGE_SERVER),
            "{}",
            source.path
        );
    }
}

#[test]
fn exit_codes_of_the_check_are_those_that_are_documented() {
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| {
        let check = Command::new(env!("CARGO_BIN_EXE_evictd"))
            .args(["policy", "check"])
            .args(arguments)
            .current_dir(folder.path())
            .output();
        check.unwrap().status.code()
    };
    assert_eq!(code(&["--deny-warnings"]), Some(0));
    assert_eq!(code(&["--format", "xml"]), Some(2));
    assert_eq!(code(&["gone"]), Some(2));
    assert_eq!(code(&["."]), Some(2));
    let policy = "policy: a\nwindow: 1h\nsignals: { tor_exit: 70 }\n\
                  rungs: [{ at: 70, do: [revoke_sessions] }]\n";
    fs::write(folder.path().join("a.yaml"), policy).unwrap();
    for format in ["text", "json", "sarif", "github"] {
        assert_eq!(code(&["a.yaml", "--format", format]), Some(0));
        assert_eq!(code(&["--format", format, "--deny-warnings", "."]), Some(1));
    }
    fs::write(folder.path().join("a.yaml"), "policy: a\n").unwrap();
    assert_eq!(code(&["a.yaml"]), Some(1));
}
