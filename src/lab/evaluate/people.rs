//! People, what they carry, and how a sign-in of theirs is written down.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::world::{City, Dice, Spot};
use crate::model::{
    AppRef, AuthenticationStep, ClientApp, ConditionalAccess, Device, Event, IncomingToken,
    Protocol, RecordId, Requirement, SessionId, SignIn, TransferMethod, UserId, UserRef,
};

/// A computer or a phone with the client that is used on it.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// The directory's device id; `None` where it is not registered.
    pub(super) id: Option<Box<str>>,
    pub(super) system: &'static str,
    pub(super) browser: &'static str,
    pub(super) agent: Box<str>,
    /// Enrolled and compliant.
    pub(super) managed: bool,
}

impl Machine {
    /// `deviceDetail` as Entra writes it.
    pub(super) fn detail(&self) -> Device {
        if self.system.is_empty() {
            return Device::default();
        }
        Device {
            id: self.id.clone(),
            operating_system: Some(self.system.into()),
            browser: Some(self.browser.into()),
            compliant: self.id.is_some().then_some(self.managed),
            managed: self.id.is_some().then_some(self.managed),
        }
    }
}

/// Edge on Windows of that version.
pub(super) fn edge(version: u32) -> Box<str> {
    format!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/{version}.0.0.0 Safari/537.36 Edg/{version}.0.0.0"
    )
    .into()
}

/// Chrome on Windows of that version.
pub(super) fn chrome(version: u32) -> Box<str> {
    format!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/{version}.0.0.0 Safari/537.36"
    )
    .into()
}

/// Safari on an iPhone.
pub(super) fn iphone() -> Box<str> {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
        .into()
}

/// Somebody at Contoso.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// Their number in the population; everything about them follows from it
    /// and the seed.
    pub(super) number: u32,
    pub(super) user: UserRef,
    pub(super) city: City,
    /// Their line at home, by its number (`World::home`).
    pub(super) household: u32,
    /// Their carrier (`World::mobile`).
    pub(super) carrier: u32,
    pub(super) laptop: Machine,
    pub(super) phone: Machine,
}

impl Person {
    pub(super) fn new(number: u32, city: City, dice: &mut Dice) -> Self {
        let id = uuid_of(&format!("person {number}"));
        Self {
            number,
            user: UserRef {
                id: UserId::new(id.clone()),
                principal_name: format!("user{number:05}@contoso.example").into(),
                guest: false,
                workload: false,
            },
            city,
            household: number * 7 + dice.random_range(0..7),
            carrier: dice.random_range(0..2),
            laptop: Machine {
                id: Some(uuid_of(&format!("laptop {number}"))),
                system: "Windows 10",
                browser: "Edge 128.0.0",
                agent: edge(128),
                managed: true,
            },
            phone: Machine {
                id: Some(uuid_of(&format!("phone {number}"))),
                system: "Ios 18.1",
                browser: "Mobile Safari 18.1",
                agent: iphone(),
                managed: true,
            },
        }
    }

    /// The session of one of their machines on that day: laptops sign in anew
    /// each morning, phones keep theirs for weeks.
    pub(super) fn session(&self, machine: &str, generation: u32) -> SessionId {
        SessionId::new(uuid_of(&format!(
            "session {} {machine} {generation}",
            self.number
        )))
    }
}

/// An application and what it is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct App {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) resource_id: &'static str,
    pub(super) resource: &'static str,
}

pub(super) const EXCHANGE: (&str, &str) = (
    "00000002-0000-0ff1-ce00-000000000000",
    "Office 365 Exchange Online",
);
pub(super) const GRAPH: (&str, &str) = ("00000003-0000-0000-c000-000000000000", "Microsoft Graph");
const ARM: (&str, &str) = (
    "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "Azure Resource Manager",
);
const DEVICE_REGISTRATION: (&str, &str) = (
    "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9",
    "Device Registration Service",
);

pub(super) const fn app(
    id: &'static str,
    name: &'static str,
    to: (&'static str, &'static str),
) -> App {
    App {
        id,
        name,
        resource_id: to.0,
        resource: to.1,
    }
}

