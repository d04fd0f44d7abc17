//! From what happens in a story to the records that Entra would write.
//!
//! Stories become wire records, not events, and are decoded as the stream is:
//! so a test covers the way from the record to the decision, and what it shows
//! is what the tenant's log would show.
//!
//! Invariant: a record's ids follow from the story's own order of events, and
//! nothing here knows what a detector looks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cast::{App, Cast, Machine, Person, STRANGER, STRANGERS_DEVICE, Spot, id_of};
use super::deed::{Act, DENIED, Deed, How};
use super::risk::Risk;
use super::sentence::What;
use crate::model::{IncomingToken, Protocol, TransferMethod};

/// The tenant of all stories.
const TENANT: &str = "3d1c5c0e-5b8f-4a53-9f0e-77a4f6b1c001";
/// A success that was asked for a second factor, and gave it.
const MFA_COMPLETED: &str = "MFA completed in Azure AD";
const MFA_BY_CLAIM: &str = "MFA requirement satisfied by claim in the token";
const MFA_DENIED: &str = "MFA denied; user declined the authentication";
/// Failures before Conditional Access was asked: the password got nowhere.
const WRONG_CREDENTIALS: [i64; 4] = [50_126, 50_053, 50_034, 50_057];
/// Interrupts that follow after both factors were given.
const INTERRUPTS: [i64; 2] = [50_140, 50_199];

/// A session as far as its next record repeats it.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    device: Option<String>,
    from: Option<String>,
    to: Option<String>,
    by_device_code: bool,
    bound: Option<bool>,
}

/// Writes down what happens in one story.
pub(super) struct Recorder<'c> {
    cast: &'c Cast,
    /// By whom and under which name; `""` is the person's latest.
    sessions: BTreeMap<(String, String), Session>,
    /// The `id` of each person's last sign-in.
    last_sign_in: BTreeMap<String, String>,
    /// Detections that were reported, by person and type: news of one repeats
    /// its id.
    detections: BTreeMap<(String, String), String>,
    written: u32,
}

impl<'c> Recorder<'c> {
    pub(super) fn new(cast: &'c Cast) -> Self {
        Self {
            cast,
            sessions: BTreeMap::new(),
            last_sign_in: BTreeMap::new(),
            detections: BTreeMap::new(),
            written: 0,
        }
    }

    /// The records of what happens at that time; none of what no log shows.
    pub(super) fn records(&mut self, what: &What, at: Timestamp) -> Vec<Value> {
        match what {
            What::Deed(deed) => vec![self.deed(deed, at)],
            What::Others { count, deed } => (0..*count).map(|n| self.other(deed, n, at)).collect(),
            What::Risk(risk) => vec![self.risk(risk, at)],
            What::RiskDismissed { who } => {
                let person = &self.cast.people[who];
                vec![record(
                    "RiskyUsers",
                    at,
                    json!({
                        "id": person.id,
                        "userPrincipalName": person.name,
                        "riskLastUpdatedDateTime": at.to_string(),
                        "riskState": "dismissed",
                        "riskLevel": "none",
                        "isGuest": person.guest,
                    }),
                )]
            }
            What::Revoked { .. } | What::Paused => Vec::new(),
        }
    }

    fn next_id(&mut self, what: &str) -> String {
        self.written += 1;
        id_of(&format!("{what} {}", self.written))
    }

    fn deed(&mut self, deed: &Deed, at: Timestamp) -> Value {
        let person = &self.cast.people[&deed.who];
        match &deed.act {
            Act::SignIn { code } => self.sign_in(deed, person, *code, at),
            Act::Renew | Act::UseSession => self.renewal(deed, person, at),
            Act::CallGraph => self.call(deed, person, at),
            Act::Change {
                activity,
                app,
                permissions,
            } => self.change(deed, person, (activity, app.as_deref(), permissions), at),
        }
    }

    /// The name under which a session is kept. A thief's own is not the one
    /// that its victim goes on with.
    fn label(deed: &Deed) -> String {
        let own = if deed.thief && deed.act != Act::UseSession {
            "a thief's"
        } else {
            ""
        };
        deed.session.clone().unwrap_or_else(|| own.to_owned())
    }

