//! A table of cases for each detector: what fires it, and the nearest miss.
//!
//! Ana has worked from Paris on her managed laptop for ten days, the last the
//! day before yesterday. Each case is a few events after that, and asks whether
//! the last of them raised one signal.

use super::testing::{
    EPOCH, HOSTING_ASHBURN, LAGOS, MADRID, MICROSOFT, PARIS, PARIS_MOBILE, Spot, Story, TOR,
    UA_CHROME_LINUX, UA_EDGE_WINDOWS, ana, laptop, risk_detection, sign_in,
};
use super::{CATALOGUE, apps};
use crate::model::{
    AppRef, AuditKind, ClientApp, ConditionalAccess, DirectoryAudit, Event, GraphActivity,
    IncomingToken, Initiator, Network, Protocol, RecordId, Requirement, RiskDetection, RiskState,
    SessionId, SignIn, Target, Thing, TokenProtection, TransferMethod, UserId,
};

/// A line of Ana's own country that she was never on.
const LYON: Spot = Spot {
    city: "Lyon",
    country: "FR",
    latitude: 45.76,
    longitude: 4.84,
    address: "203.0.113.20",
    asn: 12322,
};
/// Another address of her own provider, in her own city.
const PARIS_NEARBY: Spot = Spot {
    address: "203.0.113.66",
    ..PARIS
};
/// A commercial VPN's exit.
const VPN: Spot = Spot {
    city: "Amsterdam",
    country: "NL",
    latitude: 52.37,
    longitude: 4.9,
    address: "198.51.100.90",
    asn: 9009,
};

const MIN: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Ana, as she is known.
fn known() -> Story {
    Story::of_known(PARIS)
}

/// At her desk, on the laptop, in session `s1`.
fn desk(seconds: i64) -> SignIn {
    SignIn {
        device: laptop(),
        session: Some(SessionId::new("s1")),
        user_agent: Some(UA_EDGE_WINDOWS.into()),
        ..sign_in(seconds, PARIS)
    }
}

/// Session `s1` without her: a machine that nobody registered renews a token.
fn stolen(seconds: i64, spot: Spot) -> SignIn {
    SignIn {
        session: Some(SessionId::new("s1")),
        interactive: false,
        ..sign_in(seconds, spot)
    }
}

/// A new session on a machine that nobody registered, with a human present.
fn fresh(seconds: i64, spot: Spot) -> SignIn {
    SignIn {
        session: Some(SessionId::new("s2")),
        ..sign_in(seconds, spot)
    }
}

fn app(id: &str, name: &str) -> AppRef {
    AppRef {
        id: Some(id.into()),
        name: Some(name.into()),
    }
}

fn portal() -> AppRef {
    app(apps::OFFICE_HOME, "OfficeHome")
}

fn broker() -> AppRef {
    app(apps::BROKER, "Microsoft Authentication Broker")
}

fn graph() -> AppRef {
    app("00000003-0000-0000-c000-000000000000", "Microsoft Graph")
}

fn azure_cli() -> AppRef {
    app(
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "Microsoft Azure CLI",
    )
}

fn drs() -> AppRef {
    app(
        "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9",
        "Device Registration Service",
    )
}

fn failed(mut event: SignIn, code: i64) -> SignIn {
    event.error_code = code;
    event.record = RecordId::new(format!("{}-{code}", event.record));
    event
}

fn in_login(mut event: SignIn, login: &str) -> SignIn {
    event.correlation = Some(login.into());
    event
}

fn by_code(mut event: SignIn) -> SignIn {
    event.transfer_method = TransferMethod::DeviceCodeFlow;
    event
}

fn audit(seconds: i64, kind: AuditKind, what: (&str, &str)) -> Event {
    let at = jiff::Timestamp::from_second(EPOCH + seconds).unwrap();
    Event::DirectoryAudit(Box::new(DirectoryAudit {
        record: RecordId::new(format!("audit-{seconds}")),
        at,
        kind,
        activity: "an activity".into(),
        succeeded: true,
        user: ana(),
        initiator: Initiator::Unknown,
        network: Network::default(),
        user_agent: None,
        targets: vec![Target {
            kind: Some(what.0.into()),
            name: Some(what.1.into()),
            ..Target::default()
        }],
        correlation: None,
        permissions: None,
    }))
}

