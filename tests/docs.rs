//! The documents say what the code does: lists in docs/ are checked against it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "docs/reference.rs"]
mod reference;

use std::process::Command;

use evictd::detect::CATALOGUE;
use evictd::model::{CaseStatus, GuardReason, Parameter, Parameters};
use evictd::telemetry::METRIC_NAMES;
use evictd::{policy, ruleset};

fn document(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_table_of_signals_is_the_catalogue() {
    let text = document("docs/signals.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("| T1")).collect();
    assert_eq!(rows.len(), CATALOGUE.len(), "a row a signal");
    for spec in CATALOGUE {
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            spec.name, spec.family, spec.technique, spec.default_weight, spec.summary, spec.row
        );
        assert!(
            rows.contains(&row.as_str()),
            "docs/signals.md has no row\n{row}"
        );
    }
}

#[test]
fn the_table_of_parameters_is_the_code_s() {
    let text = document("docs/signals.md");
    for parameter in Parameter::ALL {
        let spec = parameter.spec();
        let value = |number| policy::written(spec.unit, number);
        let row = format!(
            "| `{}.{}` | {} | {}, {} | {} | {} |",
            spec.group,
            spec.name,
            value(spec.default),
            value(spec.min),
            value(spec.max),
            spec.summary,
            spec.source
        );
        assert!(text.contains(&row), "docs/signals.md has no row\n{row}");
    }
}

#[test]
fn the_shipped_parameters_are_the_defaults_and_all_of_them() {
    let set = ruleset::load(None).unwrap();
    assert_eq!(set.parameters, Parameters::default());
    let text = document("policies/signals.yaml");
    for parameter in Parameter::ALL {
        let spec = parameter.spec();
        let line = format!(
            "    {}: {}",
            spec.name,
            policy::written(spec.unit, spec.default)
        );
        assert!(
            text.contains(&line),
            "policies/signals.yaml has no line {line:?}"
        );
    }
}

#[test]
fn every_metric_is_in_the_operators_document() {
    let text = document("docs/operations.md");
    for name in METRIC_NAMES {
        assert!(
            text.contains(&format!("`{name}")),
            "docs/operations.md does not explain {name}"
        );
    }
}

#[test]
fn every_status_and_every_word_of_the_guard_is_in_the_on_call_document() {
    let text = document("docs/on-call.md");
    for status in CaseStatus::ALL {
        assert!(
            text.contains(&format!("`{}`", status.as_str())),
            "{status:?}"
        );
    }
    for reason in GuardReason::ALL {
        assert!(
            text.contains(&format!("`{}`", reason.as_str())),
            "{reason:?}"
        );
    }
}

#[test]
fn every_alert_is_explained_and_every_explained_alert_exists() {
    let rules = document("deploy/prometheus/evictd.rules.yml");
    let text = document("docs/on-call.md");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert!(
            text.contains(&format!("| {alert} |")),
            "docs/on-call.md does not explain {alert}"
        );
    }
    for row in text.lines().filter(|line| line.starts_with("| Evictd")) {
        let name = row.split('|').nth(1).unwrap().trim();
        assert!(alerts.contains(&name), "there is no alert {name}");
    }
    // What an alert reads is a metric that exists.
    for word in rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        if word.starts_with("evictd_") {
            let name = word.trim_end_matches("_bucket");
            assert!(METRIC_NAMES.contains(&name), "{name} is no metric");
        }
    }
}

#[test]
fn every_command_in_the_documents_is_one() {
    for path in [
        "README.md",
        "docs/on-call.md",
        "docs/operations.md",
        "docs/policies.md",
        "docs/policy-reference.md",
    ] {
        let text = document(path);
        // Code is what stands between backticks, three or one.
        let code = text.split('`').skip(1).step_by(2).flat_map(str::lines);
        let fenced = text.split("```").skip(1).step_by(2).flat_map(str::lines);
        for line in code.chain(fenced) {
            let Some(command) = line.trim().strip_prefix("evictd ") else {
                continue;
            };
            let words: Vec<&str> = command
                .split_whitespace()
                .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
                .filter(|word| !word.contains(['.', '/', '0']))
                .take(2)
                .collect();
            let help = Command::new(env!("CARGO_BIN_EXE_evictd"))
                .args(&words)
                .arg("--help")
                .output();
            assert!(
                help.unwrap().status.success(),
                "{path}: evictd {}",
                words.join(" ")
            );
        }
    }
}

#[test]
fn the_example_configuration_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/evictd.example.toml");
    let checked = Command::new(env!("CARGO_BIN_EXE_evictd"))
        .args(["run", "--check", "--config", path])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// The files of a document: fenced blocks that begin with `# policies/NAME`.
fn files_of(text: &str) -> Vec<(String, String)> {
    text.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| {
            let block = rest.split("```").next()?;
            let name = block.lines().next()?.strip_prefix("# policies/")?;
            Some((name.to_owned(), block.to_owned()))
        })
        .collect()
}

#[test]
fn the_first_policy_of_the_author_s_guide_checks_and_its_stories_come_true() {
    let files = files_of(&document("docs/policies.md"));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in &files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["contoso.yaml", "device-code.yaml", "device-code.test.yaml"]
    );
    for arguments in [
        &["policy", "check", "--deny-warnings"][..],
        &["policy", "test"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_evictd"))
            .args(arguments)
            .arg(folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {told}");
        assert!(
            told.contains("0 errors, 0 warnings") || told.contains("3 passed, 0 failed"),
            "{told}"
        );
    }
}