    fn sign_in(&mut self, deed: &Deed, person: &Person, code: i64, at: Timestamp) -> Value {
        let session = Session {
            id: self.next_id("session"),
            device: self.device_of(deed, person),
            from: deed.from.clone(),
            to: deed.to.clone(),
            by_device_code: deed.is_by(How::DeviceCode),
            bound: deed.bound,
        };
        let properties = self.properties(deed, person, &session, code, at);
        if code == 0 {
            let key = (person.key.clone(), Self::label(deed));
            // A session that was named is found by its name and as the latest.
            if !deed.thief && deed.session.is_some() {
                let latest = (person.key.clone(), String::new());
                self.sessions.insert(latest, session.clone());
            }
            self.sessions.insert(key, session);
        }
        record("SignInLogs", at, properties)
    }

    fn renewal(&mut self, deed: &Deed, person: &Person, at: Timestamp) -> Value {
        let mut session = self.session(deed, person);
        if deed.act == Act::UseSession || deed.on.is_some() || deed.agent.is_some() {
            session.device = self.device_of(deed, person);
        }
        session.from = deed.from.clone().or(session.from);
        session.to = deed.to.clone().or(session.to);
        session.bound = deed.bound.or(session.bound);
        let properties = self.properties(deed, person, &session, 0, at);
        record("NonInteractiveUserSignInLogs", at, properties)
    }

    /// The session that a deed goes on with; one from before the story where
    /// nothing is known of it.
    fn session(&mut self, deed: &Deed, person: &Person) -> Session {
        let key = (person.key.clone(), Self::label(deed));
        self.sessions.get(&key).cloned().unwrap_or_else(|| Session {
            id: id_of(&format!("session {} {}", key.0, key.1)),
            device: self.device_of(deed, person),
            from: None,
            to: None,
            by_device_code: false,
            bound: None,
        })
    }

    /// What it is done on: as said, else the person's own machine, else a
    /// stranger's. A program shows no machine.
    fn device_of(&self, deed: &Deed, person: &Person) -> Option<String> {
        if deed.on.is_some() || deed.agent.is_some() {
            return deed.on.clone();
        }
        Some(if deed.thief {
            STRANGERS_DEVICE.to_owned()
        } else {
            person.device.clone()
        })
    }

