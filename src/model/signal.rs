//! Signals: named observations with their evidence.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NetworkClass, Place, PolicyName, Prefix, RecordId, RiskLevel, RiskType, SessionId};

/// The kinds of evidence. Signals of one family speak of the same thing, so
/// only the strongest counts; different families are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Where the request came from.
    Network,
    /// How a session moved.
    Session,
    /// What the device says of itself.
    Device,
    /// Adversary in the middle.
    Aitm,
    /// Which protocol was used.
    Protocol,
    /// How the user proved who they are.
    AuthMethod,
    /// What the user usually does.
    Behaviour,
    /// What was left behind to come back.
    Persistence,
    /// Microsoft's own detections.
    MicrosoftRisk,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::Session,
        Self::Device,
        Self::Aitm,
        Self::Protocol,
        Self::AuthMethod,
        Self::Behaviour,
        Self::Persistence,
        Self::MicrosoftRisk,
    ];

    /// The name used in YAML, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Session => "session",
            Self::Device => "device",
            Self::Aitm => "aitm",
            Self::Protocol => "protocol",
            Self::AuthMethod => "auth_method",
            Self::Behaviour => "behaviour",
            Self::Persistence => "persistence",
            Self::MicrosoftRisk => "microsoft_risk",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name of a signal, e.g. `impossible_travel` or `risk.anomalousToken`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignalName(Arc<str>);

impl SignalName {
    /// Wraps a name as it is.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The signal of a Microsoft risk type: `risk.` and Microsoft's name.
    pub fn risk(risk_type: &RiskType) -> Self {
        Self(format!("risk.{}", risk_type.0).into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One observation of one user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What was seen.
    pub name: SignalName,
    /// The kind of evidence.
    pub family: Family,
    /// When the later half of it happened.
    pub at: Timestamp,
    /// The record that completed it in event time. With the name it is the
    /// signal's identity, whatever the order of arrival.
    pub record: RecordId,
    /// What a human needs to judge it.
    pub evidence: Evidence,
    /// What policies' conditions said against it, of its record, when it was
    /// judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<Reservation>,
    /// Which policies' conditions were asked then, by a hash of each policy's
    /// name and conditions: what was added or changed since was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<u64>,
}

/// Why a policy does not count a signal, or not for acting: its conditions,
/// asked once of the record that raised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The policy.
    pub policy: PolicyName,
    /// Which condition.
    #[serde(flatten)]
    pub ground: ReservationGround,
}

/// Which condition of a policy speaks against a signal, the plainest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum ReservationGround {
    /// Its `when` does not hold: the policy does not count the signal.
    When,
    /// An exception holds: the policy does not count the signal.
    Exception {
        /// The exception's name.
        name: Box<str>,
    },
    /// The record does not say what its `when` asks: the signal counts for
    /// asking and not for acting.
    Undecided,
}

impl Signal {
    /// Whether both say the same of the same record.
    pub fn same_as(&self, other: &Self) -> bool {
        self.record == other.record && self.name == other.name
    }

    /// What a policy's conditions said against it.
    pub fn reservation(&self, policy: &PolicyName) -> Option<&ReservationGround> {
        let found = self.reservations.iter().find(|r| r.policy == *policy)?;
        Some(&found.ground)
    }
}

/// A place and network at a time: one end of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub place: Place,
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The network.
    pub prefix: Option<Prefix>,
    /// What kind of network.
    pub class: NetworkClass,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if let Some(asn) = self.asn {
            write!(f, ", AS{asn}")?;
        }
        if self.class != NetworkClass::Ordinary {
            write!(f, " {}", self.class.as_str())?;
        }
        Ok(())
    }
}

