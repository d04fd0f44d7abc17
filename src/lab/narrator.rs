//! What the demo says while it plays; silent when a script listens.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::scenario::Act;
use super::{Lab, Transport};
use crate::model::{CaseStatus, CaseView, SignalView};
use crate::policy;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

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
        self.say(&format!("    {DIM}{name:<10}{DIM:#} {text}"));
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

    pub(super) fn daemon_is_up(&self, log: &Path) {
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

    pub(super) fn case(&self, lab: &Lab, case: Option<&CaseView>) {
        let Some(case) = case else {
            self.field("result", &format!("{RED}no case{RED:#}"));
            self.say("");
            return;
        };
        for SignalView { signal, text } in &case.signals {
            self.field("signal", &format!("{} · {text}", signal.name));
        }
        if let Some(last) = case.decisions.last() {
            for verdict in last.decision.verdicts.iter().filter(|v| v.rung.is_some()) {
                self.field("score", &policy::explain(verdict));
            }
        }
        self.field("decision", &decision(case));
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

    pub(super) fn closing(
        &self,
        failures: &[String],
        contained: usize,
        queued: usize,
        protected: usize,
    ) {
        for failure in failures {
            self.say(&format!("{RED}not as scripted:{RED:#} {failure}"));
        }
        self.say(&format!(
            "{BOLD}{contained} contained, {queued} waiting for a human, {protected} protected.{BOLD:#}"
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

fn decision(case: &CaseView) -> String {
    let kinds: Vec<&str> = case
        .actions
        .iter()
        .map(|action| action.kind.as_str())
        .collect();
    let kinds = kinds.join(", ");
    match case.status {
        CaseStatus::Contained => format!("{GREEN}act{GREEN:#}: {kinds}"),
        CaseStatus::AwaitingApproval => {
            format!(
                "{YELLOW}ask{YELLOW:#}: {kinds}? evictd cases approve {}",
                case.id.short()
            )
        }
        CaseStatus::Protected => {
            format!("{CYAN}refused{CYAN:#}: the account is protected, nothing was done")
        }
        status => format!("{RED}{}{RED:#}: {kinds}", status.as_str()),
    }
}
