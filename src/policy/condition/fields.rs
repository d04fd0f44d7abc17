//! What a condition may speak of: every field of an event, with its type.
//!
//! Invariant: this table is the only list. The checker, the evaluator, the
//! reference in docs/policy-reference.md and completion all read it, so a
//! field that is documented exists and has the type it is said to have. What a
//! record does not say is absent, never a default.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::model::{
    AppRef, AuditKind, ClientApp, ConditionalAccess, DirectoryAudit, Event, Family, GraphActivity,
    IncomingToken, Initiator, Network, NetworkClass, Protocol, Requirement, RiskDetection,
    RiskLevel, RiskState, RiskyUser, SignIn, TokenProtection, TransferMethod, UserRef,
};

/// What a condition is asked of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The event.
    pub event: &'a Event,
    /// What kind of network it came from, by our lists.
    pub class: NetworkClass,
    /// The signal's name and family, where a policy asks of a signal.
    pub signal: Option<(&'a str, Family)>,
}

/// The kinds of events that have a field, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const SIGN_IN: Self = Self(1);
    pub(crate) const RISK: Self = Self(2);
    pub(crate) const RISKY_USER: Self = Self(4);
    pub(crate) const AUDIT: Self = Self(8);
    pub(crate) const GRAPH: Self = Self(16);
    pub(crate) const ALL: Self = Self(31);
    /// All but the aggregate risk of a user, which comes from nowhere.
    pub(crate) const NETWORKED: Self = Self(31 - 4);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn of(event: &Event) -> Self {
        match event {
            Event::SignIn(_) => Self::SIGN_IN,
            Event::RiskDetection(_) => Self::RISK,
            Event::RiskyUser(_) => Self::RISKY_USER,
            Event::DirectoryAudit(_) => Self::AUDIT,
            Event::GraphActivity(_) => Self::GRAPH,
        }
    }
}

/// What a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Any text.
    Any,
    /// Entra's list, to which Microsoft adds without notice.
    Open(&'static [&'static str]),
    /// One of these.
    Closed(&'static [&'static str]),
    /// Two capital letters.
    Country,
}

/// The type of a field or of a part of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    /// With the least and the most it can be.
    Int(i64, i64),
    Text(Domain),
    /// A list of texts.
    Texts,
    Address,
    Time,
    /// An account: can be looked for in a list of users.
    User,
}

impl Type {
    pub(crate) const ANY_TEXT: Self = Self::Text(Domain::Any);
    pub(crate) const ANY_INT: Self = Self::Int(i64::MIN, i64::MAX);

    /// The name in messages and in the reference.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int(..) => "int",
            Self::Text(_) => "string",
            Self::Texts => "list of strings",
            Self::Address => "address",
            Self::Time => "timestamp",
            Self::User => "user",
        }
    }
}

/// A value of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Text(&'a str),
    /// Texts one by one, by index; `None` behind the last.
    Texts(fn(&Subject<'a>, usize) -> Option<&'a str>),
    Address(IpAddr),
    Time(Timestamp),
    User(&'a UserRef),
}

impl<'a> Value<'a> {
    /// As it is written in a condition.
    pub(crate) fn shown(&self, subject: &Subject<'a>) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::Texts(item) => {
                let texts: Vec<&str> = (0..).map_while(|index| item(subject, index)).collect();
                format!("{texts:?}")
            }
            Self::Address(address) => address.to_string(),
            Self::Time(time) => time.to_string(),
            Self::User(user) if user.principal_name.is_empty() => user.id.to_string(),
            Self::User(user) => user.principal_name.to_string(),
        }
    }
}

/// Why a condition has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// The event is of another kind than the condition speaks of.
    OtherKind,
    /// The record does not say.
    Absent,
}

pub(crate) type Got<'a> = Result<Value<'a>, Undecided>;