fn call(seconds: i64, spot: Spot, session: &str) -> Event {
    Event::GraphActivity(Box::new(GraphActivity {
        record: RecordId::new(format!("call-{seconds}")),
        at: jiff::Timestamp::from_second(EPOCH + seconds).unwrap(),
        user: ana(),
        session: SessionId::new(session),
        unique_token: None,
        app: AppRef::default(),
        method: Some("GET".into()),
        path: Some("/v1.0/me/messages".into()),
        status: Some(200),
        network: sign_in(0, spot).network,
        user_agent: None,
    }))
}

fn s(event: SignIn) -> Event {
    Event::SignIn(Box::new(event))
}

fn risk(seconds: i64, risk_type: &str) -> RiskDetection {
    let detection = format!("{risk_type}-{seconds}");
    RiskDetection {
        detection: detection.into(),
        ..risk_detection(seconds, risk_type)
    }
}

fn r(event: RiskDetection) -> Event {
    Event::RiskDetection(Box::new(event))
}

/// What the last of the events raises.
fn last(mut story: Story, events: Vec<Event>) -> Vec<String> {
    let mut raised = Vec::new();
    for event in events {
        raised = story.tell(event);
    }
    raised
        .iter()
        .map(|signal| signal.name.to_string())
        .collect()
}

struct Case {
    signal: &'static str,
    fires: bool,
    what: &'static str,
    raised: Vec<String>,
}

fn fires(signal: &'static str, what: &'static str, events: Vec<Event>) -> Case {
    Case {
        signal,
        fires: true,
        what,
        raised: last(known(), events),
    }
}

fn misses(signal: &'static str, what: &'static str, events: Vec<Event>) -> Case {
    Case {
        fires: false,
        ..fires(signal, what, events)
    }
}

fn of(story: Story, case: Case, events: Vec<Event>) -> Case {
    Case {
        raised: last(story, events),
        ..case
    }
}

fn check(cases: &[Case]) {
    for case in cases {
        assert_eq!(
            case.raised.iter().any(|name| name == case.signal),
            case.fires,
            "{}: {}: {:?}",
            case.signal,
            case.what,
            case.raised
        );
    }
}

fn network_cases() -> Vec<Case> {
    vec![
        fires(
            "impossible_travel",
            "Lagos, 38 min later",
            vec![s(desk(0)), s(fresh(38 * MIN, LAGOS))],
        ),
        misses(
            "impossible_travel",
            "Lagos, by plane",
            vec![s(desk(0)), s(fresh(6 * HOUR, LAGOS))],
        ),
        misses(
            "impossible_travel",
            "her own laptop: a database is wrong",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: laptop(),
                    ..fresh(38 * MIN, LAGOS)
                }),
            ],
        ),
        misses(
            "impossible_travel",
            "a VPN's exit is nowhere",
            vec![s(desk(0)), s(fresh(MIN, VPN))],
        ),
        fires(
            "travel_there_and_back",
            "Paris, Lagos, Paris",
            vec![
                s(desk(0)),
                s(fresh(38 * MIN, LAGOS)),
                s(SignIn {
                    device: Default::default(),
                    ..desk(HOUR)
                }),
            ],
        ),
        fires(
            "travel_there_and_back",
            "Lagos comes late",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: Default::default(),
                    ..desk(HOUR)
                }),
                s(fresh(38 * MIN, LAGOS)),
            ],
        ),
        misses(
            "travel_there_and_back",
            "Paris, Lagos, and a plane back",
            vec![
                s(desk(0)),
                s(fresh(38 * MIN, LAGOS)),
                s(SignIn {
                    device: Default::default(),
                    ..desk(8 * HOUR)
                }),
            ],
        ),
        fires("tor_exit", "through Tor", vec![s(fresh(0, TOR))]),
        misses(
            "tor_exit",
            "failed through Tor",
            vec![s(failed(fresh(0, TOR), 50126))],
        ),
        fires(
            "tor_exit_failed",
            "failed through Tor",
            vec![s(failed(fresh(0, TOR), 50126))],
        ),
        misses(
            "tor_exit_failed",
            "failed from home",
            vec![s(failed(fresh(0, PARIS), 50126))],
        ),
        fires(
            "new_hosting_network",
            "a rented machine",
            vec![s(fresh(0, HOSTING_ASHBURN))],
        ),
        misses(
            "new_hosting_network",
            "Microsoft's own",
            vec![s(fresh(0, MICROSOFT))],
        ),
        of(
            Story::new(),
            misses("new_hosting_network", "of somebody unknown", vec![]),
            vec![s(fresh(0, HOSTING_ASHBURN))],
        ),
        of(
            shared(HOSTING_ASHBURN),
            misses(
                "new_hosting_network",
                "a desktop that colleagues share",
                vec![],
            ),
            vec![s(fresh(0, HOSTING_ASHBURN))],
        ),
        fires(
            "new_vpn_network",
            "a commercial VPN",
            vec![s(fresh(0, VPN))],
        ),
        misses(
            "new_vpn_network",
            "again, the third day",
            vec![s(fresh(0, VPN)), s(fresh(2 * DAY, VPN))],
        ),
        fires("new_country", "Lagos", vec![s(fresh(0, LAGOS))]),
        misses("new_country", "a VPN's exit abroad", vec![s(fresh(0, VPN))]),
        misses(
            "new_country",
            "again, the third day",
            vec![s(fresh(0, LAGOS)), s(fresh(2 * DAY, LAGOS))],
        ),
        of(
            sprayed(31, false),
            fires("password_spray_success", "after 31 users", vec![]),
            vec![s(fresh(10 * MIN, LAGOS))],
        ),
        of(
            sprayed(9, false),
            misses("password_spray_success", "after nine users", vec![]),
            vec![s(fresh(10 * MIN, LAGOS))],
        ),
        of(
            sprayed(40, false),
            misses("password_spray_success", "a failure evicts nobody", vec![]),
            vec![s(failed(fresh(10 * MIN, LAGOS), 50126))],
        ),
        of(
            sprayed(3, true),
            fires("address_probes_disabled", "three disabled accounts", vec![]),
            vec![s(fresh(10 * MIN, LAGOS))],
        ),
        of(
            sprayed(3, false),
            misses(
                "address_probes_disabled",
                "three mistyped passwords",
                vec![],
            ),
            vec![s(fresh(10 * MIN, LAGOS))],
        ),
    ]
}

