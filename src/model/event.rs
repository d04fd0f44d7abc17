//! Events: records decoded. The wire's shapes stay in `ingest::entra`; here
//! every field has one type and one meaning.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RecordId, UserId};

mod activity;
mod sign_in;
mod words;

pub use activity::{AuditKind, DirectoryAudit, GraphActivity, Initiator, Target};
pub use sign_in::{AppRef, AuthenticationStep, Device, SignIn};
pub use words::{
    ClientApp, ConditionalAccess, IncomingToken, Protocol, Requirement, TokenProtection,
    TransferMethod,
};

/// A decoded record of a category that evictd judges.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `SignInLogs` and `NonInteractiveUserSignInLogs`.
    SignIn(Box<SignIn>),
    /// `UserRiskEvents` and `ServicePrincipalRiskEvents`: one detection of
    /// Identity Protection.
    RiskDetection(Box<RiskDetection>),
    /// `RiskyUsers`: a change of a user's aggregate risk.
    RiskyUser(Box<RiskyUser>),
    /// `AuditLogs`: a change of the directory that can keep a thief in.
    DirectoryAudit(Box<DirectoryAudit>),
    /// `MicrosoftGraphActivityLogs`: a user's call of Microsoft Graph.
    GraphActivity(Box<GraphActivity>),
}

impl Event {
    /// The user it is about.
    pub fn user(&self) -> &UserRef {
        match self {
            Self::SignIn(e) => &e.user,
            Self::RiskDetection(e) => &e.user,
            Self::RiskyUser(e) => &e.user,
            Self::DirectoryAudit(e) => &e.user,
            Self::GraphActivity(e) => &e.user,
        }
    }

    /// The same about the user under that principal name.
    #[must_use]
    pub fn named(mut self, principal_name: &str) -> Self {
        let user = match &mut self {
            Self::SignIn(e) => &mut e.user,
            Self::RiskDetection(e) => &mut e.user,
            Self::RiskyUser(e) => &mut e.user,
            Self::DirectoryAudit(e) => &mut e.user,
            Self::GraphActivity(e) => &mut e.user,
        };
        user.principal_name = principal_name.into();
        self
    }

    /// When it happened (not when it was logged or delivered).
    pub fn at(&self) -> Timestamp {
        match self {
            Self::SignIn(e) => e.at,
            Self::RiskDetection(e) => e.at,
            Self::RiskyUser(e) => e.at,
            Self::DirectoryAudit(e) => e.at,
            Self::GraphActivity(e) => e.at,
        }
    }

    /// The identity of the record.
    pub fn record(&self) -> &RecordId {
        match self {
            Self::SignIn(e) => &e.record,
            Self::RiskDetection(e) => &e.record,
            Self::RiskyUser(e) => &e.record,
            Self::DirectoryAudit(e) => &e.record,
            Self::GraphActivity(e) => &e.record,
        }
    }

    /// Where it came from; a change of a user's aggregate risk comes from nowhere.
    pub fn network(&self) -> Option<&Network> {
        match self {
            Self::SignIn(e) => Some(&e.network),
            Self::RiskDetection(e) => Some(&e.network),
            Self::DirectoryAudit(e) => Some(&e.network),
            Self::GraphActivity(e) => Some(&e.network),
            Self::RiskyUser(_) => None,
        }
    }

    /// A name for metrics: `sign_in`, `risk_detection`, `risky_user`,
    /// `directory_audit` or `graph_activity`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignIn(_) => "sign_in",
            Self::RiskDetection(_) => "risk_detection",
            Self::RiskyUser(_) => "risky_user",
            Self::DirectoryAudit(_) => "directory_audit",
            Self::GraphActivity(_) => "graph_activity",
        }
    }
}

/// Whom an event is about: the account at stake, whoever acted on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    /// The object id, lower case.
    pub id: UserId,
    /// The user principal name as logged; empty when the record has none.
    pub principal_name: Box<str>,
    /// Whether `userType` says guest.
    pub guest: bool,
    /// Whether it is a service principal and no user. Then `id` is the service
    /// principal's object id and `principal_name` its display name, which its
    /// owner chooses and which need not be unique.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub workload: bool,
}

/// Where a request came from, as the record tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    /// The address, IPv4-mapped IPv6 unmapped, port removed.
    pub address: Option<IpAddr>,
    /// `autonomousSystemNumber`.
    pub asn: Option<u32>,
    /// `location`.
    pub place: Place,
}

