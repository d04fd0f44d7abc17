//! Compile: from the texts of policy files to a [`PolicySet`].
//!
//! Invariant: pure, all or nothing, and all problems at once. What compiles
//! can do what it says: every signal exists, every rung can be reached, every
//! key means something. What is legal but may not be meant is a warning.

mod workloads;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use uuid::Uuid;

use super::fields::{self, Fields, choice, duration, entries, list, number, or_default, text};
use super::problem::{Place, PolicyErrors, Problem, Sink, nearest, quoted, suggestion};
use super::score::noisy_or;
use super::yaml::{self, Node, Value};
use super::{
    Ask, Guard, KnownSignal, Policy, PolicySet, Promotion, Rung, Scope, Source, UserList, Weight,
    tuning,
};
use crate::model::{ActionKind, Family, Intent, Mode, Parameters, PolicyName, SignalName, limits};

/// Signals in one policy.
const SIGNALS_MAX: usize = 200;
/// Rungs in one policy.
const RUNGS_MAX: usize = 10;
/// The length of a policy's name: it is a metric label.
const NAME_MAX: usize = 63;
/// A window, in seconds. Memory reaches no further back.
const WINDOW_SECONDS: std::ops::RangeInclusive<i64> = 60..=limits::RETENTION_HOURS * 3_600;
/// How long a question may stand, in seconds: up to a week.
const EXPIRES_SECONDS: std::ops::RangeInclusive<i64> = 60..=7 * 24 * 3_600;
/// How old an event may be to justify acting unattended, in seconds.
const STALE_SECONDS: std::ops::RangeInclusive<i64> = 60..=limits::RETENTION_HOURS * 3_600;
/// Unattended actions per hour: far above any day that went as it should.
const ACTS_PER_HOUR: std::ops::RangeInclusive<i64> = 0..=10_000;
/// The number of families there are.
const FAMILIES_MAX: i64 = 9;
/// Signals on which alone acting unattended is sound, because a human has
/// judged already (signals.md, "Independent evidence").
const DECISIVE: &[&str] = &[
    "risk.adminConfirmedUserCompromised",
    "risk.attemptedPrtAccess",
    "prt_by_device_code",
    "containment_evaded",
    "kit_user_agent",
];

impl PolicySet {
    /// Compiles a set. `known` are the signals that detectors raise; beside
    /// them every `risk.<letters>` is accepted, since Microsoft's risk types
    /// are an open set.
    ///
    /// # Errors
    /// Every problem of every file, by file and place.
    pub fn compile(mut sources: Vec<Source>, known: &[KnownSignal]) -> Result<Self, PolicyErrors> {
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        let mut set = SetDraft::default();
        for source in &sources {
            compile_file(source, known, &mut set);
        }
        if set.problems.is_empty() && set.policies.is_empty() {
            let message = "no policy: nothing would ever be decided";
            set.problems.push(Problem::of_file("policy set", message));
        }
        if !set.problems.is_empty() {
            return Err(PolicyErrors {
                problems: set.problems,
            });
        }
        Ok(Self {
            policies: set.policies,
            guard: set.guard.unwrap_or_default(),
            parameters: set.parameters.unwrap_or_default(),
            hash: hash_of(&sources),
            warnings: set.warnings,
        })
    }
}

/// What the files read so far come to.
#[derive(Default)]
struct SetDraft {
    policies: Vec<Policy>,
    guard: Option<Guard>,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    /// Where each name was first given.
    named_at: BTreeMap<String, String>,
    /// Where the guard was first given.
    guard_at: Option<String>,
    parameters: Option<Parameters>,
    /// Where the parameters were first given.
    parameters_at: Option<String>,
}

fn compile_file(source: &Source, known: &[KnownSignal], set: &mut SetDraft) {
    let mut file = File {
        known,
        errors: Sink::new(&source.path, &source.text),
        warnings: Sink::new(&source.path, &source.text),
    };
    if let Some(root) = yaml::read(&source.text, &mut file.errors) {
        if matches!(root.value, Value::Null) {
            file.report_empty();
        } else if has_key(&root, "guard") && !has_key(&root, "policy") {
            file.guard_file(&root, set);
        } else if has_key(&root, "parameters") && !has_key(&root, "policy") {
            file.parameters_file(&root, set);
        } else {
            file.policy_file(&root, set);
        }
    }
    set.problems.extend(file.errors.finish());
    set.warnings.extend(file.warnings.finish());
}