/// Five colleagues used that network for two days.
fn shared(spot: Spot) -> Story {
    let mut story = known();
    let prefix = crate::model::Prefix::of(spot.address.parse().unwrap());
    for n in 0..5 {
        let user = UserId::new(format!("colleague-{n}"));
        for day in [3, 2] {
            let at = jiff::Timestamp::from_second(EPOCH - day * DAY).unwrap();
            story.around.used(Thing::Prefix(prefix), &user, at);
        }
    }
    story
}

/// So many users failed to sign in from Lagos, a second apart.
fn sprayed(users: usize, disabled: bool) -> Story {
    let mut story = known();
    for n in 0..users {
        let at = jiff::Timestamp::from_second(EPOCH + n as i64).unwrap();
        let user = UserId::new(format!("colleague-{n}"));
        story
            .around
            .failed(LAGOS.address.parse().unwrap(), &user, at, disabled);
    }
    story
}

fn session_cases() -> Vec<Case> {
    let bound = |mut event: SignIn, protection| {
        event.token_protection = protection;
        event
    };
    let prt = |mut event: SignIn| {
        event.incoming_token = IncomingToken::PrimaryRefreshToken;
        event.app = broker();
        event.device = laptop();
        event
    };
    let chrome = |mut event: SignIn| {
        event.user_agent = Some(UA_CHROME_LINUX.into());
        event
    };
    vec![
        fires(
            "session_two_asns",
            "another line of the country",
            vec![s(desk(0)), s(stolen(30 * MIN, LYON))],
        ),
        misses(
            "session_two_asns",
            "with her laptop",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: laptop(),
                    ..stolen(30 * MIN, LYON)
                }),
            ],
        ),
        misses(
            "session_two_asns",
            "a flight later",
            vec![s(desk(0)), s(stolen(3 * HOUR, MADRID))],
        ),
        misses(
            "session_two_asns",
            "her own provider",
            vec![s(desk(0)), s(stolen(30 * MIN, PARIS_NEARBY))],
        ),
        fires(
            "session_hosting",
            "a rented machine",
            vec![s(desk(0)), s(stolen(30 * MIN, HOSTING_ASHBURN))],
        ),
        fires(
            "session_hosting",
            "a rented machine, three weeks later",
            vec![s(desk(0)), s(stolen(21 * DAY, HOSTING_ASHBURN))],
        ),
        misses(
            "session_hosting",
            "her laptop behind a gateway",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: laptop(),
                    ..stolen(30 * MIN, HOSTING_ASHBURN)
                }),
            ],
        ),
        misses(
            "session_hosting",
            "another session",
            vec![s(desk(0)), s(fresh(30 * MIN, HOSTING_ASHBURN))],
        ),
        fires(
            "session_vpn",
            "a commercial VPN",
            vec![s(desk(0)), s(stolen(30 * MIN, VPN))],
        ),
        misses(
            "session_vpn",
            "her laptop switched it on",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: laptop(),
                    ..stolen(30 * MIN, VPN)
                }),
            ],
        ),
        fires(
            "session_client_change",
            "another browser",
            vec![s(desk(0)), s(chrome(stolen(MIN, PARIS)))],
        ),
        misses(
            "session_client_change",
            "no browser at all",
            vec![s(desk(0)), s(stolen(MIN, PARIS))],
        ),
        fires(
            "session_two_countries",
            "Lagos within the hour",
            vec![s(desk(0)), s(stolen(59 * MIN, LAGOS))],
        ),
        misses(
            "session_two_countries",
            "Lagos after the hour",
            vec![s(desk(0)), s(stolen(61 * MIN, LAGOS))],
        ),
        fires(
            "prt_replay",
            "another city in minutes",
            vec![s(desk(0)), s(prt(stolen(10 * MIN, LYON)))],
        ),
        fires(
            "prt_replay",
            "a café, and the laptop never left",
            vec![
                s(desk(0)),
                s(prt(stolen(10 * MIN, PARIS_MOBILE))),
                s(desk(20 * MIN)),
            ],
        ),
        misses(
            "prt_replay",
            "a café, and back in an hour",
            vec![
                s(desk(0)),
                s(prt(stolen(10 * MIN, PARIS_MOBILE))),
                s(desk(60 * MIN)),
            ],
        ),
        misses(
            "prt_replay",
            "another city by train",
            vec![s(desk(0)), s(prt(stolen(3 * HOUR, LYON)))],
        ),
        misses(
            "prt_replay",
            "a café",
            vec![s(desk(0)), s(prt(stolen(30 * MIN, PARIS_MOBILE)))],
        ),
        fires(
            "token_unbound",
            "off the device",
            vec![
                s(bound(desk(0), TokenProtection::Bound)),
                s(bound(stolen(MIN, LYON), TokenProtection::Unbound)),
            ],
        ),
        misses(
            "token_unbound",
            "on her own network",
            vec![
                s(bound(desk(0), TokenProtection::Bound)),
                s(bound(stolen(MIN, PARIS), TokenProtection::Unbound)),
            ],
        ),
        misses(
            "token_unbound",
            "never said to be bound",
            vec![
                s(desk(0)),
                s(bound(stolen(MIN, LYON), TokenProtection::Unbound)),
            ],
        ),
        fires(
            "token_replayed",
            "Graph from Lagos",
            vec![s(desk(0)), call(MIN, LAGOS, "s1")],
        ),
        misses(
            "token_replayed",
            "Graph from home",
            vec![s(desk(0)), call(MIN, PARIS, "s1")],
        ),
        misses(
            "token_replayed",
            "Graph by Microsoft",
            vec![s(desk(0)), call(MIN, MICROSOFT, "s1")],
        ),
        misses(
            "token_replayed",
            "a session nobody saw",
            vec![s(desk(0)), call(MIN, LAGOS, "s9")],
        ),
        fires(
            "birth_elsewhere",
            "while she works",
            vec![s(desk(0)), s(fresh(30 * MIN, LYON))],
        ),
        fires(
            "birth_elsewhere",
            "her record comes later",
            vec![s(fresh(30 * MIN, LYON)), s(desk(0))],
        ),
        misses(
            "birth_elsewhere",
            "long after she left",
            vec![s(desk(0)), s(fresh(61 * MIN, LYON))],
        ),
        misses(
            "birth_elsewhere",
            "nobody present",
            vec![
                s(desk(0)),
                s(SignIn {
                    interactive: false,
                    ..fresh(30 * MIN, LYON)
                }),
            ],
        ),
        misses(
            "birth_elsewhere",
            "on a managed device",
            vec![
                s(desk(0)),
                s(SignIn {
                    device: laptop(),
                    ..fresh(30 * MIN, LYON)
                }),
            ],
        ),
        fires(
            "birth_nearby",
            "her own provider, another address",
            vec![s(desk(0)), s(fresh(30 * MIN, PARIS_NEARBY))],
        ),
        misses(
            "birth_nearby",
            "where she was this morning",
            vec![
                s(SignIn {
                    session: None,
                    ..fresh(-3 * HOUR, PARIS_NEARBY)
                }),
                s(desk(0)),
                s(fresh(30 * MIN, PARIS_NEARBY)),
            ],
        ),
        fires(
            "device_lost",
            "the session without the laptop",
            vec![s(desk(0)), s(stolen(30 * MIN, LYON))],
        ),
        misses(
            "device_lost",
            "a private window at home",
            vec![s(desk(0)), s(stolen(30 * MIN, PARIS))],
        ),
        fires(
            "unmanaged_first",
            "a machine nobody knows",
            vec![s(fresh(0, LYON))],
        ),
        misses(
            "unmanaged_first",
            "not the first",
            vec![s(fresh(-2 * DAY, MADRID)), s(fresh(0, LYON))],
        ),
        of(
            Story::new(),
            misses("unmanaged_first", "of somebody unknown", vec![]),
            vec![s(fresh(0, LYON))],
        ),
    ]
}

