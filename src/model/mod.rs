//! The nouns that every stage shares.
//!
//! Architecture invariant: no I/O, no async, no clock, and no import from any
//! other module of the crate. A value here means the same in the daemon, in
//! `replay` and in a test.

mod action;
mod case;
mod client;
mod containment;
mod decision;
mod event;
mod finding;
mod habits;
mod ids;
mod memory;
mod parameters;
mod signal;
mod surroundings;

pub use action::{ActionKind, ActionState, Effect, Order};
pub use case::{ActionView, CaseStatus, CaseView, DecisionView, SignalView};
pub use client::{Browser, Client, System};
pub use containment::{Containment, Proof, ProofOutcome, Stage};
pub use decision::{
    Admission, Decision, FamilyScore, GuardReason, Intent, Mode, PolicyVerdict, RungVerdict,
    SetAside,
};
pub use event::{
    AppRef, AuditKind, AuthenticationStep, ClientApp, ConditionalAccess, CountryCode, Device,
    DirectoryAudit, Event, GeoPoint, GraphActivity, IncomingToken, Initiator, Network, Place,
    Prefix, Protocol, Requirement, RiskDetection, RiskLevel, RiskState, RiskType, RiskyUser,
    SignIn, Target, TokenProtection, TransferMethod, UserRef,
};
pub use finding::{Finding, Truth};
pub use habits::{Days, Habit, Habits, LATENESS_SECONDS, day_of};
pub use ids::{ActionId, CaseId, DecisionId, PolicyName, RecordId, SessionId, UserId};
pub use memory::{
    Attempt, Change, Footprint, Incident, Joined, NetworkClass, SessionMemory, Traits, UserMemory,
    hash_of, limits,
};
pub use parameters::{Parameter, ParameterSpec, Parameters, Unit};
pub use signal::{Evidence, Family, Reservation, ReservationGround, Sighting, Signal, SignalName};
pub use surroundings::{Entry, Probes, Spray, Surroundings, Thing};