    fn spot(&self, from: Option<&String>, person: &Person) -> &'c Spot {
        &self.cast.places[from.unwrap_or(&person.place)]
    }

    fn properties(
        &mut self,
        deed: &Deed,
        person: &Person,
        session: &Session,
        code: i64,
        at: Timestamp,
    ) -> Value {
        let cast = self.cast;
        let from = deed.from.as_ref().or(session.from.as_ref());
        let spot = self.spot(from, person);
        let app = &cast.apps[session.to.as_ref().unwrap_or(&person.app)];
        let machine = session.device.as_ref().map(|device| &cast.devices[device]);
        let id = self.next_id("sign-in");
        self.last_sign_in.insert(person.key.clone(), id.clone());
        let correlation = match &deed.login {
            Some(login) => id_of(&format!("login {} {login}", person.key)),
            None => id_of(&format!("login of {id}")),
        };
        let host = if deed.thief { STRANGER } else { person.number };
        let mut properties = json!({
            "id": id,
            "createdDateTime": at.to_string(),
            "userId": person.id,
            "userPrincipalName": person.name,
            "userType": if person.guest { "Guest" } else { "Member" },
            "homeTenantId": TENANT,
            "resourceTenantId": TENANT,
            "correlationId": correlation,
            "isInteractive": matches!(deed.act, Act::SignIn { .. }),
            "sessionId": session_id(session, code),
            "uniqueTokenIdentifier": id_of(&format!("token of {id}")),
            "status": { "errorCode": code },
        });
        let parts = [
            where_from(spot, host),
            with_what(person, machine, deed.agent.as_deref(), app),
            token(deed, session),
            factors(deed, code),
        ];
        for part in parts {
            merge(&mut properties, part);
        }
        properties
    }

    /// A stranger among many, each with a name of their own.
    fn other(&mut self, deed: &Deed, n: u32, at: Timestamp) -> Value {
        let person = Person {
            new: true,
            ..self.cast.person(&format!("other-{n}"))
        };
        let at = at
            .checked_add(jiff::SignedDuration::from_secs(i64::from(n)))
            .unwrap_or(at);
        let Act::SignIn { code } = deed.act else {
            return Value::Null;
        };
        let session = Session {
            id: self.next_id("session"),
            device: deed.on.clone(),
            from: deed.from.clone(),
            to: deed.to.clone(),
            by_device_code: false,
            bound: None,
        };
        let deed = Deed {
            who: person.key.clone(),
            thief: true,
            ..deed.clone()
        };
        let properties = self.properties(&deed, &person, &session, code, at);
        record("SignInLogs", at, properties)
    }

    fn call(&mut self, deed: &Deed, person: &Person, at: Timestamp) -> Value {
        let as_used = Deed {
            act: Act::UseSession,
            ..deed.clone()
        };
        let session = self.session(&as_used, person);
        let spot = self.spot(deed.from.as_ref().or(session.from.as_ref()), person);
        let app = &self.cast.apps[deed.to.as_ref().unwrap_or(&person.app)];
        let host = if deed.thief { STRANGER } else { person.number };
        record(
            "MicrosoftGraphActivityLogs",
            at,
            json!({
                "requestId": self.next_id("call"),
                "timeGenerated": at.to_string(),
                "userId": person.id,
                "sessionId": session.id,
                "appId": app.id,
                "ipAddress": spot.address(host).to_string(),
                "userAgent": deed.agent,
                "requestMethod": "GET",
                "requestUri": "https://graph.microsoft.com/v1.0/me/messages",
                "responseStatusCode": 200,
            }),
        )
    }

    fn change(
        &mut self,
        deed: &Deed,
        person: &Person,
        (activity, app, permissions): (&str, Option<&str>, &[String]),
        at: Timestamp,
    ) -> Value {
        let host = if deed.thief { STRANGER } else { person.number };
        let spot = self.spot(deed.from.as_ref(), person);
        let id = self.next_id("audit");
        let user = json!({
            "type": "User", "id": person.id, "userPrincipalName": person.name,
        });
        let mut targets = vec![user];
        if activity == "Register device" {
            targets.push(json!({
                "type": "Device",
                "id": id_of(&format!("device of {id}")),
                "displayName": "DESKTOP-1A2B3C4",
            }));
        }
        if let Some(app) = app {
            let granted = format!("Scope: {}", permissions.join(" "));
            targets.push(json!({
                "type": "ServicePrincipal",
                "id": id_of(&format!("app {app}")),
                "displayName": app,
                "modifiedProperties": [
                    { "displayName": "ConsentAction.Permissions", "newValue": granted },
                ],
            }));
        }
        record(
            "AuditLogs",
            at,
            json!({
                "id": id,
                "activityDateTime": at.to_string(),
                "activityDisplayName": activity,
                "result": "success",
                "initiatedBy": { "user": {
                    "id": person.id,
                    "userPrincipalName": person.name,
                    "ipAddress": spot.address(host).to_string(),
                } },
                "targetResources": targets,
                "additionalDetails": [{ "key": "User-Agent", "value": deed.agent }],
            }),
        )
    }

    fn risk(&mut self, risk: &Risk, at: Timestamp) -> Value {
        let person = &self.cast.people[&risk.who];
        let last = self.last_sign_in.get(&risk.who);
        let request = last.filter(|_| risk.of_sign_in).cloned();
        let key = (risk.who.clone(), risk.kind.clone());
        let known = self.detections.get(&key).cloned();
        let id = match known.filter(|_| risk.state != "atRisk") {
            Some(id) => id,
            None => self.next_id("detection"),
        };
        self.detections.insert(key, id.clone());
        let mut properties = json!({
            "id": id,
            "requestId": request,
            "riskEventType": risk.kind,
            "riskLevel": risk.level,
            "riskState": risk.state,
            "activityDateTime": at.to_string(),
            "detectedDateTime": at.to_string(),
            "lastUpdatedDateTime": at.to_string(),
        });
        if let Some(from) = &risk.from {
            let spot = &self.cast.places[from];
            merge(&mut properties, where_from(spot, STRANGER));
        }
        if person.service {
            let own = json!({
                "servicePrincipalId": person.id,
                "servicePrincipalDisplayName": person.name,
            });
            merge(&mut properties, own);
            return record("ServicePrincipalRiskEvents", at, properties);
        }
        let own = json!({ "userId": person.id, "userPrincipalName": person.name });
        merge(&mut properties, own);
        record("UserRiskEvents", at, properties)
    }
}

