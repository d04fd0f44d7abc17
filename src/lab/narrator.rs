//! What the demo says while it plays; silent when a script listens.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::demo::{Summary, policies_of};
use super::scenario::Act;
use super::{Lab, Transport};
use crate::model::{
    Admission, CaseStatus, CaseView, Effect, Reservation, ReservationGround, Signal, SignalView,
};
use crate::policy;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// The widest line, and where a field's text begins.
const COLUMNS: usize = 100;
const INDENT: usize = 15;

/// Writes to standard output, in colours on a terminal.
pub(super) struct Narrator {
    speaks: bool,
}

impl Narrator {
    pub(super) fn new(speaks: bool) -> Self {
        Self { speaks }
    }

    fn say(&self, line: &str) {
        if self.speaks {
            // A reader that went away wants to hear no more.
            let _ = writeln!(anstream::stdout(), "{line}");
        }
    }

    fn field(&self, name: &str, text: &str) {
        let mut name = name;
        for line in wrapped(text, COLUMNS - INDENT) {
            self.say(&format!("    {DIM}{name:<10}{DIM:#} {line}"));
            name = "";
        }
    }

    pub(super) fn opening(&self, lab: &Lab, people: usize) {
        self.say(&format!("{BOLD}evictd demo: a morning at Contoso{BOLD:#}"));
        self.say("");
        self.field(
            "lab",
            &format!("{people} people; everything below is on this machine, nothing leaves it"),
        );
        self.field("Event Hubs", &lab.hub_endpoint(Transport::Tls));
        self.field("Graph", &lab.graph.base_url());
        self.field("Entra", &lab.entra.authority());
    }

    pub(super) fn daemon_is_up(&self, log: &Path, policies: Option<&Path>) {
        let policies = policies.map_or("those that ship".to_owned(), |p| p.display().to_string());
        self.field("policies", &policies);
        self.field(
            "daemon",
            &format!("up and reading; it logs to {}", log.display()),
        );
        self.say("");
    }

    pub(super) fn morning(&self, records: usize, elapsed: Duration) {
        self.say(&format!("{BOLD}An ordinary morning{BOLD:#}"));
        self.field(
            "result",
            &format!(
                "{records} sign-ins of a fortnight and of the last hour judged in {:.1} s, redeliveries among them; one broken record is in quarantine",
                elapsed.as_secs_f64()
            ),
        );
        self.say("");
    }

    pub(super) fn act(&self, act: &Act) {
        self.say(&format!("{BOLD}{}{BOLD:#}", act.title));
        self.field(
            "event",
            &format!("{} {}", act.person.principal_name, act.story),
        );
    }

    /// No case: what was raised all the same, and what policies had against it.
    pub(super) fn nothing(&self, raised: &[Signal]) {
        for signal in raised {
            let text = format!("{} · {}", signal.name, signal.evidence);
            self.field("signal", &text);
            for Reservation { policy, ground } in &signal.reservations {
                let why = match ground {
                    ReservationGround::When => "its `when` does not hold".to_owned(),
                    ReservationGround::Exception { name } => format!("its exception `{name}`"),
                    ReservationGround::Undecided => continue,
                };
                self.field("left out", &format!("{} by {policy}: {why}", signal.name));
            }
        }
        let text = format!("{GREEN}nothing{GREEN:#}: no policy called for anything");
        self.field("decision", &text);
        self.say("");
    }

    pub(super) fn case(&self, lab: &Lab, case: &CaseView) {
        for SignalView { signal, text } in &case.signals {
            self.field("signal", &format!("{} · {text}", signal.name));
        }
        if let Some(last) = case.decisions.last() {
            for verdict in last.decision.verdicts.iter().filter(|v| v.rung.is_some()) {
                self.field("score", &policy::explain(verdict));
            }
        }
        for decision in decisions(case) {
            self.field("decision", &decision);
        }
        let user = case.user.id.as_str();
        for call in lab.graph.calls() {
            if call.users.iter().any(|id| id.to_string() == user) {
                let status = call
                    .status
                    .map_or("no answer".to_owned(), |s| s.to_string());
                self.field(
                    "Graph",
                    &format!("{} {} → {status}", call.method, call.path),
                );
            }
        }
        for action in &case.actions {
            if let Some(seconds) = action.event_to_acknowledged_seconds {
                self.field(
                    "time",
                    &format!(
                        "{seconds:.3} s from the event to the acknowledged {}",
                        action.kind
                    ),
                );
            }
        }
        self.say("");
    }