fn method_cases() -> Vec<Case> {
    let by = |mut event: SignIn, agent: &str| {
        event.user_agent = Some(agent.into());
        event
    };
    let to = |mut event: SignIn, from: AppRef, to: AppRef| {
        event.app = from;
        event.resource = to;
        event
    };
    let claim = |mut event: SignIn| {
        event.mfa_by_claim = true;
        event
    };
    let denied = |seconds| s(failed(fresh(seconds, LAGOS), 500_121));
    let bound = |mut event: SignIn| {
        event.token_protection = TokenProtection::Bound;
        event.incoming_token = IncomingToken::None;
        event.conditional_access = ConditionalAccess::Success;
        event.device = laptop();
        event
    };
    let ropc = |mut event: SignIn| {
        event.protocol = Protocol::Ropc;
        event.requirement = Requirement::SingleFactor;
        event
    };
    vec![
        fires(
            "kit_user_agent",
            "axios at the portal",
            vec![s(by(to(fresh(0, LYON), portal(), portal()), "axios/1.7.2"))],
        ),
        misses(
            "kit_user_agent",
            "curl at the portal",
            vec![s(by(to(fresh(0, LYON), portal(), portal()), "curl/8.5"))],
        ),
        fires(
            "script_user_agent",
            "curl",
            vec![s(by(fresh(0, LYON), "curl/8.5"))],
        ),
        misses(
            "script_user_agent",
            "as every day",
            vec![
                s(by(fresh(-2 * DAY, PARIS), "curl/8.5")),
                s(by(fresh(0, PARIS), "curl/8.5")),
            ],
        ),
        fires(
            "portal_from_hosting",
            "the portal from a rented machine",
            vec![s(to(fresh(0, HOSTING_ASHBURN), portal(), portal()))],
        ),
        misses(
            "portal_from_hosting",
            "with a registered device",
            vec![s(SignIn {
                device: laptop(),
                ..to(fresh(0, HOSTING_ASHBURN), portal(), portal())
            })],
        ),
        misses(
            "portal_from_hosting",
            "mail from a rented machine",
            vec![s(fresh(0, HOSTING_ASHBURN))],
        ),
        fires(
            "login_relayed",
            "50074, 50140 and a success",
            vec![
                s(in_login(failed(fresh(0, LYON), 50074), "l")),
                s(in_login(failed(fresh(20, LYON), 50140), "l")),
                s(in_login(fresh(40, LYON), "l")),
            ],
        ),
        fires(
            "login_relayed",
            "the success comes first",
            vec![
                s(in_login(fresh(40, LYON), "l")),
                s(in_login(failed(fresh(0, LYON), 50074), "l")),
                s(in_login(failed(fresh(20, LYON), 50140), "l")),
            ],
        ),
        misses(
            "login_relayed",
            "an ordinary first login at home",
            vec![
                s(in_login(failed(fresh(0, PARIS), 50074), "l")),
                s(in_login(failed(fresh(20, PARIS), 50140), "l")),
                s(in_login(fresh(40, PARIS), "l")),
            ],
        ),
        misses(
            "login_relayed",
            "two logins",
            vec![
                s(in_login(failed(fresh(0, LYON), 50074), "l")),
                s(in_login(failed(fresh(20, LYON), 50140), "m")),
                s(in_login(fresh(40, LYON), "l")),
            ],
        ),
        fires(
            "compliant_without_prt",
            "nothing shown, from elsewhere",
            vec![s(bound(fresh(0, LYON)))],
        ),
        misses(
            "compliant_without_prt",
            "at home",
            vec![s(bound(fresh(0, PARIS)))],
        ),
        fires(
            "mfa_by_claim_new_network",
            "a token that had it",
            vec![s(claim(fresh(0, LYON)))],
        ),
        misses(
            "mfa_by_claim_new_network",
            "at home",
            vec![s(claim(fresh(0, PARIS)))],
        ),
        misses(
            "mfa_by_claim_new_network",
            "with a device",
            vec![s(claim(SignIn {
                device: laptop(),
                ..fresh(0, LYON)
            }))],
        ),
        fires(
            "mfa_fatigue",
            "two denials, then yes",
            vec![denied(0), denied(60), s(fresh(120, LAGOS))],
        ),
        fires(
            "mfa_fatigue",
            "the yes comes first",
            vec![s(fresh(120, LAGOS)), denied(0), denied(60)],
        ),
        misses(
            "mfa_fatigue",
            "one denial: a misclick",
            vec![denied(0), s(fresh(120, LAGOS))],
        ),
        misses(
            "mfa_fatigue",
            "two denials, and yes too late",
            vec![denied(0), denied(60), s(fresh(11 * MIN, LAGOS))],
        ),
        fires(
            "credentials_stolen",
            "blocked in Lagos",
            vec![s(failed(fresh(0, LAGOS), 53003))],
        ),
        misses(
            "credentials_stolen",
            "blocked at home",
            vec![s(failed(fresh(0, PARIS), 53003))],
        ),
        misses(
            "credentials_stolen",
            "a wrong password in Lagos",
            vec![s(failed(fresh(0, LAGOS), 50126))],
        ),
        misses(
            "credentials_stolen",
            "blocked in a café",
            vec![s(failed(fresh(0, LYON), 53003))],
        ),
        fires(
            "system_mismatch",
            "the laptop runs Windows",
            vec![s(SignIn {
                device: laptop(),
                ..by(fresh(0, PARIS), UA_CHROME_LINUX)
            })],
        ),
        misses(
            "system_mismatch",
            "the laptop runs Windows, so does the agent",
            vec![s(desk(0))],
        ),
        fires(
            "device_code",
            "the first time",
            vec![s(by_code(fresh(0, PARIS)))],
        ),
        misses(
            "device_code",
            "as every day",
            vec![
                s(by_code(fresh(-2 * DAY, PARIS))),
                s(by_code(fresh(0, PARIS))),
            ],
        ),
        fires(
            "device_code_broker",
            "the broker to Graph",
            vec![s(by_code(to(fresh(0, PARIS), broker(), graph())))],
        ),
        misses(
            "device_code_broker",
            "a command line to Graph",
            vec![s(by_code(to(fresh(0, PARIS), azure_cli(), graph())))],
        ),
        fires(
            "device_code_two_places",
            "redeemed elsewhere",
            vec![
                s(by_code(fresh(0, PARIS))),
                s(SignIn {
                    session: Some(SessionId::new("s2")),
                    ..by_code(stolen(2 * MIN, LAGOS))
                }),
            ],
        ),
        misses(
            "device_code_two_places",
            "redeemed at home",
            vec![
                s(by_code(fresh(0, PARIS))),
                s(SignIn {
                    session: Some(SessionId::new("s2")),
                    ..by_code(stolen(2 * MIN, PARIS))
                }),
            ],
        ),
        fires(
            "code_confirmed",
            "asked, then in",
            vec![
                s(in_login(failed(fresh(0, LYON), 50199), "l")),
                s(in_login(fresh(5 * MIN, LYON), "l")),
            ],
        ),
        misses(
            "code_confirmed",
            "asked, then in at home",
            vec![
                s(in_login(failed(fresh(0, PARIS), 50199), "l")),
                s(in_login(fresh(5 * MIN, PARIS), "l")),
            ],
        ),
        misses(
            "code_confirmed",
            "asked in another login",
            vec![
                s(in_login(failed(fresh(0, LYON), 50199), "l")),
                s(in_login(fresh(5 * MIN, LYON), "m")),
            ],
        ),
        fires(
            "cli_redeemed_elsewhere",
            "two minutes later in Lagos",
            vec![
                s(to(fresh(0, PARIS), azure_cli(), graph())),
                s(SignIn {
                    session: Some(SessionId::new("s2")),
                    ..to(stolen(2 * MIN, LAGOS), azure_cli(), graph())
                }),
            ],
        ),
        misses(
            "cli_redeemed_elsewhere",
            "an hour later in Lagos",
            vec![
                s(to(fresh(0, PARIS), azure_cli(), graph())),
                s(SignIn {
                    session: Some(SessionId::new("s2")),
                    ..to(stolen(HOUR, LAGOS), azure_cli(), graph())
                }),
            ],
        ),
        misses(
            "cli_redeemed_elsewhere",
            "another application",
            vec![
                s(to(fresh(0, PARIS), azure_cli(), graph())),
                s(SignIn {
                    session: Some(SessionId::new("s2")),
                    ..to(stolen(2 * MIN, LAGOS), portal(), graph())
                }),
            ],
        ),
        fires("ropc", "a password alone", vec![s(ropc(fresh(0, PARIS)))]),
        fires(
            "ropc",
            "a legacy client",
            vec![s(SignIn {
                client_app: ClientApp::from("IMAP4"),
                ..fresh(0, PARIS)
            })],
        ),
        misses(
            "ropc",
            "with a second factor",
            vec![s(SignIn {
                requirement: Requirement::MultiFactor,
                ..ropc(fresh(0, PARIS))
            })],
        ),
        misses(
            "ropc",
            "as every day",
            vec![s(ropc(fresh(-2 * DAY, PARIS))), s(ropc(fresh(0, PARIS)))],
        ),
    ]
}