pub(super) const OFFICE_HOME: App = app(
    "4765445b-32c6-49b0-83e6-1d93765276ca",
    "OfficeHome",
    ("4765445b-32c6-49b0-83e6-1d93765276ca", "OfficeHome"),
);
pub(super) const OUTLOOK: App = app(
    "d3590ed6-52b3-4102-aeff-aad2292ab01c",
    "Microsoft Office",
    EXCHANGE,
);
pub(super) const OUTLOOK_MOBILE: App = app(
    "27922004-5251-4030-b22d-91ecd9a37ea4",
    "Outlook Mobile",
    EXCHANGE,
);
pub(super) const TEAMS: App = app(
    "1fec8e78-bce4-4aaf-ab1b-5451cc387264",
    "Microsoft Teams",
    GRAPH,
);
pub(super) const AZURE_CLI: App = app(
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "Microsoft Azure CLI",
    ARM,
);
pub(super) const VS_CODE: App = app(
    "aebc6443-996d-45c2-90f0-388ff96faa56",
    "Visual Studio Code",
    GRAPH,
);
pub(super) const BROKER_TO_GRAPH: App = app(
    "29d9ed98-a469-4536-ade2-f981bc1d605e",
    "Microsoft Authentication Broker",
    GRAPH,
);
pub(super) const BROKER_TO_EXCHANGE: App = app(
    "29d9ed98-a469-4536-ade2-f981bc1d605e",
    "Microsoft Authentication Broker",
    EXCHANGE,
);
pub(super) const BROKER_TO_DEVICE_REGISTRATION: App = app(
    "29d9ed98-a469-4536-ade2-f981bc1d605e",
    "Microsoft Authentication Broker",
    DEVICE_REGISTRATION,
);

/// What a sign-in is filled into: a success of that machine there and then.
/// The rest of the fields follow by struct update or by assignment.
pub(super) fn sign_in(
    person: &Person,
    at: Timestamp,
    spot: Spot,
    machine: &Machine,
    session: &SessionId,
    app: App,
) -> SignIn {
    let key = format!(
        "{} {at} {} {} {}",
        person.number, spot.address, app.name, session
    );
    SignIn {
        session: Some(session.clone()),
        correlation: Some(uuid_of(&format!("correlation {key}"))),
        unique_token: Some(uuid_of(&format!("token {key}"))),
        app: AppRef {
            id: Some(app.id.into()),
            name: Some(app.name.into()),
        },
        resource: AppRef {
            id: Some(app.resource_id.into()),
            name: Some(app.resource.into()),
        },
        network: spot.network(),
        user_agent: Some(machine.agent.clone()),
        device: machine.detail(),
        client_app: ClientApp::Browser,
        protocol: Protocol::None,
        transfer_method: TransferMethod::None,
        requirement: Requirement::MultiFactor,
        conditional_access: ConditionalAccess::Success,
        incoming_token: IncomingToken::None,
        ..SignIn::new(
            RecordId::new(uuid_of(&format!("record {key}"))),
            at,
            person.user.clone(),
        )
    }
}

/// What Entra writes when the token that was shown carried the second factor.
pub(super) const BY_CLAIM: &str = "MFA requirement satisfied by claim in the token";
/// What Entra writes when the second factor was given there and then.
pub(super) const COMPLETED: &str = "MFA completed in Azure AD";

/// Makes an attempt of a record: which factors had been given, and what
/// Conditional Access said, follows from the error.
pub(super) fn failed(mut event: SignIn, code: i64) -> SignIn {
    event.error_code = code;
    event.unique_token = None;
    match code {
        // A page was shown in between ("stay signed in?", "are you signing in
        // to …?"): the factors were given, the policies are content.
        50_058 | 50_140 | 50_199 => {}
        // The password did not get anywhere: Conditional Access was not asked.
        50_034 | 50_053 | 50_057 | 50_126 => {
            let outcome = match code {
                50_053 => "Account is locked",
                50_057 => "User account is disabled",
                _ => "Invalid username or password",
            };
            event.session = None;
            event.requirement = Requirement::SingleFactor;
            event.conditional_access = ConditionalAccess::NotApplied;
            event.mfa_by_claim = false;
            event.additional_details = None;
            event.steps = vec![step("Password", false, outcome)];
        }
        // The password was right; the second factor or a policy stopped it.
        _ => {
            event.requirement = Requirement::MultiFactor;
            event.conditional_access = ConditionalAccess::Failure;
            event.mfa_by_claim = false;
            event.additional_details = None;
            event.steps = vec![step("Password", true, "Correct password")];
        }
    }
    event
}

/// One entry of `authenticationDetails`.
pub(super) fn step(method: &str, succeeded: bool, outcome: &str) -> AuthenticationStep {
    AuthenticationStep {
        method: Some(method.into()),
        succeeded: Some(succeeded),
        outcome: Some(outcome.into()),
    }
}

/// An event and when it reaches the daemon.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) arrives: Timestamp,
    pub(super) event: Event,
    pub(super) label: Label,
}

/// What an event is in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Ordinary life, by the habit it belongs to.
    Benign(&'static str),
    /// Part of that run of an attack (an index into the list of runs).
    Attack(usize),
}

/// Sign-ins arrive 1–5 minutes after they happened, a few up to an hour
/// (entra-records.md: P95 2 min, P99 5 min).
pub(super) fn transport(dice: &mut Dice) -> SignedDuration {
    SignedDuration::from_secs(match dice.random_range(0..1000) {
        0..950 => dice.random_range(20..120),
        950..990 => dice.random_range(120..300),
        _ => dice.random_range(300..3600),
    })
}

/// An id that follows from a text.
pub(super) fn uuid_of(text: &str) -> Box<str> {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes())
        .to_string()
        .into()
}
