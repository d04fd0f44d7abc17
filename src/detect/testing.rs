//! Places, people and a small story-teller for the detectors' tests.

use jiff::Timestamp;

use super::{Ground, Intel, Look};
use crate::model::{
    CountryCode, Device, Event, GeoPoint, Network, Parameters, Place, RecordId, RiskDetection,
    RiskLevel, RiskState, RiskType, SessionId, SignIn, Signal, Surroundings, UserId, UserMemory,
    UserRef,
};

/// Where somebody signs in from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) city: &'static str,
    pub(crate) country: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) address: &'static str,
    pub(crate) asn: u32,
}

const fn spot(
    city: &'static str,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    address: &'static str,
    asn: u32,
) -> Spot {
    Spot {
        city,
        country,
        latitude,
        longitude,
        address,
        asn,
    }
}

pub(crate) const PARIS: Spot = spot("Paris", "FR", 48.86, 2.35, "192.0.2.10", 3215);
pub(crate) const PARIS_MOBILE: Spot = spot("Paris", "FR", 48.86, 2.35, "203.0.113.10", 15557);
pub(crate) const MADRID: Spot = spot("Madrid", "ES", 40.42, -3.7, "203.0.113.40", 3352);
pub(crate) const LAGOS: Spot = spot("Lagos", "NG", 6.52, 3.38, "198.51.100.20", 29465);
pub(crate) const HOSTING_ASHBURN: Spot =
    spot("Ashburn", "US", 39.04, -77.49, "198.51.100.77", 16509);
pub(crate) const MICROSOFT: Spot = spot("Dublin", "IE", 53.35, -6.26, "203.0.113.80", 8075);
pub(crate) const TOR: Spot = spot("Berlin", "DE", 52.52, 13.4, "198.51.100.7", 60729);

pub(crate) const UA_EDGE_WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
     (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0";
pub(crate) const UA_EDGE_WINDOWS_NEWER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) \
     AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0";
pub(crate) const UA_CHROME_LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";

/// 2026-11-24T08:00:00Z, the morning the stories play on.
pub(crate) const EPOCH: i64 = 1_795_507_200;

pub(crate) fn ana() -> UserRef {
    UserRef {
        id: UserId::new("ana"),
        principal_name: "ana@contoso.example".into(),
        guest: false,
    }
}

pub(crate) fn sign_in(seconds: i64, spot: Spot) -> SignIn {
    SignIn {
        network: Network {
            address: Some(spot.address.parse().unwrap()),
            asn: Some(spot.asn),
            place: Place {
                city: Some(spot.city.into()),
                country: CountryCode::parse(spot.country),
                point: GeoPoint::new(spot.latitude, spot.longitude),
            },
        },
        ..SignIn::new(
            RecordId::new(format!("{}@{seconds}", spot.address)),
            Timestamp::from_second(EPOCH + seconds).unwrap(),
            ana(),
        )
    }
}

pub(crate) fn risk_detection(seconds: i64, risk_type: &str) -> RiskDetection {
    RiskDetection {
        record: RecordId::new(format!("{risk_type}@{seconds}")),
        detection: format!("{risk_type}-1").into(),
        at: Timestamp::from_second(EPOCH + seconds).unwrap(),
        user: ana(),
        request: None,
        risk_type: RiskType(risk_type.into()),
        level: RiskLevel::Medium,
        state: RiskState::AtRisk,
        network: Network::default(),
    }
}

/// What one sign-in raises of somebody who is known in Paris.
pub(crate) fn names_of(sign_in: &SignIn) -> Vec<String> {
    let mut story = Story::of_known(PARIS);
    let signals = story.tell(Event::SignIn(Box::new(sign_in.clone())));
    signals.iter().map(|s| s.name.to_string()).collect()
}

pub(crate) fn intel() -> Intel {
    Intel {
        tor_exits: Some([TOR.address.parse().unwrap()].into()),
        hosting_asns: Some([HOSTING_ASHBURN.asn].into()),
        vpn_asns: Some([9009].into()),
        ..Intel::default()
    }
}

/// One user's events, one after the other, against a growing memory.
pub(crate) struct Story {
    pub(crate) memory: UserMemory,
    pub(crate) around: Surroundings,
    pub(crate) intel: Intel,
    pub(crate) parameters: Parameters,
}