fn persistence_cases() -> Vec<Case> {
    use AuditKind::{ConsentGranted, DeviceRegistered, InboxRule, SecurityInfoRegistered};
    let device = ("Device", "DESKTOP-4711");
    let consents = |permissions: &str| {
        let application = ("ServicePrincipal", "Mail Helper");
        let Event::DirectoryAudit(mut event) = audit(0, ConsentGranted, application) else {
            unreachable!("an audit is one")
        };
        event.permissions = Some(permissions.into());
        Event::DirectoryAudit(event)
    };
    let prt_by_code = |seconds| {
        let mut event = by_code(fresh(seconds, PARIS));
        event.incoming_token = IncomingToken::PrimaryRefreshToken;
        event.app = broker();
        event.user_agent = Some(UA_EDGE_WINDOWS.into());
        s(event)
    };
    let registers = |spot| {
        let mut event = fresh(0, spot);
        event.app = broker();
        event.resource = drs();
        s(event)
    };
    vec![
        fires(
            "security_info_changed",
            "half an hour after Lagos",
            vec![
                s(fresh(0, LAGOS)),
                audit(30 * MIN, SecurityInfoRegistered, ("User", "Ana")),
            ],
        ),
        fires(
            "security_info_changed",
            "Lagos comes late",
            vec![
                audit(30 * MIN, SecurityInfoRegistered, ("User", "Ana")),
                s(fresh(0, LAGOS)),
            ],
        ),
        misses(
            "security_info_changed",
            "from home",
            vec![
                s(desk(0)),
                audit(30 * MIN, SecurityInfoRegistered, ("User", "Ana")),
            ],
        ),
        misses(
            "security_info_changed",
            "two hours after Lagos",
            vec![
                s(fresh(0, LAGOS)),
                audit(2 * HOUR, SecurityInfoRegistered, ("User", "Ana")),
            ],
        ),
        fires(
            "inbox_rule_new_network",
            "after Lagos",
            vec![
                s(fresh(0, LAGOS)),
                audit(30 * MIN, InboxRule, ("User", "Ana")),
            ],
        ),
        misses(
            "inbox_rule_new_network",
            "from home",
            vec![s(desk(0)), audit(30 * MIN, InboxRule, ("User", "Ana"))],
        ),
        fires(
            "device_after_risk",
            "four minutes after an alarm",
            vec![
                r(risk(0, "anonymizedIPAddress")),
                audit(4 * MIN, DeviceRegistered, device),
            ],
        ),
        fires(
            "device_after_risk",
            "the alarm comes late",
            vec![
                audit(4 * MIN, DeviceRegistered, device),
                r(risk(0, "anonymizedIPAddress")),
            ],
        ),
        misses(
            "device_after_risk",
            "six minutes after",
            vec![
                r(risk(0, "anonymizedIPAddress")),
                audit(6 * MIN, DeviceRegistered, device),
            ],
        ),
        fires(
            "device_registration_hosting",
            "from a rented machine",
            vec![registers(HOSTING_ASHBURN)],
        ),
        misses(
            "device_registration_hosting",
            "from a café",
            vec![registers(LYON)],
        ),
        fires(
            "prt_by_device_code",
            "registered, and its token taken",
            vec![audit(0, DeviceRegistered, device), prt_by_code(2 * MIN)],
        ),
        fires(
            "prt_by_device_code",
            "the registration comes late",
            vec![prt_by_code(2 * MIN), audit(0, DeviceRegistered, device)],
        ),
        misses(
            "prt_by_device_code",
            "an hour later",
            vec![audit(0, DeviceRegistered, device), prt_by_code(HOUR)],
        ),
        fires(
            "device_after_code",
            "a code redeemed elsewhere, then a device",
            vec![
                s(by_code(fresh(0, LYON))),
                audit(30 * MIN, DeviceRegistered, device),
            ],
        ),
        misses(
            "device_after_code",
            "a code at home, then a device",
            vec![
                s(by_code(fresh(0, PARIS))),
                audit(30 * MIN, DeviceRegistered, device),
            ],
        ),
        misses(
            "device_after_code",
            "a device, then a code",
            vec![
                audit(0, DeviceRegistered, device),
                s(by_code(fresh(30 * MIN, LYON))),
            ],
        ),
        misses(
            "device_after_code",
            "no code",
            vec![s(desk(0)), audit(30 * MIN, DeviceRegistered, device)],
        ),
        fires(
            "consent_to_mail",
            "nobody knew it",
            vec![consents("Scope: Mail.Read offline_access")],
        ),
        misses(
            "consent_to_mail",
            "it wants the calendar",
            vec![consents("Scope: Calendars.ReadWrite offline_access")],
        ),
        of(
            consented_before(),
            misses("consent_to_mail", "colleagues knew it", vec![]),
            vec![consents("Scope: Mail.Read offline_access")],
        ),
        fires(
            "risk_types_agree",
            "two within minutes",
            vec![
                r(risk(0, "anonymizedIPAddress")),
                r(risk(9 * MIN, "maliciousIPAddress")),
            ],
        ),
        misses(
            "risk_types_agree",
            "the same twice",
            vec![
                r(risk(0, "anonymizedIPAddress")),
                r(risk(9 * MIN, "anonymizedIPAddress")),
            ],
        ),
        misses(
            "risk_types_agree",
            "two that see one new place",
            vec![
                r(risk(0, "unlikelyTravel")),
                r(risk(9 * MIN, "unfamiliarFeatures")),
            ],
        ),
        misses(
            "risk_types_agree",
            "a quarter of an hour apart",
            vec![
                r(risk(0, "anonymizedIPAddress")),
                r(risk(15 * MIN, "maliciousIPAddress")),
            ],
        ),
    ]
}

