//! The dependency rule: who may import whom. A stage that reaches around the
//! engine or past the store fails here, not in a review.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with what it may import; `*` is anything.
const RULES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ingest", &["model", "telemetry"]),
    ("detect", &["model"]),
    ("policy", &["model"]),
    ("engine", &["model", "detect", "policy"]),
    ("explain", &["model", "policy", "engine"]),
    ("ruleset", &["model", "detect", "policy"]),
    (
        "backtest",
        &[
            "model",
            "ingest",
            "detect",
            "policy",
            "engine",
            "respond::forecast",
            "respond::lifecycle",
        ],
    ),
    (
        "story",
        &["model", "ingest", "detect", "policy", "engine", "ruleset"],
    ),
    ("store", &["model", "ingest", "respond::lifecycle"]),
    ("respond", &["model", "store", "policy::guard", "telemetry"]),
    (
        "console",
        &["model", "store", "respond::lifecycle", "telemetry"],
    ),
    ("history", &["ingest", "telemetry"]),
    ("intel_files", &["detect::intel", "telemetry"]),
    ("telemetry", &["model"]),
    ("pipeline", &["*"]),
    ("config", &["*"]),
    ("daemon", &["*"]),
    ("cli", &["*"]),
    ("lab", &["*"]),
];

/// Modules that the lab's stand-ins must not touch: they would share the
/// product's mistakes.
const STAND_INS: &[&str] = &[
    "src/lab/hub",
    "src/lab/graph",
    "src/lab/entra",
    "src/lab/wire",
    "src/lab/records",
];

#[test]
fn modules_import_only_what_they_may() {
    let mut broken = Vec::new();
    for file in sources(Path::new("src")) {
        let Some(module) = module_of(&file) else {
            continue;
        };
        let rule = RULES.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = rule else {
            panic!(
                "{}: module {module} has no rule; give it one",
                file.display()
            );
        };
        for import in imports(&file) {
            let itself = import == module || import.starts_with(&format!("{module}::"));
            let allowed = allowed
                .iter()
                .any(|a| *a == "*" || import == *a || import.starts_with(&format!("{a}::")));
            if !itself && !allowed {
                broken.push(format!("{} imports crate::{import}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_stand_ins_use_no_code_of_the_product() {
    let mut broken = Vec::new();
    for file in sources(Path::new("src/lab")) {
        let path = file.display().to_string();
        if !STAND_INS.iter().any(|stand_in| path.starts_with(stand_in)) {
            continue;
        }
        broken.extend(
            imports(&file)
                .into_iter()
                .filter(|import| !import.starts_with("lab"))
                .map(|import| format!("{path} imports crate::{import}")),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_pure_reads_a_clock_or_does_io() {
    let forbidden = [
        "Timestamp::now",
        "SystemTime",
        "Instant::now",
        "std::fs",
        "std::net::Tcp",
        "tokio::",
        "std::env",
    ];
    let mut broken = Vec::new();
    for pure in ["src/model", "src/detect", "src/engine.rs"] {
        for file in sources(Path::new(pure)) {
            let text = code(&file);
            broken.extend(
                forbidden
                    .iter()
                    .filter(|word| text.contains(**word))
                    .map(|word| format!("{} uses {word}", file.display())),
            );
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The Rust files below a folder, or the one file itself.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .flat_map(|entry| sources(&entry.unwrap().path()))
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
        .collect();
    found.sort();
    found
}

/// `src/policy/score.rs` → `policy`; `main.rs` and `lib.rs` are no module.
fn module_of(file: &Path) -> Option<String> {
    let first = file.strip_prefix("src").ok()?.components().next()?;
    let name = first
        .as_os_str()
        .to_str()?
        .trim_end_matches(".rs")
        .to_owned();
    (name != "main" && name != "lib").then_some(name)
}

/// The file's code without its comments and its inline tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let body = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    body.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every `crate::…` path in the code, two segments deep.
fn imports(file: &Path) -> BTreeSet<String> {
    if file.ends_with("tests.rs") || file.ends_with("testing.rs") {
        return BTreeSet::new();
    }
    let text = code(file);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices("crate::")
        .map(|(at, _)| {
            let path = &text[at + "crate::".len()..];
            let first: String = path.chars().take_while(|c| word(*c)).collect();
            let rest = &path[first.len()..];
            let second: String = rest
                .strip_prefix("::")
                .map(|rest| rest.chars().take_while(|c| word(*c)).collect())
                .unwrap_or_default();
            if second.is_empty() {
                first
            } else {
                format!("{first}::{second}")
            }
        })
        .collect()
}