impl Story {
    /// Of somebody of whom nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            memory: UserMemory::default(),
            around: Surroundings::default(),
            intel: intel(),
            parameters: Parameters::default(),
        }
    }

    /// Of somebody who worked from there on each of ten days before, the last
    /// one the day before yesterday, on the laptop [`LAPTOP`].
    pub(crate) fn of_known(spot: Spot) -> Self {
        let mut story = Self::new();
        for day in 2..=11 {
            let mut event = sign_in(-day * 24 * 3600, spot);
            event.record = RecordId::new(format!("day-{day}"));
            event.device = laptop();
            story.live(&Event::SignIn(Box::new(event)));
        }
        story
    }

    /// What the event raises; then it is remembered, as the engine does.
    pub(crate) fn tell(&mut self, event: Event) -> Vec<Signal> {
        let look = Look::at(&event, &self.intel);
        let ground = Ground {
            memory: &self.memory,
            around: &self.around,
            intel: &self.intel,
            parameters: &self.parameters,
        };
        let signals = look.signals(&ground);
        drop(look);
        for signal in &signals {
            self.memory.remember_signal(signal.clone());
        }
        self.live(&event);
        signals
    }

    fn live(&mut self, event: &Event) {
        let look = Look::at(event, &self.intel);
        let traces = look.traces();
        if let Some(footprint) = traces.footprint {
            self.memory.remember_footprint(footprint);
            self.memory.habits.was_active(event.at());
        }
        if let Some(session) = traces.session {
            self.memory.remember_session(session);
        }
        if let Some(attempt) = traces.attempt {
            self.memory.remember_attempt(attempt);
        }
        if let Some(change) = traces.change {
            self.memory.remember_change(change);
        }
        for habit in look.habits() {
            self.memory.habits.learn(habit, event.at());
        }
        let code = match event {
            Event::SignIn(sign_in) => sign_in.error_code,
            _ => 0,
        };
        self.memory.mark_judged(event.record(), event.at(), code);
    }

    /// A sign-in so many seconds into the story; it happens when the returned
    /// step is asked for its outcome or dropped.
    pub(crate) fn sign_in(&mut self, seconds: i64, spot: Spot) -> Telling<'_> {
        Telling {
            event: sign_in(seconds, spot),
            signals: Vec::new(),
            told: false,
            story: self,
        }
    }
}

/// The registered, compliant laptop of [`Story::of_known`].
pub(crate) fn laptop() -> Device {
    Device {
        id: Some("laptop".into()),
        operating_system: Some("Windows 10".into()),
        browser: Some("Edge 128.0.0".into()),
        compliant: Some(true),
        managed: Some(true),
    }
}

/// A sign-in being told.
pub(crate) struct Telling<'a> {
    story: &'a mut Story,
    event: SignIn,
    pub(crate) signals: Vec<Signal>,
    told: bool,
}

impl Telling<'_> {
    pub(crate) fn session(mut self, id: &str) -> Self {
        self.event.session = Some(SessionId::new(id));
        self
    }

    pub(crate) fn failed(mut self, error_code: i64) -> Self {
        self.event.error_code = error_code;
        self
    }

    pub(crate) fn non_interactive(mut self) -> Self {
        self.event.interactive = false;
        self
    }

    pub(crate) fn agent(mut self, agent: &str) -> Self {
        self.event.user_agent = Some(agent.into());
        self
    }

    pub(crate) fn without_city(mut self) -> Self {
        self.event.network.place.city = None;
        self
    }

    pub(crate) fn done(self) {}

    fn tell(&mut self) {
        if !self.told {
            self.told = true;
            let event = Event::SignIn(Box::new(self.event.clone()));
            self.signals = self.story.tell(event);
        }
    }

    pub(crate) fn names(&mut self) -> Vec<String> {
        self.tell();
        self.signals.iter().map(|s| s.name.to_string()).collect()
    }

    pub(crate) fn texts(&mut self) -> Vec<String> {
        self.tell();
        self.signals
            .iter()
            .map(|s| s.evidence.to_string())
            .collect()
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}