fn has_key(root: &Node, name: &str) -> bool {
    let Value::Map(pairs) = &root.value else {
        return false;
    };
    pairs
        .iter()
        .any(|(key, _)| matches!(&key.value, Value::Text(text) if text == name))
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

/// One file being compiled.
struct File<'a> {
    known: &'a [KnownSignal],
    errors: Sink<'a>,
    warnings: Sink<'a>,
}

/// A rung and where it says so.
struct PlacedRung {
    rung: Rung,
    at: Place,
    families: Place,
    /// The actions and where each stands.
    actions: Vec<(ActionKind, Place)>,
}

impl File<'_> {
    fn report_empty(&mut self) {
        let start = Place {
            line: 1,
            column: 1,
            width: 1,
        };
        let hint = "expected a policy, `policy: name`, the guard, `guard:`, or `parameters:`";
        self.errors
            .report_with_hint(start, "the file holds nothing", hint);
    }

    fn policy_file(&mut self, root: &Node, set: &mut SetDraft) {
        const KEYS: &[&str] = &[
            "policy",
            "description",
            "owner",
            "mode",
            "window",
            "scope",
            "signals",
            "rungs",
            "promote",
        ];
        let Some(fields) = Fields::of(root, "the policy", KEYS, &mut self.errors) else {
            return;
        };
        let before = self.errors.count();
        let name = fields
            .require("policy", &mut self.errors)
            .and_then(|node| self.policy_name(node, &mut set.named_at));
        let description = self.free_text(&fields, "description");
        let owner = self.free_text(&fields, "owner");
        let mode = or_default(fields.get("mode"), Mode::Shadow, |node| self.mode(node));
        let window = fields
            .require("window", &mut self.errors)
            .and_then(|node| duration(node, "`window`", WINDOW_SECONDS, &mut self.errors));
        let scope = or_default(fields.get("scope"), Scope::default(), |node| {
            self.scope(node)
        });
        let weights = fields
            .require("signals", &mut self.errors)
            .and_then(|node| self.signals(node));
        let rungs = fields
            .require("rungs", &mut self.errors)
            .and_then(|node| self.rungs(node));
        let promote = or_default(fields.get("promote"), None, |node| {
            self.promotion(node).map(Some)
        });
        if let (Some(weights), Some(rungs)) = (&weights, &rungs) {
            self.check_reach(weights, rungs);
            self.check_approval(mode, rungs);
            if scope.as_ref().is_some_and(|scope| scope.workloads) {
                self.check_workloads(mode, rungs);
            }
            self.warn_of_surprises(mode, weights, rungs);
        }
        let draft = (name, mode, window, scope, weights, rungs);
        let (Some(name), Some(mode), Some(window), Some(scope), Some(weights), Some(rungs)) = draft
        else {
            return;
        };
        if self.errors.count() == before {
            set.policies.push(Policy {
                name,
                description,
                owner,
                mode,
                window,
                scope,
                weights,
                rungs: rungs.into_iter().map(|placed| placed.rung).collect(),
                promote: promote.flatten(),
            });
        }
    }

    fn policy_name(
        &mut self,
        node: &Node,
        named_at: &mut BTreeMap<String, String>,
    ) -> Option<PolicyName> {
        let name = text(node, "`policy`", &mut self.errors)?;
        let fits = name.len() <= NAME_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let message = format!("{} is not a name for a policy", quoted(name));
            let hint = format!(
                "expected a lower-case letter, then lower-case letters, digits and `-`, \
                 at most {NAME_MAX} in all"
            );
            self.errors.report_with_hint(node.place, message, hint);
            return None;
        }
        if let Some(first) = named_at.get(name) {
            let message = format!("the policy {} is already in {first}", quoted(name));
            self.errors.report(node.place, message);
            return None;
        }
        named_at.insert(name.to_owned(), self.errors.refer(node.place));
        Some(PolicyName::new(name))
    }

    fn free_text(&mut self, fields: &Fields<'_>, key: &str) -> Box<str> {
        let node = fields.get(key);
        node.and_then(|node| text(node, &format!("`{key}`"), &mut self.errors))
            .unwrap_or_default()
            .into()
    }

    fn mode(&mut self, node: &Node) -> Option<Mode> {
        let modes = [Mode::Shadow, Mode::Approve, Mode::Enforce].map(|mode| (mode.as_str(), mode));
        choice(node, "`mode`", &modes, &mut self.errors)
    }

    fn scope(&mut self, node: &Node) -> Option<Scope> {
        const KEYS: &[&str] = &["workloads", "users", "exclude"];
        let fields = Fields::of(node, "`scope`", KEYS, &mut self.errors)?;
        let workloads = or_default(fields.get("workloads"), false, |node| self.workloads(node));
        let only = or_default(fields.get("users"), None, |node| {
            let users = fields::users(node, &mut self.errors)?;
            if users.is_empty() {
                self.errors.report_with_hint(
                    node.place,
                    "`users` is empty: the policy would be about nobody",
                    "leave it out for everybody",
                );
                return None;
            }
            Some(Some(users))
        });
        let exclude = or_default(fields.get("exclude"), UserList::default(), |node| {
            fields::users_of(node, "`exclude`", &mut self.errors)
        });
        let scope = Scope {
            workloads: workloads?,
            only: only?,
            exclude: exclude?,
        };
        self.check_names(node, &scope);
        Some(scope)
    }

    fn signals(&mut self, node: &Node) -> Option<BTreeMap<SignalName, Weight>> {
        let before = self.errors.count();
        let entries = entries(node, "`signals`", &mut self.errors)?;
        if entries.is_empty() || entries.len() > SIGNALS_MAX {
            let message = format!("`signals` has {} entries", entries.len());
            let hint = format!("expected 1 to {SIGNALS_MAX}, `name: weight`");
            self.errors.report_with_hint(node.place, message, hint);
            return None;
        }
        let mut weights = BTreeMap::new();
        for entry in entries {
            let family = self.family_of(entry.name, entry.key.place);
            let what = format!("the weight of {}", quoted(entry.name));
            let weight = number(entry.value, &what, 1..=100, &mut self.errors);
            if let (Some(family), Some(weight)) = (family, weight) {
                weights.insert(SignalName::new(entry.name), Weight { family, weight });
            }
        }
        (self.errors.count() == before).then_some(weights)
    }

    fn family_of(&mut self, name: &str, place: Place) -> Option<Family> {
        if let Some(known) = self.known.iter().find(|known| known.name == name) {
            return Some(known.family);
        }
        let names = || self.known.iter().map(|known| known.name);
        if is_risk_name(name) {
            let hint = match nearest(name, names().filter(|n| n.starts_with("risk."))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "it counts if Microsoft ever sends a risk of this type".to_owned(),
            };
            let message = format!("{} is not a risk type that evictd knows", quoted(name));
            self.warnings.report_with_hint(place, message, hint);
            return Some(Family::MicrosoftRisk);
        }
        let message = format!("{} is not a signal", quoted(name));
        let mut choices: Vec<&str> = names().filter(|n| !n.starts_with("risk.")).collect();
        choices.push("risk.<type>");
        self.errors
            .report_with_hint(place, message, suggestion(name, &choices));
        None
    }

    fn promotion(&mut self, node: &Node) -> Option<Promotion> {
        const KEYS: &[&str] = &["precision", "cases"];
        let fields = Fields::of(node, "`promote`", KEYS, &mut self.errors)?;
        let precision = fields
            .require("precision", &mut self.errors)
            .and_then(|node| fields::percent(node, "`precision`", &mut self.errors));
        let cases = fields
            .require("cases", &mut self.errors)
            .and_then(|node| number(node, "`cases`", 1..=10_000, &mut self.errors));
        Some(Promotion {
            precision: precision?,
            cases: cases?,
        })
    }

    /// The rungs, highest first.
    fn rungs(&mut self, node: &Node) -> Option<Vec<PlacedRung>> {
        let before = self.errors.count();
        let items = list(node, "`rungs`", RUNGS_MAX, &mut self.errors)?;
        let mut rungs: Vec<PlacedRung> = Vec::with_capacity(items.len());
        for item in items {
            let Some(placed) = self.rung(item) else {
                continue;
            };
            let twin = rungs.iter().find(|other| other.rung.at == placed.rung.at);
            if let Some(twin) = twin {
                let message = format!(
                    "a rung at {} is already in line {}",
                    placed.rung.at, twin.at.line
                );
                self.errors.report(placed.at, message);
            }
            rungs.push(placed);
        }
        rungs.sort_by_key(|placed| std::cmp::Reverse(placed.rung.at));
        (self.errors.count() == before).then_some(rungs)
    }

    fn rung(&mut self, node: &Node) -> Option<PlacedRung> {
        const KEYS: &[&str] = &["at", "families", "do", "ask"];
        let fields = Fields::of(node, "the rung", KEYS, &mut self.errors)?;
        let at_node = fields.require("at", &mut self.errors);
        let at = at_node.and_then(|node| number(node, "`at`", 1..=100, &mut self.errors));
        let families = or_default(fields.get("families"), 1, |node| {
            number(node, "`families`", 1..=FAMILIES_MAX, &mut self.errors)
        });
        let actions = fields
            .require("do", &mut self.errors)
            .and_then(|node| self.actions(node));
        let intent = or_default(fields.get("ask"), Intent::Do, |node| self.ask(node));
        let at_place = at_node.unwrap_or(node).place;
        let actions = actions?;
        Some(PlacedRung {
            rung: Rung {
                at: at?,
                families: families?,
                intent: intent?,
                actions: actions.iter().map(|(kind, _)| *kind).collect(),
            },
            at: at_place,
            families: fields.get("families").map_or(at_place, |node| node.place),
            actions,
        })
    }

    /// The actions and where each stands.
    fn actions(&mut self, node: &Node) -> Option<Vec<(ActionKind, Place)>> {
        let before = self.errors.count();
        let choices = ActionKind::ALL.map(|kind| (kind.as_str(), kind));
        let mut actions: Vec<(ActionKind, Place)> = Vec::new();
        for item in list(node, "`do`", ActionKind::ALL.len(), &mut self.errors)? {
            let Some(kind) = choice(item, "the action", &choices, &mut self.errors) else {
                continue;
            };
            if actions.iter().any(|(other, _)| *other == kind) {
                let message = format!("`{kind}` stands twice in `do`");
                self.errors.report(item.place, message);
            }
            actions.push((kind, item.place));
        }
        (self.errors.count() == before).then_some(actions)
    }

    fn ask(&mut self, node: &Node) -> Option<Intent> {
        const KEYS: &[&str] = &["approvers", "expires", "on_silence"];
        let terms = Ask::default();
        let fields = Fields::of(node, "`ask`", KEYS, &mut self.errors)?;
        let approvers = or_default(fields.get("approvers"), terms.approvers, |node| {
            number(node, "`approvers`", 1..=5, &mut self.errors)
        });
        let expires_seconds = or_default(fields.get("expires"), terms.expires_seconds, |node| {
            let expires = duration(node, "`expires`", EXPIRES_SECONDS, &mut self.errors)?;
            u32::try_from(expires.as_secs()).ok()
        });
        // Only one answer to silence is safe; the key lets authors say so.
        or_default(fields.get("on_silence"), (), |node| {
            choice(node, "`on_silence`", &[("deny", ())], &mut self.errors)
        })?;
        Some(Intent::Ask {
            approvers: approvers?,
            expires_seconds: expires_seconds?,
        })
    }

    /// A rung that nothing can reach does nothing, and its author believes
    /// that it does.
    fn check_reach(&mut self, weights: &BTreeMap<SignalName, Weight>, rungs: &[PlacedRung]) {
        let mut strongest: BTreeMap<Family, u8> = BTreeMap::new();
        for weight in weights.values() {
            let known = strongest.entry(weight.family).or_default();
            *known = (*known).max(weight.weight);
        }
        let most = noisy_or(strongest.values().copied());
        for placed in rungs {
            if usize::from(placed.rung.families) > strongest.len() {
                let message = format!("the rung asks for {} families", placed.rung.families);
                let names: Vec<&str> = strongest.keys().map(|f| f.as_str()).collect();
                let hint = format!("`signals` has {}: {}", names.len(), names.join(", "));
                self.errors.report_with_hint(placed.families, message, hint);
            } else if placed.rung.at > most {
                let message = format!("no signals can reach {}", placed.rung.at);
                let terms: Vec<String> = strongest
                    .iter()
                    .map(|(family, weight)| format!("{family} {weight}"))
                    .collect();
                let hint = format!("the most is {} = {most}", terms.join(" ⊕ "));
                self.errors.report_with_hint(placed.at, message, hint);
            }
        }
    }

    /// What locks out the user too is never done unattended.
    fn check_approval(&mut self, mode: Option<Mode>, rungs: &[PlacedRung]) {
        if mode != Some(Mode::Enforce) {
            return;
        }
        for placed in rungs.iter().filter(|p| p.rung.intent == Intent::Do) {
            let mut actions = placed.actions.iter();
            let Some((kind, place)) = actions.find(|(kind, _)| kind.needs_approval()) else {
                continue;
            };
            let message = format!("`{kind}` is never done without a human's yes");
            let hint = "let the rung `ask`, or ask for it in a policy of its own";
            self.errors.report_with_hint(*place, message, hint);
        }
    }

    fn warn_of_surprises(
        &mut self,
        mode: Option<Mode>,
        weights: &BTreeMap<SignalName, Weight>,
        rungs: &[PlacedRung],
    ) {
        if mode != Some(Mode::Enforce) {
            return;
        }
        for (i, placed) in rungs.iter().enumerate() {
            let rung = &placed.rung;
            let below = &rungs[i + 1..];
            match rung.intent {
                Intent::Do => self.warn_if_one_family_acts(placed, weights),
                Intent::Ask { .. } => {
                    if let Some(acting) = below.iter().find(|b| b.rung.intent == Intent::Do) {
                        let message = format!(
                            "the rung at {} asks, though the lower one at {} acts",
                            rung.at, acting.rung.at
                        );
                        let hint = "stronger evidence would only be asked about";
                        self.warnings.report_with_hint(placed.at, message, hint);
                    }
                }
            }
        }
    }

    fn warn_if_one_family_acts(
        &mut self,
        placed: &PlacedRung,
        weights: &BTreeMap<SignalName, Weight>,
    ) {
        if placed.rung.families > 1 {
            return;
        }
        let alone: Vec<String> = weights
            .iter()
            .filter(|(name, _)| !DECISIVE.contains(&name.as_str()))
            .filter(|(_, weight)| weight.weight >= placed.rung.at)
            .map(|(name, weight)| format!("{name} ({})", weight.weight))
            .collect();
        if !alone.is_empty() {
            let message = format!(
                "one signal alone acts unattended here: {}",
                alone.join(", ")
            );
            let hint = "ask for `families: 2`, or let the rung `ask`";
            self.warnings.report_with_hint(placed.at, message, hint);
        }
    }

    fn guard_file(&mut self, root: &Node, set: &mut SetDraft) {
        let before = self.errors.count();
        let Some(file) = Fields::of(root, "the guard file", &["guard"], &mut self.errors) else {
            return;
        };
        let Some(node) = file.get("guard") else {
            return;
        };
        if let Some(first) = &set.guard_at {
            let message = format!("a guard is already in {first}");
            self.errors.report(root.place, message);
            return;
        }
        set.guard_at = Some(self.errors.refer(root.place));
        let guard = self.guard(node);
        if self.errors.count() == before {
            set.guard = guard;
        }
    }

    fn parameters_file(&mut self, root: &Node, set: &mut SetDraft) {
        let what = "the parameters' file";
        let Some(file) = Fields::of(root, what, &["parameters"], &mut self.errors) else {
            return;
        };
        let Some(node) = file.get("parameters") else {
            return;
        };
        if let Some(first) = &set.parameters_at {
            let message = format!("parameters are already in {first}");
            self.errors.report(root.place, message);
            return;
        }
        set.parameters_at = Some(self.errors.refer(root.place));
        set.parameters = tuning::parameters(node, &mut self.errors);
    }

    fn guard(&mut self, node: &Node) -> Option<Guard> {
        const KEYS: &[&str] = &["protected", "stale_after", "acts_per_hour"];
        let default = Guard::default();
        let fields = Fields::of(node, "`guard`", KEYS, &mut self.errors)?;
        let protected = or_default(fields.get("protected"), default.protected, |node| {
            fields::users_of(node, "`protected`", &mut self.errors)
        });
        let stale_after: Option<SignedDuration> =
            or_default(fields.get("stale_after"), default.stale_after, |node| {
                duration(node, "`stale_after`", STALE_SECONDS, &mut self.errors)
            });
        let acts_per_hour =
            or_default(fields.get("acts_per_hour"), default.acts_per_hour, |node| {
                number(node, "`acts_per_hour`", ACTS_PER_HOUR, &mut self.errors)
            });
        Some(Guard {
            protected: protected?,
            stale_after: stale_after?,
            acts_per_hour: acts_per_hour?,
        })
    }
}

/// `risk.` and letters, as Microsoft writes its risk types.
fn is_risk_name(name: &str) -> bool {
    const RISK_NAME_MAX: usize = 69;
    name.len() <= RISK_NAME_MAX
        && name
            .strip_prefix("risk.")
            .is_some_and(|kind| !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphabetic()))
}
