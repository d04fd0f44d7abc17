//! A client at one address in one session, and how Entra logs what it does.
//!
//! Invariant: the token that was shown, the factors and the client's kind of
//! a record belong together; a scenario picks a way of signing in and changes
//! only what sets it apart. Values follow "Traps" in the facts about records:
//! a browser's cookie is logged as incoming token `none`, what was asked for
//! earlier as `Previously satisfied`.

use super::Stage;
use crate::lab::evaluate::people::{
    App, BY_CLAIM, COMPLETED, EXCHANGE, GRAPH, Machine, OUTLOOK, TEAMS, app, chrome, failed,
    sign_in, step, uuid_of,
};
use crate::lab::evaluate::world::Spot;
use crate::model::{
    ClientApp, ConditionalAccess, Event, IncomingToken, Requirement, SessionId, SignIn,
    TokenProtection, TransferMethod,
};

/// What Entra writes when the token that was shown carried the first alone.
const FIRST_BY_CLAIM: &str = "First factor requirement satisfied by claim in the token";
/// What Entra writes when the user pressed "deny".
pub(super) const DENIED: &str = "MFA denied; user declined the authentication";

const SHAREPOINT: (&str, &str) = (
    "00000003-0000-0ff1-ce00-000000000000",
    "Office 365 SharePoint Online",
);

/// Outlook on the web.
pub(super) const OUTLOOK_WEB: App = app(
    "9199bf20-a13f-4107-85dc-02114787ef48",
    "One Outlook Web",
    EXCHANGE,
);
/// SharePoint in a browser.
pub(super) const SHAREPOINT_WEB: App = app(
    "08e18876-6177-487e-b8b5-cf950c1e598c",
    "SharePoint Online Web Client Extensibility",
    SHAREPOINT,
);
/// Where a user keeps their methods of authentication.
pub(super) const MY_SIGN_INS: App =
    app("19db86c3-b2b9-44cc-b339-36da233a3be2", "My Signins", GRAPH);
/// Office's desktop client, which shares its refresh tokens with its family.
pub(super) const OFFICE_TO_GRAPH: App = app(
    "d3590ed6-52b3-4102-aeff-aad2292ab01c",
    "Microsoft Office",
    GRAPH,
);
/// What IMAP and its like are logged as.
pub(super) const EXCHANGE_ITSELF: App = app(EXCHANGE.0, EXCHANGE.1, EXCHANGE);
/// The old PowerShell module, which password sprayers like for its lack of a
/// redirect.
pub(super) const DIRECTORY_POWERSHELL: App = app(
    "1b730954-1685-4b74-9bfd-dac224a7b894",
    "Azure Active Directory PowerShell",
    LEGACY_DIRECTORY,
);
/// Azure CLI asking for the directory's retired API.
pub(super) const CLI_TO_LEGACY_DIRECTORY: App = app(
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "Microsoft Azure CLI",
    LEGACY_DIRECTORY,
);
const LEGACY_DIRECTORY: (&str, &str) = (
    "00000002-0000-0000-c000-000000000000",
    "Windows Azure Active Directory",
);

/// A thief's computer: Chrome on Windows, known to no directory.
pub(super) fn windows_chrome() -> Machine {
    stranger("Windows 10", "Chrome 130.0.0", &chrome(130))
}

/// A thief's computer: Firefox on Linux.
pub(super) fn linux_firefox() -> Machine {
    stranger(
        "Linux",
        "Firefox 128.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    )
}

/// A thief's computer: Safari on a Mac.
pub(super) fn mac_safari() -> Machine {
    stranger(
        "MacOs",
        "Safari 17.4",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like \
         Gecko) Version/17.4 Safari/605.1.15",
    )
}

/// A program: Entra makes neither a system nor a browser of its user agent.
pub(super) fn script(agent: &str) -> Machine {
    stranger("", "", agent)
}

/// A thief's browser that says it is the victim's: the user agent goes along,
/// the device's certificate does not.
pub(super) fn disguised_as(machine: &Machine) -> Machine {
    Machine {
        id: None,
        managed: false,
        ..machine.clone()
    }
}

fn stranger(system: &'static str, browser: &'static str, agent: &str) -> Machine {
    Machine {
        id: None,
        system,
        browser,
        agent: agent.into(),
        managed: false,
    }
}

/// One client at one address in one session: a thief's, or the victim's own.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) spot: Spot,
    pub(super) machine: Machine,
    pub(super) session: SessionId,
    /// How the session came to this client; it stays with the session.
    pub(super) transfer: TransferMethod,
    pub(super) protection: TokenProtection,
    /// Whether a second factor was given when the session began.
    pub(super) second_factor: bool,
}

