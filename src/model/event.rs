//! Events: records decoded. The wire's shapes stay in `ingest::entra`; here
//! every field has one type and one meaning.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{RecordId, SessionId, UserId};

/// A decoded record of a category that evictd judges.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `SignInLogs` and `NonInteractiveUserSignInLogs`.
    SignIn(Box<SignIn>),
    /// `UserRiskEvents`: one detection of Identity Protection.
    RiskDetection(Box<RiskDetection>),
    /// `RiskyUsers`: a change of a user's aggregate risk.
    RiskyUser(Box<RiskyUser>),
}

impl Event {
    /// The user it is about.
    pub fn user(&self) -> &UserRef {
        match self {
            Self::SignIn(e) => &e.user,
            Self::RiskDetection(e) => &e.user,
            Self::RiskyUser(e) => &e.user,
        }
    }

    /// When it happened (not when it was logged or delivered).
    pub fn at(&self) -> Timestamp {
        match self {
            Self::SignIn(e) => e.at,
            Self::RiskDetection(e) => e.at,
            Self::RiskyUser(e) => e.at,
        }
    }

    /// The identity of the record.
    pub fn record(&self) -> &RecordId {
        match self {
            Self::SignIn(e) => &e.record,
            Self::RiskDetection(e) => &e.record,
            Self::RiskyUser(e) => &e.record,
        }
    }

    /// A name for metrics: `sign_in`, `risk_detection` or `risky_user`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignIn(_) => "sign_in",
            Self::RiskDetection(_) => "risk_detection",
            Self::RiskyUser(_) => "risky_user",
        }
    }
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    /// The object id, lower case.
    pub id: UserId,
    /// The user principal name as logged; empty when the record has none.
    pub principal_name: Box<str>,
    /// Whether `userType` says guest.
    pub guest: bool,
}

/// One sign-in, interactive or not, successful or not.
#[derive(Debug, Clone, PartialEq)]
pub struct SignIn {
    /// `properties.id`.
    pub record: RecordId,
    /// `properties.createdDateTime`.
    pub at: Timestamp,
    /// Who signed in.
    pub user: UserRef,
    /// `properties.sessionId`.
    pub session: Option<SessionId>,
    /// `properties.correlationId`: one client request across retries.
    pub correlation: Option<Box<str>>,
    /// Whether a human was present (`SignInLogs`).
    pub interactive: bool,
    /// The client application.
    pub app: AppRef,
    /// The resource it asked a token for.
    pub resource: AppRef,
    /// From where.
    pub network: Network,
    /// `status.errorCode`; 0 is success.
    pub error_code: i64,
    /// `userAgent`.
    pub user_agent: Option<Box<str>>,
    /// `deviceDetail`.
    pub device: Device,
    /// `authenticationProtocol`.
    pub protocol: Protocol,
    /// `originalTransferMethod`: how the session's first token came to this
    /// device. The only field that names a device-code sign-in once its code
    /// has been redeemed.
    pub transfer_method: TransferMethod,
}

/// `authenticationProtocol`, as far as evictd tells protocols apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `none`, missing, or one of no interest here.
    #[default]
    Other,
    /// `deviceCode`.
    DeviceCode,
    /// `ropc`: a user name and a password, sent by the client.
    Ropc,
}

/// `originalTransferMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferMethod {
    /// `none`, missing, or one that evictd does not know.
    #[default]
    Other,
    /// `deviceCodeFlow`.
    DeviceCodeFlow,
    /// `authenticationTransfer`: from a computer to a phone by QR code.
    AuthenticationTransfer,
}

impl SignIn {
    /// Whether a token was issued (`status.errorCode == 0`).
    pub fn succeeded(&self) -> bool {
        self.error_code == 0
    }
}

/// An application or resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppRef {
    /// The application id.
    pub id: Option<Box<str>>,
    /// The display name.
    pub name: Option<Box<str>>,
}

/// `deviceDetail`; unknown values are `None`, never empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// The directory's device id.
    pub id: Option<Box<str>>,
    /// E.g. `Windows 10`, `MacOs`.
    pub operating_system: Option<Box<str>>,
    /// E.g. `Chrome 128.0.0`.
    pub browser: Option<Box<str>>,
    /// `isCompliant`.
    pub compliant: Option<bool>,
    /// `isManaged`.
    pub managed: Option<bool>,
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
    pub city: Option<Box<str>>,
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
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
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
    /// Whether somebody has settled the risk: it is evidence no more.
    pub fn settled(self) -> bool {
        matches!(
            self,
            Self::ConfirmedSafe | Self::Remediated | Self::Dismissed
        )
    }
}
