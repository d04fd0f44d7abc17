//! Compile: from the texts of policy files to a [`PolicySet`].
//!
//! ```text
//! texts ─► trees ─► settings (lists, signals, parameters, guard)
//!                ─► policies, each under its override ─► checks ─► PolicySet
//! ```
//!
//! Invariant: pure, all or nothing, and all problems at once. What compiles
//! can do what it says: every signal exists, every rung can be reached, every
//! condition can be true and false, every key means something. What is legal
//! but may not be meant is a warning.

mod conditions;
mod guard;
mod includes;
mod lints;
mod overrides;
pub(super) mod policy;
mod rungs;
mod shadowed;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use self::rungs::PlacedRung;
use super::fields::{Entry, Fields, entries};
use super::lists::{self, List};
use super::problem::{Place, PolicyErrors, Problem, Sink, quoted};
use super::score::Weighers;
use super::yaml::{self, Node, Value};
use super::{CustomSignal, Guard, KnownSignal, Policy, PolicySet, Source, tuning};
use crate::model::{Parameters, limits};

pub use self::includes::{Include, Included, includes};

/// A window, in seconds. Memory reaches no further back.
const WINDOW_SECONDS: std::ops::RangeInclusive<i64> = 60..=limits::RETENTION_HOURS * 3_600;
/// All files together, in bytes: 500 policies have two million.
const SET_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a file without a policy may hold, any of them.
pub(super) const SETTINGS: &[&str] = &["include", "guard", "lists", "signals", "parameters"];

impl PolicySet {
    /// Compiles a set. `known` are the signals that detectors raise; beside
    /// them and those that the set defines every `risk.<letters>` is accepted,
    /// since Microsoft's risk types are an open set.
    ///
    /// # Errors
    /// Every problem of every file, by file and place.
    pub fn compile(mut sources: Vec<Source>, known: &[KnownSignal]) -> Result<Self, PolicyErrors> {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        if bytes > SET_BYTES_MAX {
            let message = format!("{bytes} bytes in all; at most {SET_BYTES_MAX} fit");
            let problems = vec![Problem::of_file("policy set", message)];
            return Err(PolicyErrors::of(problems));
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        let mut compiler = Compiler::new(&sources, known);
        let trees = compiler.read(sources.len());
        compiler.settings(&trees.settings);
        let policies = compiler.policies(&trees);
        compiler.check_protected();
        let warnings = compiler.warnings.finish();
        let mut problems = compiler.errors.finish();
        if problems.is_empty() && policies.is_empty() {
            let message = "no policy: nothing would ever be decided";
            problems.push(Problem::of_file("policy set", message));
        }
        if !problems.is_empty() {
            return Err(PolicyErrors {
                problems,
                warnings,
                sound: policies,
            });
        }
        Ok(Self {
            weighers: Weighers::of(&policies),
            policies,
            guard: compiler.guard.unwrap_or_default(),
            parameters: compiler.parameters.unwrap_or_default(),
            signals: compiler.signals,
            hash: hash_of(&sources),
            warnings,
        })
    }
}

/// Twelve hex digits over the texts, in any order and wherever they lie. The
/// length before each text keeps ("a", "bc") apart from ("ab", "c").
fn hash_of(sources: &[Source]) -> Box<str> {
    const NAMESPACE: Uuid = Uuid::from_u128(0x6c0e_2d5b_51f7_4d0f_9a65_0b7e_c1d2_0010);
    let mut texts: Vec<&str> = sources.iter().map(|s| s.text.as_str()).collect();
    texts.sort_unstable();
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let digest = Uuid::new_v5(&NAMESPACE, &bytes).simple().to_string();
    digest.chars().take(12).collect::<String>().into()
}

/// The files that could be read, by what they are.
#[derive(Default)]
struct Trees {
    settings: Vec<Node>,
    policies: Vec<Node>,
    overrides: Vec<Node>,
}

/// A set being compiled.
struct Compiler<'a> {
    known: &'a [KnownSignal],
    errors: Sink<'a>,
    warnings: Sink<'a>,
    /// Shared with the conditions that name them.
    lists: BTreeMap<Box<str>, Arc<List>>,
    /// Regular expressions in the conditions so far.
    regexes: usize,
    signals: Vec<CustomSignal>,
    guard: Option<Guard>,
    parameters: Option<Parameters>,
    /// Where the first policy says that it acts.
    enforced: Option<Place>,
    /// Where each thing that there is one of was first given.
    given: BTreeMap<String, String>,
}

