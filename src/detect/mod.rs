//! From an event to signals.
//!
//! A detector is a pure function of the event, what is remembered, and the
//! intelligence. It compares the event with everything remembered, before and
//! after it in event time: so the same events raise the same signals in
//! whatever order they arrive, within the time that records may be late.
//!
//! Two engines look at sessions: `birth` (a session that begins where its
//! owner would not be) and `session` (one that continues where it did not
//! begin), since a phishing proxy gives the thief a new session and a stolen
//! cookie or device code gives them the victim's.
//!
//! Architecture invariant: no clock, no I/O, no failure. Missing values mean
//! "unknown" and raise nothing.

mod aitm;
mod apps;
mod auth;
mod birth;
mod catalogue;
mod client;
mod device;
mod ground;
mod network;
mod pair;
mod persistence;
mod protocol;
mod risk;
mod session;
mod spray;
mod travel;

pub mod intel;

pub use catalogue::{CATALOGUE, SignalSpec, metric_label};
pub use ground::Ground;

use std::borrow::Cow;

use self::client::Agent;
use self::intel::Intel;
use self::pair::{End, Pair};
use crate::model::{
    Attempt, Change, Event, Evidence, Family, Footprint, Habit, IncomingToken, Network,
    NetworkClass, Parameters, Prefix, RecordId, SessionMemory, Sighting, SignIn, Signal,
    SignalName, System, TokenProtection, Traits, UserMemory, hash_of,
};

/// An event with what the lists know of where it came from: what every
/// question about it starts from.
pub struct Look<'a> {
    event: &'a Event,
    /// Of a sign-in.
    seen: Option<Seen<'a>>,
    /// Of an audit that succeeded.
    change: Option<Change>,
}

impl<'a> Look<'a> {
    /// Looks the event's address up.
    pub fn at(event: &'a Event, intel: &Intel) -> Self {
        let (seen, change) = match event {
            Event::SignIn(sign_in) => (Some(Seen::new(sign_in, intel)), None),
            Event::DirectoryAudit(audit) if audit.succeeded => {
                (None, Some(persistence::change(audit)))
            }
            _ => (None, None),
        };
        Self {
            event,
            seen,
            change,
        }
    }