/// One field.
pub(crate) struct Field {
    /// Its path, e.g. `event.network.asn`.
    pub(crate) path: &'static str,
    pub(crate) ty: Type,
    /// The kinds of events that can have it.
    pub(crate) kinds: Kinds,
    /// For the reference.
    pub(crate) doc: &'static str,
    pub(crate) get: for<'a> fn(&Subject<'a>) -> Got<'a>,
}

fn sign_in<'a>(subject: &Subject<'a>) -> Result<&'a SignIn, Undecided> {
    match subject.event {
        Event::SignIn(event) => Ok(event),
        _ => Err(Undecided::OtherKind),
    }
}

fn risk<'a>(subject: &Subject<'a>) -> Result<&'a RiskDetection, Undecided> {
    match subject.event {
        Event::RiskDetection(event) => Ok(event),
        _ => Err(Undecided::OtherKind),
    }
}

fn risky_user<'a>(subject: &Subject<'a>) -> Result<&'a RiskyUser, Undecided> {
    match subject.event {
        Event::RiskyUser(event) => Ok(event),
        _ => Err(Undecided::OtherKind),
    }
}

fn audit<'a>(subject: &Subject<'a>) -> Result<&'a DirectoryAudit, Undecided> {
    match subject.event {
        Event::DirectoryAudit(event) => Ok(event),
        _ => Err(Undecided::OtherKind),
    }
}

fn graph<'a>(subject: &Subject<'a>) -> Result<&'a GraphActivity, Undecided> {
    match subject.event {
        Event::GraphActivity(event) => Ok(event),
        _ => Err(Undecided::OtherKind),
    }
}

fn network<'a>(subject: &Subject<'a>) -> Result<&'a Network, Undecided> {
    subject.event.network().ok_or(Undecided::OtherKind)
}

fn text(value: Option<&str>) -> Got<'_> {
    match value {
        Some(value) if !value.is_empty() => Ok(Value::Text(value)),
        _ => Err(Undecided::Absent),
    }
}

fn boolean<'a>(value: Option<bool>) -> Got<'a> {
    value.map(Value::Bool).ok_or(Undecided::Absent)
}

fn app_id(app: &AppRef) -> Got<'_> {
    text(app.id.as_deref())
}

fn app_name(app: &AppRef) -> Got<'_> {
    text(app.name.as_deref())
}

fn method<'a>(subject: &Subject<'a>, index: usize) -> Option<&'a str> {
    let steps = sign_in(subject).ok()?.steps.iter();
    steps.filter_map(|step| step.method.as_deref()).nth(index)
}

fn risk_type<'a>(subject: &Subject<'a>, index: usize) -> Option<&'a str> {
    let types = &sign_in(subject).ok()?.risk_types;
    types.get(index).map(|risk_type| &*risk_type.0)
}

fn target<'a>(subject: &Subject<'a>, index: usize) -> Option<&'a str> {
    let targets = audit(subject).ok()?.targets.iter();
    targets
        .filter_map(|target| target.name.as_deref())
        .nth(index)
}

const EVENT_KINDS: &[&str] = &[
    "sign_in",
    "risk_detection",
    "risky_user",
    "directory_audit",
    "graph_activity",
];

const FAMILIES: &[&str] = &[
    "network",
    "session",
    "device",
    "aitm",
    "protocol",
    "auth_method",
    "behaviour",
    "persistence",
    "microsoft_risk",
];

const INITIATORS: &[&str] = &["user", "app", "unknown"];

/// One row of the table: path, type, kinds, documentation, getter.
macro_rules! field {
    ($path:literal, $ty:expr, $kinds:expr, $doc:literal, |$s:ident| $get:expr) => {
        Field {
            path: $path,
            ty: $ty,
            kinds: $kinds,
            doc: $doc,
            get: {
                fn get<'a>($s: &Subject<'a>) -> Got<'a> {
                    $get
                }
                get
            },
        }
    };
}

const TEXT: Type = Type::ANY_TEXT;