impl<'a> Compiler<'a> {
    fn new(sources: &'a [Source], known: &'a [KnownSignal]) -> Self {
        let files = || sources.iter().map(|s| (s.path.as_str(), s.text.as_str()));
        Self {
            known,
            errors: Sink::of(files()),
            warnings: Sink::of(files()),
            lists: BTreeMap::new(),
            regexes: 0,
            signals: Vec::new(),
            guard: None,
            parameters: None,
            enforced: None,
            given: BTreeMap::new(),
        }
    }

    fn read(&mut self, files: usize) -> Trees {
        let mut trees = Trees::default();
        for file in 0..u16::try_from(files).unwrap_or(u16::MAX) {
            let Some(root) = yaml::read(file, &mut self.errors) else {
                continue;
            };
            if matches!(root.value, Value::Null) {
                self.report_empty(file);
            } else if has_key(&root, "policy") {
                trees.policies.push(root);
            } else if has_key(&root, "override") {
                trees.overrides.push(root);
            } else if SETTINGS.iter().any(|key| has_key(&root, key)) && !has_key(&root, "rungs") {
                trees.settings.push(root);
            } else {
                // Most likely a policy whose first key is misspelt.
                trees.policies.push(root);
            }
        }
        trees
    }

    fn report_empty(&mut self, file: u16) {
        let start = Place {
            file,
            line: 1,
            column: 1,
            width: 1,
        };
        let hint = format!(
            "expected a policy, `policy: name`, or one of: {}",
            SETTINGS.join(", ")
        );
        self.errors
            .report_with_hint(start, "the file holds nothing", hint);
    }

    /// Everything that policies refer to, lists first.
    fn settings(&mut self, files: &[Node]) {
        let opened: Vec<Fields<'_>> = files
            .iter()
            .filter_map(|root| Fields::of(root, "the file", SETTINGS, &mut self.errors))
            .collect();
        let each = |key: &'static str| opened.iter().filter_map(move |fields| fields.entry(key));
        for entry in each("lists") {
            self.lists(entry.value);
        }
        for entry in each("signals") {
            self.custom_signals(entry.value);
        }
        for entry in each("guard") {
            if self.is_first("guard", "a guard is already in", &entry) {
                self.guard = self.guard(entry.value);
            }
        }
        for entry in each("parameters") {
            if self.is_first("parameters", "parameters are already in", &entry) {
                self.parameters = tuning::parameters(entry.value, &mut self.errors);
            }
        }
        for entry in each("include") {
            includes::check(entry.value, &mut self.errors);
        }
    }

    fn lists(&mut self, node: &Node) {
        for entry in entries(node, "`lists`", &mut self.errors).unwrap_or_default() {
            let key = format!("list {}", entry.name);
            let message = format!("the list {} is already in", quoted(entry.name));
            if self.is_first(&key, &message, &entry)
                && let Some(list) = lists::read(&entry, &mut self.errors)
            {
                self.lists.insert(entry.name.into(), Arc::new(list));
            }
        }
    }

    /// Whether nothing of that name was given before; else that is a problem.
    fn is_first(&mut self, key: &str, message: &str, entry: &Entry<'_>) -> bool {
        self.is_first_at(key, message, entry.key.place)
    }

    fn is_first_at(&mut self, key: &str, message: &str, place: Place) -> bool {
        if let Some(first) = self.given.get(key) {
            let message = format!("{message} {first}");
            self.errors.report(place, message);
            return false;
        }
        self.given.insert(key.to_owned(), self.errors.refer(place));
        true
    }

    /// The policies by file, each as its override changes it.
    fn policies(&mut self, trees: &Trees) -> Vec<Policy> {
        let merged = self.overridden(&trees.policies, &trees.overrides);
        merged.iter().filter_map(|root| self.policy(root)).collect()
    }
}

fn has_key(root: &Node, name: &str) -> bool {
    let Value::Map(pairs) = &root.value else {
        return false;
    };
    pairs
        .iter()
        .any(|(key, _)| matches!(&key.value, Value::Text(text) if text == name))
}