    /// The sign-in, if it is a successful one.
    fn success(&self) -> Option<&Seen<'a>> {
        self.seen.as_ref().filter(|seen| seen.sign_in.succeeded())
    }

    /// Everything the event raises, given what is known. Nothing is changed:
    /// the engine takes the signals in.
    pub fn signals(&self, ground: &Ground<'_>) -> Vec<Signal> {
        let mut signals = Vec::new();
        match self.event {
            Event::SignIn(_) => {
                if let Some(seen) = &self.seen {
                    sign_in_signals(seen, ground, &mut signals);
                }
            }
            Event::RiskDetection(detection) => risk::detect(detection, ground, &mut signals),
            // The aggregate follows from the detections, judged one by one.
            Event::RiskyUser(_) => {}
            Event::DirectoryAudit(_) => {
                if let Some(change) = &self.change {
                    persistence::of_change(change, ground, &mut signals);
                }
            }
            Event::GraphActivity(call) => session::of_call(call, ground, &mut signals),
        }
        signals
    }

    /// #40: the attacker got in again after the sessions were revoked.
    pub fn evaded(&self) -> Option<Signal> {
        let what = "signed in from the attacker's network after the sessions were revoked";
        Some(self.success()?.method(&catalogue::EVADED, what))
    }

    /// What kind of network the event came from.
    pub fn class(&self, intel: &Intel) -> NetworkClass {
        if let Some(seen) = &self.seen {
            return seen.class;
        }
        let network = self.event.network();
        network.map_or(NetworkClass::Ordinary, |network| {
            intel.class_of(network, self.event.at())
        })
    }

    /// Whether the event can be evidence at all: a risk that somebody settled
    /// and our own word that comes back are none.
    pub fn is_evidence(&self, memory: &UserMemory) -> bool {
        match self.event {
            Event::RiskDetection(detection) => risk::is_evidence(detection, memory),
            Event::RiskyUser(user) => !user.state.settled(),
            _ => true,
        }
    }

    /// A signal that somebody else has seen in the event: what an author asks.
    pub fn observed(&self, name: &SignalName, family: Family, what: &str) -> Signal {
        let evidence = match &self.seen {
            Some(seen) => seen.how(what),
            None => Evidence::Change {
                what: what.into(),
                subject: None,
                sighting: None,
            },
        };
        let record = match self.event {
            // The detection, not its update: it is taken back by that name.
            Event::RiskDetection(detection) => RecordId::new(detection.detection.clone()),
            event => event.record().clone(),
        };
        Signal {
            name: name.clone(),
            family,
            at: self.event.at(),
            record,
            evidence,
            reservations: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The traces of the event. A failed sign-in leaves no footprint, since it
    /// says where an attacker is, not where the user is.
    pub fn traces(&self) -> Traces {
        let mut traces = Traces {
            attempt: self.seen.as_ref().and_then(|seen| seen.attempt.clone()),
            change: self.change.clone(),
            ..Traces::default()
        };
        if let Some(seen) = self.success() {
            traces.footprint = Some(seen.footprint());
            traces.session = seen.session();
        }
        traces
    }

    /// What the user did as they do, or may come to.
    pub fn habits(&self) -> Vec<Habit> {
        self.success().map(Seen::habits).unwrap_or_default()
    }

    /// The network of a success from a rented one that is no Tor exit.
    pub fn rented_prefix(&self) -> Option<Prefix> {
        let rented =
            |seen: &&Seen<'_>| matches!(seen.class, NetworkClass::Hosting | NetworkClass::Vpn);
        self.success().filter(rented)?.prefix
    }

    /// The application that an audit consented to.
    pub fn consented(&self) -> Option<u64> {
        persistence::consented(self.change.as_ref()?)
    }

    /// The detections that turn out to be about a sign-in that failed, now
    /// that its record is here: they say no more than that somebody tried.
    pub fn refuted(&self, memory: &UserMemory) -> Vec<RecordId> {
        match self.event {
            Event::SignIn(sign_in) if !sign_in.succeeded() => {
                risk::speaks_of_failure(&sign_in.record, memory)
                    .map(|signal| signal.record.clone())
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The remembered agreements of detections that are agreements no more, since
/// one of the two was taken back.
pub fn no_longer_agreed(memory: &UserMemory, parameters: &Parameters) -> Vec<Signal> {
    risk::no_longer_agreed(memory, parameters)
}

fn sign_in_signals(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    network::detect(seen, ground, signals);
    auth::detect(seen, ground, signals);
    aitm::relayed(seen, ground, signals);
    if !seen.sign_in.succeeded() {
        return;
    }
    travel::detect(seen, ground, signals);
    if !seen.is_service() {
        session::detect(seen, ground, signals);
        device::detect(seen, ground, signals);
    }
    birth::detect(seen, ground, signals);
    aitm::detect(seen, ground, signals);
    protocol::detect(seen, ground, signals);
    spray::detect(seen, ground, signals);
    persistence::of_sign_in(seen, ground, signals);
}

/// What an event leaves behind in memory.
#[derive(Debug, Default)]
pub struct Traces {
    /// Of a success: where the user was.
    pub footprint: Option<Footprint>,
    /// Of a success: how its session began, or goes on.
    pub session: Option<SessionMemory>,
    /// Of a sign-in whose place in a sequence matters.
    pub attempt: Option<Attempt>,
    /// Of an audit.
    pub change: Option<Change>,
}

/// A sign-in with what the intelligence knows of its address.
struct Seen<'a> {
    sign_in: &'a SignIn,
    /// The record's network, completed by our own databases.
    network: Cow<'a, Network>,
    prefix: Option<Prefix>,
    class: NetworkClass,
    agent: Agent,
    device: Option<u64>,
    /// The session, by a hash of its id.
    session_hash: Option<u64>,
    traits: Traits,
    /// What is kept of it where its place in a sequence matters.
    attempt: Option<Attempt>,
}

impl<'a> Seen<'a> {
    fn new(sign_in: &'a SignIn, intel: &Intel) -> Self {
        let network = if intel.knows_places() {
            Cow::Owned(intel.enrich(&sign_in.network, sign_in.at).network)
        } else {
            Cow::Borrowed(&sign_in.network)
        };
        let agent = Agent::of(sign_in);
        let class = match intel.class_of(&network, sign_in.at) {
            NetworkClass::Tor => NetworkClass::Tor,
            // The tenant says so itself.
            _ if sign_in.trusted_location => NetworkClass::Corporate,
            class => class,
        };
        let mut seen = Self {
            sign_in,
            attempt: None,
            prefix: network.address.map(Prefix::of),
            class,
            network,
            agent,
            device: sign_in.device.id.as_deref().map(hash_of),
            session_hash: sign_in.session.as_ref().map(|id| hash_of(id.as_str())),
            traits: traits_of(sign_in, agent),
        };
        seen.attempt = auth::attempt(&seen);
        seen
    }

    /// Whether it is somebody's application that asks for its tokens from where
    /// it runs, and not the user or a thief with the user's: those use
    /// Microsoft's own clients.
    fn is_service(&self) -> bool {
        !self.sign_in.interactive
            && self.class == NetworkClass::Hosting
            && apps::is_third_party(&self.sign_in.app)
    }

    fn sighting(&self) -> Sighting {
        Sighting {
            at: self.sign_in.at,
            place: self.network.place.clone(),
            asn: self.network.asn,
            prefix: self.prefix,
            class: self.class,
        }
    }

    fn signal(&self, spec: &SignalSpec, evidence: Evidence) -> Signal {
        spec.raised(self.sign_in.at, &self.sign_in.record, evidence)
    }

    /// A signal about how the sign-in was made.
    fn method(&self, spec: &SignalSpec, what: &str) -> Signal {
        self.signal(spec, self.how(what))
    }

    /// How the sign-in was made, as evidence.
    fn how(&self, what: &str) -> Evidence {
        Evidence::Method {
            what: what.into(),
            app: self.sign_in.app.name.clone(),
            resource: self.sign_in.resource.name.clone(),
            sighting: self.sighting(),
        }
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            first: self.sign_in.at,
            last: self.sign_in.at,
            last_record: self.sign_in.record.clone(),
            prefix: self.prefix,
            asn: self.network.asn,
            class: self.class,
            place: self.network.place.clone(),
            session: self.sign_in.session.clone(),
            client: self.agent.client,
            interactive: self.sign_in.interactive,
            device: self.device,
            traits: self.traits,
        }
    }

    fn session(&self) -> Option<SessionMemory> {
        Some(SessionMemory {
            id: self.session_hash?,
            born: self.sign_in.at.as_second(),
            last: self.sign_in.at.as_second(),
            asn: self.network.asn,
            prefix: self.prefix,
            country: self.network.place.country,
            class: self.class,
            traits: self.traits,
        })
    }

    /// What may become usual. Tor never does, and neutral networks say nothing
    /// of their user.
    fn habits(&self) -> Vec<Habit> {
        let mut habits = Vec::with_capacity(8);
        let elsewhere = self.class.is_neutral() || self.class == NetworkClass::Tor;
        if !elsewhere {
            habits.extend(self.network.asn.map(Habit::Asn));
            habits.extend(self.network.place.country.map(Habit::Country));
        }
        habits.extend(self.device.map(Habit::Device));
        if !elsewhere && !self.traits.has(Traits::MANAGED) && self.sign_in.interactive {
            habits.push(Habit::Unmanaged);
        }
        if self.traits.has(Traits::CLI) {
            habits.push(Habit::CommandLine);
        }
        habits.extend(aitm::habit(self));
        habits.extend(protocol::habit(self));
        habits
    }
}

fn traits_of(sign_in: &SignIn, agent: Agent) -> Traits {
    let managed = sign_in.device.compliant == Some(true) || sign_in.device.managed == Some(true);
    let protection = &sign_in.token_protection;
    let prt = sign_in.incoming_token == IncomingToken::PrimaryRefreshToken
        && agent
            .client
            .and_then(|client| client.system)
            .or(agent.system)
            == Some(System::Windows);
    Traits::MANAGED
        .when(managed)
        .with(Traits::BOUND.when(*protection == TokenProtection::Bound))
        .with(Traits::UNBOUND.when(*protection == TokenProtection::Unbound))
        .with(Traits::DEVICE_CODE.when(protocol::is_device_code(sign_in)))
        .with(Traits::CLI.when(apps::is_command_line(&sign_in.app)))
        .with(Traits::PRT.when(prt))
}

/// Adds a signal unless one of the same identity is there; of two the later
/// found is dropped, so callers offer the nearest pair first.
fn raise(signals: &mut Vec<Signal>, signal: Signal) {
    if !signals.iter().any(|known| known.same_as(&signal)) {
        signals.push(signal);
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod testing;