/// A password that got nowhere has no session yet.
fn session_id(session: &Session, code: i64) -> Option<&str> {
    (!WRONG_CREDENTIALS.contains(&code)).then_some(session.id.as_str())
}

fn where_from(spot: &Spot, host: u8) -> Value {
    let point = spot
        .point
        .map(|(latitude, longitude)| json!({ "latitude": latitude, "longitude": longitude }));
    let kind = if spot.trusted {
        "trustedNamedLocation"
    } else {
        "namedNetwork"
    };
    json!({
        "ipAddress": spot.address(host).to_string(),
        "autonomousSystemNumber": spot.asn,
        "location": {
            "city": spot.city,
            "countryOrRegion": spot.country,
            "geoCoordinates": point,
        },
        "networkLocationDetails": [{ "networkType": kind, "networkNames": [] }],
    })
}

fn with_what(person: &Person, machine: Option<&Machine>, agent: Option<&str>, app: &App) -> Value {
    let detail = machine.map(|machine| {
        json!({
            "deviceId": machine.id(person),
            "operatingSystem": machine.os,
            "browser": machine.browser,
            "isCompliant": machine.managed,
            "isManaged": machine.managed,
        })
    });
    json!({
        "appId": app.id,
        "appDisplayName": app.name,
        "resourceId": app.resource_id,
        "resourceDisplayName": app.resource,
        "userAgent": agent.or(machine.map(|machine| machine.agent.as_str())),
        "deviceDetail": detail.unwrap_or_else(|| json!({ "deviceId": "" })),
    })
}

fn token(deed: &Deed, session: &Session) -> Value {
    let shown = if deed.is_by(How::Prt) {
        IncomingToken::PrimaryRefreshToken
    } else if matches!(deed.act, Act::SignIn { .. }) {
        IncomingToken::None
    } else {
        IncomingToken::RefreshToken
    };
    let protocol = if deed.is_by(How::Password) {
        Protocol::Ropc
    } else if deed.is_by(How::DeviceCode) {
        Protocol::DeviceCode
    } else {
        Protocol::None
    };
    let transfer = if session.by_device_code || deed.is_by(How::DeviceCode) {
        TransferMethod::DeviceCodeFlow
    } else {
        TransferMethod::None
    };
    let protection = match deed.bound.or(session.bound) {
        None => "none",
        Some(true) => "bound",
        Some(false) => "unbound",
    };
    json!({
        "clientAppUsed": "Browser",
        "incomingTokenType": shown.to_string(),
        "authenticationProtocol": protocol.to_string(),
        "originalTransferMethod": transfer.to_string(),
        "tokenProtectionStatusDetails": { "signInSessionStatus": protection },
    })
}

/// Which factors had been given follows from the outcome.
fn factors(deed: &Deed, code: i64) -> Value {
    let step = |method: &str, succeeded: bool, detail: &str| {
        json!({
            "authenticationMethod": method,
            "succeeded": succeeded,
            "authenticationStepResultDetail": detail,
        })
    };
    let password = || step("Password", true, "Correct password");
    let completed = || step("Mobile app notification", true, MFA_COMPLETED);
    let (requirement, access, steps) = match code {
        _ if WRONG_CREDENTIALS.contains(&code) => (
            "singleFactorAuthentication",
            "notApplied",
            vec![step("Password", false, "Invalid username or password")],
        ),
        DENIED => (
            "multiFactorAuthentication",
            "failure",
            vec![
                password(),
                step("Mobile app notification", false, MFA_DENIED),
            ],
        ),
        0 if deed.is_by(How::Password) => {
            ("singleFactorAuthentication", "notApplied", vec![password()])
        }
        0 if deed.is_by(How::Claim) => (
            "multiFactorAuthentication",
            "success",
            vec![step("Previously satisfied", true, MFA_BY_CLAIM)],
        ),
        _ if code == 0 || INTERRUPTS.contains(&code) => (
            "multiFactorAuthentication",
            "success",
            vec![password(), completed()],
        ),
        _ => ("multiFactorAuthentication", "failure", vec![password()]),
    };
    json!({
        "authenticationRequirement": requirement,
        "conditionalAccessStatus": access,
        "authenticationDetails": steps,
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn record(category: &str, at: Timestamp, properties: Value) -> Value {
    json!({
        "time": at.to_string(),
        "tenantId": TENANT,
        "category": category,
        "properties": properties,
    })
}