/// Why a signal was raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Two places, too far apart for the time between them.
    Travel {
        /// The earlier end.
        from: Sighting,
        /// The later end.
        to: Sighting,
        /// Great-circle distance in km, error radii not yet taken off.
        km: f64,
        /// Speed in km/h after the error radii.
        kmh: f64,
    },
    /// The address was a Tor exit.
    TorExit {
        /// Where.
        sighting: Sighting,
        /// Whether the sign-in succeeded.
        succeeded: bool,
    },
    /// One session on two networks.
    Divergence {
        /// The session.
        session: SessionId,
        /// The earlier end.
        from: Sighting,
        /// The later end.
        to: Sighting,
    },
    /// One session, two clients.
    ClientChange {
        /// The session.
        session: SessionId,
        /// The earlier client, e.g. `Edge on Windows`.
        from: Box<str>,
        /// The later client.
        to: Box<str>,
        /// When the earlier client was seen.
        from_at: Timestamp,
    },
    /// How the sign-in was made.
    Method {
        /// What was odd, e.g. `device code through the authentication broker`.
        what: Box<str>,
        /// The client application, as the record names it.
        app: Option<Box<str>>,
        /// The resource it asked for.
        resource: Option<Box<str>>,
        /// Where from.
        sighting: Sighting,
    },
    /// Something was here, and then there.
    Moved {
        /// What happened on the way, e.g. `the registered device was lost`.
        what: Box<str>,
        /// The session, where it is one.
        session: Option<SessionId>,
        /// The earlier end.
        from: Sighting,
        /// The later end.
        to: Sighting,
    },
    /// The directory was changed.
    Change {
        /// What was done, e.g. `a device was registered`.
        what: Box<str>,
        /// The device or application, as the record names it.
        subject: Option<Box<str>>,
        /// The sign-in it goes with.
        sighting: Option<Sighting>,
    },
    /// Microsoft said so.
    Risk {
        /// Microsoft's type.
        risk_type: RiskType,
        /// Microsoft's level.
        level: RiskLevel,
        /// The sign-in it speaks of (`requestId`).
        #[serde(default)]
        request: Option<RecordId>,
        /// Where that was, once it is known.
        #[serde(default)]
        sighting: Option<Sighting>,
    },
}

impl Evidence {
    /// Where an attacker would be, if it is one.
    pub fn suspect(&self) -> Option<&Sighting> {
        match self {
            Self::Travel { to, .. } | Self::Divergence { to, .. } | Self::Moved { to, .. } => {
                Some(to)
            }
            Self::TorExit { sighting, .. } | Self::Method { sighting, .. } => Some(sighting),
            Self::Change { sighting, .. } | Self::Risk { sighting, .. } => sighting.as_ref(),
            Self::ClientChange { .. } => None,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Travel { from, to, km, kmh } => write!(
                f,
                "{from} → {to}, {} km in {}, {} km/h",
                thousands(*km),
                span(from.at, to.at),
                thousands(*kmh)
            ),
            Self::TorExit {
                sighting,
                succeeded,
            } => write!(
                f,
                "{} from a Tor exit ({sighting})",
                if *succeeded {
                    "signed in"
                } else {
                    "failed to sign in"
                }
            ),
            Self::Divergence { session, from, to } => write!(
                f,
                "session {} began at {from}, {} later used from {to}",
                short(session.as_str()),
                span(from.at, to.at)
            ),
            Self::ClientChange {
                session, from, to, ..
            } => {
                write!(
                    f,
                    "session {} changed client: {from} → {to}",
                    short(session.as_str())
                )
            }
            Self::Method {
                what,
                app,
                resource,
                sighting,
            } => {
                write!(f, "{what}")?;
                if let Some(app) = app {
                    write!(f, ", {app}")?;
                }
                if let Some(resource) = resource {
                    write!(f, " to {resource}")?;
                }
                write!(f, ", from {sighting}")
            }
            Self::Moved {
                what,
                session,
                from,
                to,
            } => {
                write!(f, "{what}: ")?;
                if let Some(session) = session {
                    write!(f, "session {} ", short(session.as_str()))?;
                }
                write!(f, "from {from} to {to}, {} apart", span(from.at, to.at))
            }
            Self::Change {
                what,
                subject,
                sighting,
            } => {
                write!(f, "{what}")?;
                if let Some(subject) = subject {
                    write!(f, " ({subject})")?;
                }
                match sighting {
                    Some(sighting) => write!(f, ", beside a sign-in from {sighting}"),
                    None => Ok(()),
                }
            }
            Self::Risk {
                risk_type,
                level,
                sighting,
                ..
            } => {
                write!(f, "Identity Protection: {} ({level:?})", risk_type.0)?;
                match sighting {
                    Some(sighting) => write!(f, ", of the sign-in from {sighting}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// `4720.3` as `4,720`.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The time between two instants in the largest unit that reads well.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().abs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// The first eight characters of an id.
fn short(id: &str) -> String {
    match id.char_indices().nth(8) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_reads_as_a_sentence() {
        let sighting = |at: i64, city: &str, asn| Sighting {
            at: Timestamp::from_second(at).unwrap(),
            place: Place {
                city: Some(city.into()),
                ..Place::default()
            },
            asn: Some(asn),
            prefix: None,
            class: NetworkClass::Ordinary,
        };
        let evidence = Evidence::Travel {
            from: sighting(0, "Paris", 3215),
            to: Sighting {
                class: NetworkClass::Hosting,
                ..sighting(2280, "Lagos", 16509)
            },
            km: 4720.4,
            kmh: 7450.0,
        };
        assert_eq!(
            evidence.to_string(),
            "Paris, AS3215 → Lagos, AS16509 hosting, 4,720 km in 38 min, 7,450 km/h"
        );
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(12.0), "12");
    }
}