    pub(super) fn closing(&self, summary: &Summary) {
        for failure in &summary.failures {
            self.say(&format!("{RED}not as scripted:{RED:#} {failure}"));
        }
        let shadowed = match summary.shadowed.len() {
            0 => String::new(),
            n => format!(", {n} only recorded"),
        };
        self.say(&format!(
            "{BOLD}{} contained, {} waiting for a human, {} protected{shadowed}, {} left alone.{BOLD:#}",
            summary.contained.len(),
            summary.queued.len(),
            summary.protected.len(),
            summary.quiet.len(),
        ));
    }

    pub(super) fn invitation(&self, lab: &Lab, http: &str) {
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "evictd".to_owned());
        let socket = lab.socket();
        self.say("");
        self.say("The daemon stays up. In another terminal:");
        self.say(&format!("    export EVICTD_SOCKET={}", socket.display()));
        for command in [
            "cases list",
            "cases show ID",
            "cases approve ID",
            "status",
            "quarantine list",
        ] {
            self.say(&format!("    {program} {command}"));
        }
        self.say(&format!("    curl http://{http}/metrics"));
        self.say("Ctrl-C ends the demo.");
    }
}

/// What the case came to, and by which policy: a line for each of both.
fn decisions(case: &CaseView) -> Vec<String> {
    match case.status {
        CaseStatus::Protected => {
            let text = "the account is protected, nothing was done";
            return vec![format!("{CYAN}refused{CYAN:#}: {text}")];
        }
        CaseStatus::Shadow => {
            let by = policies_of(case).join(", ");
            let text = "recorded, and nothing was done";
            return vec![format!("{CYAN}shadow{CYAN:#} by {by}: {text}")];
        }
        _ => {}
    }
    let mut lines = Vec::new();
    if !matches!(
        case.status,
        CaseStatus::Contained | CaseStatus::AwaitingApproval
    ) {
        lines.push(format!("{RED}{}{RED:#}", case.status.as_str()));
    }
    for ((Reverse(effect), policy), kinds) in ordered(case) {
        let kinds = kinds.join(", ");
        lines.push(match effect {
            Effect::Act => format!("{GREEN}act{GREEN:#} by {policy}: {kinds}"),
            _ => format!(
                "{YELLOW}ask{YELLOW:#} by {policy}: {kinds}? evictd cases approve {}",
                case.id.short()
            ),
        });
    }
    lines
}

/// The latest order of each kind of action, after the guard, by what became of
/// it and by policy; acts first.
fn ordered(case: &CaseView) -> BTreeMap<(Reverse<Effect>, &str), Vec<&'static str>> {
    let mut latest = BTreeMap::new();
    for decision in case.decisions.iter().map(|view| &view.decision) {
        for order in &decision.orders {
            let effect = match decision.admission {
                Admission::Demoted(_) => Effect::Ask,
                _ => order.effect,
            };
            latest.insert(order.kind, (Reverse(effect), order.policy.as_str()));
        }
    }
    let mut ordered: BTreeMap<_, Vec<&'static str>> = BTreeMap::new();
    for (kind, by) in latest {
        ordered.entry(by).or_default().push(kind.as_str());
    }
    ordered
}

/// Breaks a text between words. A word longer than a line stays whole; what
/// colours it takes no room.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let width = |word: &str| {
        anstream::adapter::strip_str(word)
            .to_string()
            .chars()
            .count()
    };
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in text.split(' ') {
        let wide = width(word);
        match lines.last_mut() {
            Some(line) if used + 1 + wide <= columns => {
                line.push(' ');
                line.push_str(word);
                used += 1 + wide;
            }
            _ => {
                lines.push(word.to_owned());
                used = wide;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_no_longer_than_its_columns_unless_a_word_is() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrapped("one incomprehensible", 7),
            ["one", "incomprehensible"]
        );
        let coloured = format!("{RED}one{RED:#} two");
        assert_eq!(wrapped(&coloured, 7), [coloured.as_str()]);
    }
}
