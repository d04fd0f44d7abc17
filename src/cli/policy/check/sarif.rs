//! SARIF 2.1.0, as code scanning reads it.
//!
//! Invariant: every result names a rule that stands in `rules`, and files are
//! relative to the root of the checkout, which is the working directory: with
//! other paths a viewer finds no line to put the note on.

use std::path::Path;

use serde_json::{Value, json};

use super::{Findings, end_column, relative};
use crate::config::VERSION;
use crate::policy::{Level, Problem, RULES, RuleSpec};

/// Where the format is defined.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn report(findings: &Findings, working: &Path) -> Value {
    let results: Vec<Value> = findings
        .all()
        .map(|(level, problem)| result(level, problem, working))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "evictd policy check",
                "version": VERSION,
                "rules": RULES.iter().map(rule).collect::<Vec<_>>(),
            } },
            // Columns count characters, as the compiler does.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(spec: &RuleSpec) -> Value {
    json!({
        "id": spec.id,
        "shortDescription": { "text": spec.summary },
        "fullDescription": { "text": format!("{} {}", spec.summary, spec.help) },
        "help": { "text": spec.help },
        "defaultConfiguration": { "level": spec.level.as_str() },
    })
}

fn result(level: Level, problem: &Problem, working: &Path) -> Value {
    let text = match &problem.hint {
        Some(hint) => format!("{}: {hint}", problem.message),
        None => problem.message.clone(),
    };
    let mut location = json!({
        "artifactLocation": { "uri": uri(&relative(&problem.path, working)) },
    });
    if let Some(place) = problem.place {
        location["region"] = json!({
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": end_column(place),
        });
    }
    let mut result = json!({
        "ruleId": problem.rule,
        "level": level.as_str(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location }],
    });
    if let Some(index) = RULES.iter().position(|spec| spec.id == problem.rule) {
        result["ruleIndex"] = json!(index);
    }
    result
}

/// A path as a URI reference: what is not unreserved is escaped, an absolute
/// path is a `file` URI (RFC 3986, 2.3; RFC 8089).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        for (path, expected) in [
            ("policies/a.yaml", "policies/a.yaml"),
            ("my policies/ä.yaml", "my%20policies/%C3%A4.yaml"),
            ("a:b%.yaml", "a%3Ab%25.yaml"),
            ("/etc/evictd/a.yaml", "file:///etc/evictd/a.yaml"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