/// Every field, by path.
pub(crate) static FIELDS: &[Field] = &[
    field!(
        "event.kind",
        Type::Text(Domain::Closed(EVENT_KINDS)),
        Kinds::ALL,
        "What the record is.",
        |s| Ok(Value::Text(s.event.kind()))
    ),
    field!(
        "event.time",
        Type::Time,
        Kinds::ALL,
        "When it happened, by the record.",
        |s| Ok(Value::Time(s.event.at()))
    ),
    field!(
        "event.user",
        Type::User,
        Kinds::ALL,
        "The account at stake; look for it in a list: `event.user in lists.rooms`.",
        |s| Ok(Value::User(s.event.user()))
    ),
    field!(
        "event.user.id",
        TEXT,
        Kinds::ALL,
        "Its object id, lower case.",
        |s| text(Some(s.event.user().id.as_str()))
    ),
    field!(
        "event.user.name",
        TEXT,
        Kinds::ALL,
        "Its principal name as logged; of a service principal the display name.",
        |s| text(Some(&s.event.user().principal_name))
    ),
    field!(
        "event.user.guest",
        Type::Bool,
        Kinds::ALL,
        "Whether `userType` says guest.",
        |s| Ok(Value::Bool(s.event.user().guest))
    ),
    field!(
        "event.user.workload",
        Type::Bool,
        Kinds::ALL,
        "Whether it is a service principal.",
        |s| Ok(Value::Bool(s.event.user().workload))
    ),
    field!(
        "event.network.address",
        Type::Address,
        Kinds::NETWORKED,
        "The address: `event.network.address in lists.offices`.",
        |s| network(s)?
            .address
            .map(Value::Address)
            .ok_or(Undecided::Absent)
    ),
    field!(
        "event.network.asn",
        Type::Int(0, u32::MAX as i64),
        Kinds::NETWORKED,
        "`autonomousSystemNumber`, as the record has it.",
        |s| {
            let asn = network(s)?.asn.ok_or(Undecided::Absent)?;
            Ok(Value::Int(i64::from(asn)))
        }
    ),
    field!(
        "event.network.country",
        Type::Text(Domain::Country),
        Kinds::NETWORKED,
        "ISO 3166-1 alpha-2, upper case.",
        |s| text(network(s)?.place.country.as_ref().map(|c| c.as_str()))
    ),
    field!(
        "event.network.city",
        TEXT,
        Kinds::NETWORKED,
        "The city's name as the record has it.",
        |s| text(network(s)?.place.city.as_deref())
    ),
    field!(
        "event.network.class",
        Type::Text(Domain::Closed(NetworkClass::NAMES)),
        Kinds::NETWORKED,
        "What our lists say of the network.",
        |s| network(s).map(|_| Value::Text(s.class.as_str()))
    ),
    field!(
        "event.sign_in.succeeded",
        Type::Bool,
        Kinds::SIGN_IN,
        "Whether a token was issued (`status.errorCode` is 0).",
        |s| Ok(Value::Bool(sign_in(s)?.succeeded()))
    ),
    field!(
        "event.sign_in.error_code",
        Type::ANY_INT,
        Kinds::SIGN_IN,
        "`status.errorCode`.",
        |s| Ok(Value::Int(sign_in(s)?.error_code))
    ),
    field!(
        "event.sign_in.error_details",
        TEXT,
        Kinds::SIGN_IN,
        "`status.additionalDetails`.",
        |s| text(sign_in(s)?.additional_details.as_deref())
    ),
    field!(
        "event.sign_in.interactive",
        Type::Bool,
        Kinds::SIGN_IN,
        "Whether a human was present.",
        |s| Ok(Value::Bool(sign_in(s)?.interactive))
    ),
    field!(
        "event.sign_in.session",
        TEXT,
        Kinds::SIGN_IN,
        "`sessionId`.",
        |s| text(sign_in(s)?.session.as_ref().map(|id| id.as_str()))
    ),
    field!(
        "event.sign_in.app.id",
        TEXT,
        Kinds::SIGN_IN,
        "`appId`.",
        |s| app_id(&sign_in(s)?.app)
    ),
    field!(
        "event.sign_in.app.name",
        TEXT,
        Kinds::SIGN_IN,
        "`appDisplayName`.",
        |s| app_name(&sign_in(s)?.app)
    ),
    field!(
        "event.sign_in.resource.id",
        TEXT,
        Kinds::SIGN_IN,
        "`resourceId`.",
        |s| app_id(&sign_in(s)?.resource)
    ),
    field!(
        "event.sign_in.resource.name",
        TEXT,
        Kinds::SIGN_IN,
        "`resourceDisplayName`.",
        |s| app_name(&sign_in(s)?.resource)
    ),
    field!(
        "event.sign_in.home_tenant",
        TEXT,
        Kinds::SIGN_IN,
        "`homeTenantId`: whose account it is.",
        |s| text(sign_in(s)?.home_tenant.as_deref())
    ),
    field!(
        "event.sign_in.resource_tenant",
        TEXT,
        Kinds::SIGN_IN,
        "`resourceTenantId`: whose resource it is.",
        |s| text(sign_in(s)?.resource_tenant.as_deref())
    ),
    field!(
        "event.sign_in.user_agent",
        TEXT,
        Kinds::SIGN_IN,
        "`userAgent`.",
        |s| text(sign_in(s)?.user_agent.as_deref())
    ),
    field!(
        "event.sign_in.client_app",
        Type::Text(Domain::Open(ClientApp::NAMES)),
        Kinds::SIGN_IN,
        "`clientAppUsed`; any other name is a legacy client's.",
        |s| text(sign_in(s)?.client_app.name())
    ),
    field!(
        "event.sign_in.legacy_client",
        Type::Bool,
        Kinds::SIGN_IN,
        "Whether `clientAppUsed` names a client that knows no second factor.",
        |s| Ok(Value::Bool(sign_in(s)?.client_app.legacy()))
    ),
    field!(
        "event.sign_in.protocol",
        Type::Text(Domain::Open(Protocol::NAMES)),
        Kinds::SIGN_IN,
        "`authenticationProtocol`.",
        |s| text(sign_in(s)?.protocol.name())
    ),
    field!(
        "event.sign_in.transfer_method",
        Type::Text(Domain::Open(TransferMethod::NAMES)),
        Kinds::SIGN_IN,
        "`originalTransferMethod`: how the session first came to the client.",
        |s| text(sign_in(s)?.transfer_method.name())
    ),
    field!(
        "event.sign_in.incoming_token",
        Type::Text(Domain::Open(IncomingToken::NAMES)),
        Kinds::SIGN_IN,
        "`incomingTokenType`: the token that was shown.",
        |s| text(sign_in(s)?.incoming_token.name())
    ),
    field!(
        "event.sign_in.token_protection",
        Type::Text(Domain::Open(TokenProtection::NAMES)),
        Kinds::SIGN_IN,
        "`signInSessionStatus`: whether the session is tied to a device's key.",
        |s| text(sign_in(s)?.token_protection.name())
    ),
    field!(
        "event.sign_in.requirement",
        Type::Text(Domain::Open(Requirement::NAMES)),
        Kinds::SIGN_IN,
        "`authenticationRequirement`.",
        |s| text(sign_in(s)?.requirement.name())
    ),
    field!(
        "event.sign_in.conditional_access",
        Type::Text(Domain::Open(ConditionalAccess::NAMES)),
        Kinds::SIGN_IN,
        "`conditionalAccessStatus`.",
        |s| text(sign_in(s)?.conditional_access.name())
    ),
    field!(
        "event.sign_in.methods",
        Type::Texts,
        Kinds::SIGN_IN,
        "The `authenticationMethod`s of `authenticationDetails`, in order.",
        |s| sign_in(s).map(|_| Value::Texts(method))
    ),
    field!(
        "event.sign_in.mfa_by_claim",
        Type::Bool,
        Kinds::SIGN_IN,
        "Whether the token shown already carried the second factor.",
        |s| Ok(Value::Bool(sign_in(s)?.mfa_by_claim))
    ),
    field!(
        "event.sign_in.mfa_denials",
        Type::Int(0, u8::MAX as i64),
        Kinds::SIGN_IN,
        "How often the second factor was denied.",
        |s| Ok(Value::Int(i64::from(sign_in(s)?.mfa_denials)))
    ),
    field!(
        "event.sign_in.trusted_location",
        Type::Bool,
        Kinds::SIGN_IN,
        "Whether the tenant declared the location trusted.",
        |s| Ok(Value::Bool(sign_in(s)?.trusted_location))
    ),
    field!(
        "event.sign_in.through_gsa",
        Type::Bool,
        Kinds::SIGN_IN,
        "`isThroughGlobalSecureAccess`.",
        |s| Ok(Value::Bool(sign_in(s)?.through_gsa))
    ),
    field!(
        "event.sign_in.gsa_address",
        Type::Address,
        Kinds::SIGN_IN,
        "`globalSecureAccessIpAddress`: the proxy's own address.",
        |s| {
            let address = sign_in(s)?.gsa_address;
            address.map(Value::Address).ok_or(Undecided::Absent)
        }
    ),
    field!(
        "event.sign_in.device.id",
        TEXT,
        Kinds::SIGN_IN,
        "The directory's device id.",
        |s| text(sign_in(s)?.device.id.as_deref())
    ),
    field!(
        "event.sign_in.device.os",
        TEXT,
        Kinds::SIGN_IN,
        "`operatingSystem`, e.g. `Windows 10`.",
        |s| text(sign_in(s)?.device.operating_system.as_deref())
    ),
    field!(
        "event.sign_in.device.browser",
        TEXT,
        Kinds::SIGN_IN,
        "`browser`, e.g. `Chrome 128.0.0`.",
        |s| text(sign_in(s)?.device.browser.as_deref())
    ),
    field!(
        "event.sign_in.device.compliant",
        Type::Bool,
        Kinds::SIGN_IN,
        "`isCompliant`.",
        |s| boolean(sign_in(s)?.device.compliant)
    ),
    field!(
        "event.sign_in.device.managed",
        Type::Bool,
        Kinds::SIGN_IN,
        "`isManaged`.",
        |s| boolean(sign_in(s)?.device.managed)
    ),
    field!(
        "event.sign_in.risk_level",
        Type::Text(Domain::Closed(RiskLevel::NAMES)),
        Kinds::SIGN_IN,
        "`riskLevelDuringSignIn`, else `riskLevelAggregated`.",
        |s| text(sign_in(s)?.risk_level.name())
    ),
    field!(
        "event.sign_in.risk_types",
        Type::Texts,
        Kinds::SIGN_IN,
        "`riskEventTypes_v2`.",
        |s| sign_in(s).map(|_| Value::Texts(risk_type))
    ),
    field!(
        "event.risk.type",
        TEXT,
        Kinds::RISK,
        "`riskEventType`, e.g. `anonymizedIPAddress`.",
        |s| text(Some(&risk(s)?.risk_type.0))
    ),
    field!(
        "event.risk.level",
        Type::Text(Domain::Closed(RiskLevel::NAMES)),
        Kinds::RISK,
        "`riskLevel` of the detection.",
        |s| text(risk(s)?.level.name())
    ),
    field!(
        "event.risk.state",
        Type::Text(Domain::Closed(RiskState::NAMES)),
        Kinds::RISK,
        "`riskState` of the detection.",
        |s| text(risk(s)?.state.name())
    ),
    field!(
        "event.risky_user.level",
        Type::Text(Domain::Closed(RiskLevel::NAMES)),
        Kinds::RISKY_USER,
        "The user's aggregate `riskLevel`.",
        |s| text(risky_user(s)?.level.name())
    ),
    field!(
        "event.risky_user.state",
        Type::Text(Domain::Closed(RiskState::NAMES)),
        Kinds::RISKY_USER,
        "The user's aggregate `riskState`.",
        |s| text(risky_user(s)?.state.name())
    ),
    field!(
        "event.audit.kind",
        Type::Text(Domain::Closed(AuditKind::NAMES)),
        Kinds::AUDIT,
        "What kind of change it is.",
        |s| Ok(Value::Text(audit(s)?.kind.as_str()))
    ),
    field!(
        "event.audit.activity",
        TEXT,
        Kinds::AUDIT,
        "`activityDisplayName`.",
        |s| text(Some(&audit(s)?.activity))
    ),
    field!(
        "event.audit.succeeded",
        Type::Bool,
        Kinds::AUDIT,
        "Whether `result` is `success`.",
        |s| Ok(Value::Bool(audit(s)?.succeeded))
    ),
    field!(
        "event.audit.initiator",
        Type::Text(Domain::Closed(INITIATORS)),
        Kinds::AUDIT,
        "Who did it.",
        |s| {
            Ok(Value::Text(match &audit(s)?.initiator {
                Initiator::User(_) => "user",
                Initiator::App(_) => "app",
                Initiator::Unknown => "unknown",
            }))
        }
    ),
    field!(
        "event.audit.self_service",
        Type::Bool,
        Kinds::AUDIT,
        "Whether the user did it to their own account.",
        |s| Ok(Value::Bool(audit(s)?.self_service()))
    ),
    field!(
        "event.audit.permissions",
        TEXT,
        Kinds::AUDIT,
        "The permissions that were consented to.",
        |s| text(audit(s)?.permissions.as_deref())
    ),
    field!(
        "event.audit.targets",
        Type::Texts,
        Kinds::AUDIT,
        "The `displayName`s of `targetResources`.",
        |s| audit(s).map(|_| Value::Texts(target))
    ),
    field!(
        "event.audit.user_agent",
        TEXT,
        Kinds::AUDIT,
        "The initiator's user agent.",
        |s| text(audit(s)?.user_agent.as_deref())
    ),
    field!(
        "event.graph.session",
        TEXT,
        Kinds::GRAPH,
        "`sessionId` of the sign-in that the token came from.",
        |s| text(Some(graph(s)?.session.as_str()))
    ),
    field!(
        "event.graph.app.id",
        TEXT,
        Kinds::GRAPH,
        "The calling application.",
        |s| app_id(&graph(s)?.app)
    ),
    field!(
        "event.graph.method",
        TEXT,
        Kinds::GRAPH,
        "`requestMethod`, upper case.",
        |s| text(graph(s)?.method.as_deref())
    ),
    field!(
        "event.graph.path",
        TEXT,
        Kinds::GRAPH,
        "The path of `requestUri`.",
        |s| text(graph(s)?.path.as_deref())
    ),
    field!(
        "event.graph.status",
        Type::Int(0, u16::MAX as i64),
        Kinds::GRAPH,
        "`responseStatusCode`.",
        |s| {
            let status = graph(s)?.status.ok_or(Undecided::Absent)?;
            Ok(Value::Int(i64::from(status)))
        }
    ),
    field!(
        "event.graph.user_agent",
        TEXT,
        Kinds::GRAPH,
        "`userAgent`.",
        |s| text(graph(s)?.user_agent.as_deref())
    ),
    field!(
        "signal.name",
        TEXT,
        Kinds::ALL,
        "The signal that the policy weighs (in `when` and `except` only).",
        |s| s
            .signal
            .map(|(name, _)| Value::Text(name))
            .ok_or(Undecided::Absent)
    ),
    field!(
        "signal.family",
        Type::Text(Domain::Closed(FAMILIES)),
        Kinds::ALL,
        "Its family (in `when` and `except` only).",
        |s| s
            .signal
            .map(|(_, family)| Value::Text(family.as_str()))
            .ok_or(Undecided::Absent)
    ),
];