impl Client {
    pub(super) fn new(spot: Spot, machine: Machine, session: SessionId) -> Self {
        Self {
            spot,
            machine,
            session,
            transfer: TransferMethod::None,
            // Most records do not say; a play that turns on it sets it.
            protection: TokenProtection::Unknown,
            second_factor: true,
        }
    }

    /// A client of which nothing asked for a second factor.
    pub(super) fn single_factor(self) -> Self {
        Self {
            second_factor: false,
            ..self
        }
    }

    /// A password, and a second factor where one is asked for, given in a
    /// browser.
    pub(super) fn interactive(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        let mut event = self.record(stage, seconds, app);
        event.steps = vec![step("Password", true, "Correct password")];
        if self.second_factor {
            event
                .steps
                .push(step("Mobile app notification", true, COMPLETED));
        }
        event
    }

    /// A browser that shows its cookie: an interactive record in which nobody
    /// typed anything.
    pub(super) fn by_cookie(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        self.satisfied_before(self.record(stage, seconds, app))
    }

    /// A refresh token is redeemed: nobody is present.
    pub(super) fn refresh(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        let mut event = self.satisfied_before(self.record(stage, seconds, app));
        event.interactive = false;
        event.client_app = ClientApp::Modern;
        event.incoming_token = IncomingToken::RefreshToken;
        event
    }

    /// A primary refresh token is redeemed by whoever plays the broker.
    pub(super) fn primary(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        let mut event = self.refresh(stage, seconds, app);
        event.incoming_token = IncomingToken::PrimaryRefreshToken;
        event
    }

    /// A code is redeemed: a token for nothing but the code.
    pub(super) fn redeem_code(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        let mut event = self.refresh(stage, seconds, app);
        event.incoming_token = IncomingToken::None;
        event
    }

    /// An attempt that ended with that error (`status.errorCode`).
    pub(super) fn failure(&self, stage: &Stage<'_>, seconds: i64, app: App, code: i64) -> SignIn {
        failed(self.record(stage, seconds, app), code)
    }

    /// What the session was begun with is not asked for again.
    fn satisfied_before(&self, mut event: SignIn) -> SignIn {
        let outcome = match self.second_factor {
            true => BY_CLAIM,
            false => FIRST_BY_CLAIM,
        };
        event.mfa_by_claim = self.second_factor;
        event.additional_details = self.second_factor.then(|| outcome.into());
        event.steps = vec![step("Previously satisfied", true, outcome)];
        event
    }

    fn record(&self, stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
        let at = stage.at(seconds);
        let mut event = sign_in(
            stage.victim,
            at,
            self.spot,
            &self.machine,
            &self.session,
            app,
        );
        event.transfer_method = self.transfer.clone();
        event.token_protection = self.protection.clone();
        if !self.second_factor {
            event.requirement = Requirement::SingleFactor;
            event.conditional_access = ConditionalAccess::NotApplied;
        }
        event
    }
}

impl Stage<'_> {
    /// A session that began with the thief.
    pub(super) fn new_session(&self, name: &str) -> SessionId {
        SessionId::new(uuid_of(&format!(
            "session of thief {} {name} {}",
            self.run, self.start
        )))
    }

    /// The victim's laptop at home, in its session of the day.
    pub(super) fn laptop(&self) -> Client {
        Client::new(
            self.home(),
            self.victim.laptop.clone(),
            self.laptop_session.clone(),
        )
    }

    /// The thief at that place with that machine, in the session of the
    /// victim's laptop.
    pub(super) fn thief_in_laptop_session(&self, spot: Spot, machine: Machine) -> Client {
        Client::new(spot, machine, self.laptop_session.clone())
    }

    /// The thief in a session of their own.
    pub(super) fn thief(&self, spot: Spot, machine: Machine) -> Client {
        Client::new(spot, machine, self.new_session("own"))
    }

    /// Tells of a sign-in.
    pub(super) fn tell(&mut self, event: SignIn) {
        self.emit(Event::SignIn(Box::new(event)));
    }

    /// The victim at work at home around then: the laptop's broker fetches
    /// tokens for what they have open.
    pub(super) fn victim_works(&mut self, seconds: i64) {
        let laptop = self.laptop();
        let pause = self.between(40, 200);
        self.tell(laptop.primary(self, seconds, OUTLOOK));
        self.tell(laptop.primary(self, seconds + pause, TEAMS));
    }
}