fn consented_before() -> Story {
    let mut story = known();
    let at = jiff::Timestamp::from_second(EPOCH - 2 * DAY).unwrap();
    let thing = Thing::Consented(crate::model::hash_of("Mail Helper"));
    for n in 0..5 {
        let user = UserId::new(format!("colleague-{n}"));
        story.around.used(thing, &user, at);
    }
    story
}

#[test]
fn networks() {
    check(&network_cases());
}

#[test]
fn sessions() {
    check(&session_cases());
}

#[test]
fn methods() {
    check(&method_cases());
}

#[test]
fn persistence() {
    check(&persistence_cases());
}

#[test]
fn every_signal_has_a_case_that_fires_it_and_one_that_just_misses() {
    let cases: Vec<Case> = [
        network_cases(),
        session_cases(),
        method_cases(),
        persistence_cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for spec in CATALOGUE.iter().filter(|spec| {
        // Microsoft's types are tested in `risk`, a containment in the engine.
        !spec.name.starts_with("risk.") && spec.name != "containment_evaded"
    }) {
        let of_signal = || cases.iter().filter(|case| case.signal == spec.name);
        assert!(
            of_signal().any(|case| case.fires),
            "{} never fires",
            spec.name
        );
        assert!(
            of_signal().any(|case| !case.fires),
            "{} never misses",
            spec.name
        );
    }
}

#[test]
fn a_detection_of_a_failed_sign_in_says_only_that_somebody_tried() {
    let attempt = failed(fresh(0, LAGOS), 50126);
    let of = |risk_type: &str| RiskDetection {
        request: Some(attempt.record.clone()),
        ..risk(0, risk_type)
    };
    let raised = |risk_type: &str| last(known(), vec![s(attempt.clone()), r(of(risk_type))]);
    assert_eq!(raised("anonymizedIPAddress"), Vec::<String>::new());
    // Whatever became of the sign-in, the password is out.
    assert_eq!(raised("leakedCredentials"), ["risk.leakedCredentials"]);
    let dismissed = RiskDetection {
        state: RiskState::Dismissed,
        ..of("leakedCredentials")
    };
    assert_eq!(last(known(), vec![r(dismissed)]), Vec::<String>::new());
}

#[test]
fn a_detection_shows_the_sign_in_it_speaks_of() {
    let mut story = known();
    let visit = fresh(0, LAGOS);
    let detection = RiskDetection {
        request: Some(visit.record.clone()),
        ..risk(5, "anonymizedIPAddress")
    };
    story.tell(s(visit));
    let signals = story.tell(r(detection));
    assert_eq!(
        signals[0].evidence.to_string(),
        "Identity Protection: anonymizedIPAddress (Medium), of the sign-in from Lagos (NG), AS29465"
    );
}