/// `location`, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The city's name.
    pub city: Option<Arc<str>>,
    /// `countryOrRegion`.
    pub country: Option<CountryCode>,
    /// `geoCoordinates`; absent, out of range and 0/0 are `None`.
    pub point: Option<GeoPoint>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.city, self.country) {
            (Some(city), Some(country)) => write!(f, "{city} ({country})"),
            (Some(city), None) => f.write_str(city),
            (None, Some(country)) => country.fmt(f),
            (None, None) => f.write_str("unknown place"),
        }
    }
}

/// An ISO 3166-1 alpha-2 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// Reads two ASCII letters in any case; anything else is not a country.
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// Its two letters, upper case.
    pub fn as_str(&self) -> &str {
        // Two ASCII letters by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> Self {
        code.to_string()
    }
}

impl TryFrom<String> for CountryCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a two-letter country code"))
    }
}

/// A point on the Earth in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeoPoint {
    /// −90 to 90, north positive.
    pub latitude: f64,
    /// −180 to 180, east positive.
    pub longitude: f64,
}

impl GeoPoint {
    /// A point, unless a coordinate is not finite, out of range, or both are
    /// zero (which the logs use for "unknown").
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let in_range = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        let null_island = latitude == 0.0 && longitude == 0.0;
        (in_range && !null_island).then_some(Self {
            latitude,
            longitude,
        })
    }
}

/// The network an address is compared by: an IPv4 /24 or an IPv6 /48
/// (signals.md, "Impossible travel, done well").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Prefix {
    /// The first three octets.
    V4([u8; 3]),
    /// The first three groups.
    V6([u16; 3]),
}

impl Prefix {
    /// The prefix that holds `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Self::V6([a, b, c])
            }
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c]) => write!(f, "{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
        }
    }
}

/// One detection of Identity Protection.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskDetection {
    /// The detection's id and the time of its last update.
    pub record: RecordId,
    /// The detection's id alone: the same across its updates.
    pub detection: Box<str>,
    /// `activityDateTime`: when the risky thing happened.
    pub at: Timestamp,
    /// Whose risk.
    pub user: UserRef,
    /// `requestId`: the `id` of the sign-in it speaks of.
    pub request: Option<RecordId>,
    /// `riskEventType`, or `riskType` where that is missing.
    pub risk_type: RiskType,
    /// `riskLevel`.
    pub level: RiskLevel,
    /// `riskState`.
    pub state: RiskState,
    /// From where.
    pub network: Network,
}

/// A change of a user's aggregate risk.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskyUser {
    /// The user's id and the time of the update.
    pub record: RecordId,
    /// `riskLastUpdatedDateTime`.
    pub at: Timestamp,
    /// Whose risk.
    pub user: UserRef,
    /// `riskLevel`.
    pub level: RiskLevel,
    /// `riskState`.
    pub state: RiskState,
}

/// Microsoft's name of a kind of risk, e.g. `anonymizedIPAddress`. An open
/// set: names that evictd does not know pass through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RiskType(pub Box<str>);

impl RiskType {
    /// What an administrator's (or our own) "confirm compromised" comes back as.
    pub const ADMIN_CONFIRMED: &'static str = "adminConfirmedUserCompromised";
}

/// `riskLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// `hidden`, missing, or a value that evictd does not know.
    Unknown,
    /// `none`.
    None,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
}

impl RiskLevel {
    /// Every level that a record can name.
    pub const NAMES: &[&str] = &["none", "low", "medium", "high"];

    /// The name as Entra writes it; `None` where it is not known.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::None => Some("none"),
            Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            Self::High => Some("high"),
        }
    }
}

/// `riskState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskState {
    /// Missing, or a value that evictd does not know.
    Unknown,
    /// `none`.
    None,
    /// `confirmedSafe`.
    ConfirmedSafe,
    /// `remediated`.
    Remediated,
    /// `dismissed`.
    Dismissed,
    /// `atRisk`.
    AtRisk,
    /// `confirmedCompromised`.
    ConfirmedCompromised,
}

impl RiskState {
    /// Every state that a record can name.
    pub const NAMES: &[&str] = &[
        "none",
        "confirmedSafe",
        "remediated",
        "dismissed",
        "atRisk",
        "confirmedCompromised",
    ];

    /// The name as Entra writes it; `None` where it is not known.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::None => Some("none"),
            Self::ConfirmedSafe => Some("confirmedSafe"),
            Self::Remediated => Some("remediated"),
            Self::Dismissed => Some("dismissed"),
            Self::AtRisk => Some("atRisk"),
            Self::ConfirmedCompromised => Some("confirmedCompromised"),
        }
    }

    /// Whether somebody has settled the risk: it is evidence no more.
    pub fn settled(self) -> bool {
        matches!(
            self,
            Self::ConfirmedSafe | Self::Remediated | Self::Dismissed
        )
    }
}
