//! Entra records as diagnostic settings write them, made from nothing.
//!
//! The shapes follow Microsoft's published schemas, field by field, and share
//! no type with the decoder: a field the decoder misreads is misread here too
//! only if the schema is.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

/// The lab's tenant.
pub const TENANT: &str = "3c7a8d10-52b6-4e0f-9a41-c0117050e001";

/// Where somebody signs in from. Addresses are from 198.18.0.0/15 (RFC 2544)
/// and autonomous systems from 64496–64511 (RFC 5398), so that no real
/// network is accused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// The city.
    pub city: &'static str,
    /// Its country, ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The third octet and whether it is in 198.18 or 198.19.
    pub network: (u8, u8),
    /// The autonomous system.
    pub asn: u32,
}

impl Spot {
    /// An address in the spot's /24.
    pub fn address(&self, host: u8) -> String {
        format!("198.{}.{}.{host}", self.network.0, self.network.1)
    }
}

const fn spot(
    city: &'static str,
    country: &'static str,
    point: (f64, f64),
    network: (u8, u8),
    asn: u32,
) -> Spot {
    Spot {
        city,
        country,
        latitude: point.0,
        longitude: point.1,
        network,
        asn,
    }
}

/// Contoso's offices.
pub const OFFICES: [Spot; 6] = [
    spot("Paris", "FR", (48.86, 2.35), (18, 10), 64496),
    spot("Madrid", "ES", (40.42, -3.70), (18, 11), 64497),
    spot("Berlin", "DE", (52.52, 13.40), (18, 12), 64498),
    spot("Milan", "IT", (45.46, 9.19), (18, 13), 64499),
    spot("London", "GB", (51.51, -0.13), (18, 14), 64501),
    spot("Warsaw", "PL", (52.23, 21.01), (18, 15), 64502),
];
/// An ordinary access network, far away.
pub const LAGOS: Spot = spot("Lagos", "NG", (6.52, 3.38), (19, 20), 64503);
/// Another.
pub const SAO_PAULO: Spot = spot("São Paulo", "BR", (-23.55, -46.63), (19, 21), 64504);
/// A hosting provider, on the lab's list.
pub const HOSTING: Spot = spot("Ashburn", "US", (39.04, -77.49), (19, 30), 64500);
/// Another address range of it.
pub const HOSTING_SINGAPORE: Spot = spot("Singapore", "SG", (1.35, 103.82), (19, 31), 64500);
/// A Tor exit, on the lab's list at [`Spot::address`] 7.
pub const TOR_EXIT: Spot = spot("Reykjavík", "IS", (64.15, -21.94), (19, 40), 64505);

/// Somebody who works at Contoso.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The object id.
    pub id: String,
    /// The user principal name.
    pub principal_name: String,
    /// The display name.
    pub name: String,
    /// Where they sit.
    pub home: Spot,
    /// The last octet of their address there.
    pub host: u8,
}

impl Person {
    /// A person whose id derives from the name, the same in every run.
    pub fn new(name: &str, home: Spot, host: u8) -> Self {
        let principal_name = format!("{}@contoso.example", name.to_lowercase().replace(' ', "."));
        let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, principal_name.as_bytes()).to_string();
        Self {
            id,
            principal_name,
            name: name.to_owned(),
            home,
            host,
        }
    }

    /// The session this person has had since the morning.
    pub fn session(&self) -> String {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.id.as_bytes()).to_string()
    }
}

/// A browser as Entra logs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agent {
    /// The `User-Agent` header.
    pub header: &'static str,
    /// `deviceDetail.browser`.
    pub browser: &'static str,
    /// `deviceDetail.operatingSystem`.
    pub system: &'static str,
}

/// What Contoso's laptops run.
pub const EDGE: Agent = Agent {
    header: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    browser: "Edge 142.0.0",
    system: "Windows10",
};
/// What a thief's virtual machine runs.
pub const CHROME_LINUX: Agent = Agent {
    header: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/139.0.0.0 Safari/537.36",
    browser: "Chrome 139.0.0",
    system: "Linux",
};

/// An application and what it signs in to, as Entra logs them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Application {
    /// `appId` and `appDisplayName`.
    pub app: (&'static str, &'static str),
    /// `resourceId` and `resourceDisplayName`.
    pub resource: (&'static str, &'static str),
}

/// The portal in a browser, as everybody begins the day.
pub const PORTAL: Application = Application {
    app: ("4765445b-32c6-49b0-83e6-1d93765276ca", "OfficeHome"),
    resource: (
        "00000003-0000-0ff1-ce00-000000000000",
        "Office 365 SharePoint Online",
    ),
};
/// What a phished code is most often for: a public client that reads mail.
pub const MAIL: Application = Application {
    app: ("d3590ed6-52b3-4102-aeff-aad2292ab01c", "Microsoft Office"),
    resource: (
        "00000002-0000-0ff1-ce00-000000000000",
        "Office 365 Exchange Online",
    ),
};
/// What a meeting room's screen runs.
pub const TEAMS: Application = Application {
    app: ("1fec8e78-bce4-4aaf-ab1b-5451cc387264", "Microsoft Teams"),
    resource: (
        "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe",
        "Microsoft Teams Services",
    ),
};

/// One sign-in to be written as a record.
#[derive(Debug, Clone)]
pub struct SignInRecord<'a> {
    /// Who.
    pub person: &'a Person,
    /// From where.
    pub spot: Spot,
    /// The last octet of the address.
    pub host: u8,
    /// When it happened.
    pub at: Timestamp,
    /// In which session.
    pub session: String,
    /// With which browser.
    pub agent: Agent,
    /// With which application.
    pub client: Application,
    /// Whether the session came by device code.
    pub device_code: bool,
    /// Whether on the person's own laptop, registered and compliant.
    pub laptop: bool,
    /// `SignInLogs` or `NonInteractiveUserSignInLogs`.
    pub interactive: bool,
    /// 0 is success.
    pub error_code: u32,
    /// The record's id.
    pub id: String,
}

impl<'a> SignInRecord<'a> {
    /// An ordinary interactive sign-in at home.
    pub fn at_home(person: &'a Person, at: Timestamp) -> Self {
        Self {
            person,
            spot: person.home,
            host: person.host,
            at,
            session: person.session(),
            agent: EDGE,
            client: PORTAL,
            device_code: false,
            laptop: true,
            interactive: true,
            error_code: 0,
            id: record_id(&[&person.id, &at.to_string(), "sign-in"]),
        }
    }

    /// The record as diagnostic settings write it.
    pub fn to_json(&self) -> Value {
        let category = if self.interactive {
            "SignInLogs"
        } else {
            "NonInteractiveUserSignInLogs"
        };
        let address = self.spot.address(self.host);
        let correlation = record_id(&[&self.id, "correlation"]);
        json!({
            "time": (self.at + SignedDuration::from_secs(1)).to_string(),
            "resourceId": format!("/tenants/{TENANT}/providers/Microsoft.aadiam"),
            "operationName": "Sign-in activity",
            "operationVersion": "1.0",
            "category": category,
            "tenantId": TENANT,
            "resultType": self.error_code.to_string(),
            "resultSignature": if self.error_code == 0 { "SUCCESS" } else { "FAILURE" },
            "durationMs": 0,
            "callerIpAddress": address,
            "correlationId": correlation,
            "identity": self.person.name,
            "Level": 4,
            "location": self.spot.country,
            "properties": merged([
                self.who_and_what(&correlation),
                self.whence(&address),
                self.how_it_was_judged(),
            ]),
        })
    }

    fn who_and_what(&self, correlation: &str) -> Value {
        let client = self.client;
        // Once the code is redeemed only the way the session came by says so.
        let redeems = self.device_code && self.interactive;
        json!({
            "id": self.id,
            "createdDateTime": self.at.to_string(),
            "userDisplayName": self.person.name,
            "userPrincipalName": self.person.principal_name,
            "userId": self.person.id,
            "userType": "Member",
            "appId": client.app.0,
            "appDisplayName": client.app.1,
            "resourceDisplayName": client.resource.1,
            "resourceId": client.resource.0,
            "resourceTenantId": TENANT,
            "homeTenantId": TENANT,
            "crossTenantAccessType": "none",
            "correlationId": correlation,
            "isInteractive": self.interactive,
            "sessionId": self.session,
            "uniqueTokenIdentifier": record_id(&[&self.id, "token"]),
            "incomingTokenType": "none",
            "authenticationProtocol": if redeems { "deviceCode" } else { "none" },
            "originalTransferMethod": if self.device_code { "deviceCodeFlow" } else { "none" },
        })
    }

    fn whence(&self, address: &str) -> Value {
        json!({
            "ipAddress": address,
            "autonomousSystemNumber": self.spot.asn,
            "clientAppUsed": "Browser",
            "userAgent": self.agent.header,
            "deviceDetail": self.device(),
            "location": {
                "city": self.spot.city,
                "state": "",
                "countryOrRegion": self.spot.country,
                "geoCoordinates": {
                    "latitude": self.spot.latitude,
                    "longitude": self.spot.longitude,
                },
            },
        })
    }

    /// What is not registered has an empty id and no name.
    fn device(&self) -> Value {
        let id = self.laptop.then(|| record_id(&[&self.person.id, "laptop"]));
        json!({
            "deviceId": id.clone().unwrap_or_default(),
            "displayName": id.map(|id| format!("CONTOSO-{}", &id[..6])).unwrap_or_default(),
            "operatingSystem": self.agent.system,
            "browser": self.agent.browser,
            "isCompliant": self.laptop,
            "isManaged": self.laptop,
            "trustType": if self.laptop { "Azure AD joined" } else { "" },
        })
    }

    fn how_it_was_judged(&self) -> Value {
        let succeeded = self.error_code == 0;
        let policies: Vec<Value> = (0..4).map(conditional_access_result).collect();
        json!({
            "status": {
                "errorCode": self.error_code,
                "failureReason": if succeeded { "Other." } else { "Invalid username or password." },
                "additionalDetails": "MFA requirement satisfied by claim in the token",
            },
            "conditionalAccessStatus": "success",
            "appliedConditionalAccessPolicies": policies,
            "authenticationRequirement": "multiFactorAuthentication",
            "riskDetail": "none",
            "riskLevelAggregated": "none",
            "riskLevelDuringSignIn": "none",
            "riskState": "none",
            "riskEventTypes": [],
            "riskEventTypes_v2": [],
        })
    }
}

/// One object of all the keys of several.
fn merged(parts: [Value; 3]) -> Value {
    let mut all = serde_json::Map::new();
    for part in parts {
        if let Value::Object(keys) = part {
            all.extend(keys);
        }
    }
    Value::Object(all)
}

fn conditional_access_result(index: u32) -> Value {
    json!({
        "id": record_id(&["policy", &index.to_string()]),
        "displayName": format!("CA{index:03}: require multifactor authentication"),
        "enforcedGrantControls": ["Mfa"],
        "enforcedSessionControls": [],
        "result": "success",
        "conditionsSatisfied": 3,
        "conditionsNotSatisfied": 0,
    })
}

/// A `UserRiskEvents` record: a detection of Identity Protection on a sign-in.
pub fn risk_event(sign_in: &SignInRecord<'_>, risk_type: &str, level: &str) -> Value {
    let id = record_id(&[&sign_in.id, risk_type]);
    let at = sign_in.at.to_string();
    json!({
        // US style without a zone, as the real stream has it.
        "time": sign_in.at.strftime("%-m/%-d/%Y %-I:%M:%S %p").to_string(),
        "resourceId": format!("/tenants/{TENANT}/providers/microsoft.aadiam"),
        "operationName": "User Risk Detection",
        "operationVersion": "1.0",
        "category": "UserRiskEvents",
        "tenantId": TENANT,
        "resultSignature": "None",
        "durationMs": 0,
        "callerIpAddress": sign_in.spot.address(sign_in.host),
        "correlationId": id,
        "identity": sign_in.person.name.to_lowercase(),
        "Level": 4,
        "location": sign_in.spot.country.to_lowercase(),
        "properties": {
            "id": id,
            "requestId": sign_in.id,
            "correlationId": record_id(&[&sign_in.id, "correlation"]),
            "riskType": risk_type,
            "riskEventType": risk_type,
            "riskState": "atRisk",
            "riskLevel": level,
            "riskDetail": "none",
            "source": "IdentityProtection",
            "detectionTimingType": "realtime",
            "activity": "signin",
            "ipAddress": sign_in.spot.address(sign_in.host),
            "location": {
                "city": sign_in.spot.city,
                "state": "",
                "countryOrRegion": sign_in.spot.country,
                "geoCoordinates": { "latitude": sign_in.spot.latitude, "longitude": sign_in.spot.longitude },
            },
            "activityDateTime": at,
            "detectedDateTime": at,
            "lastUpdatedDateTime": at,
            "userId": sign_in.person.id,
            "userDisplayName": sign_in.person.name,
            "userPrincipalName": sign_in.person.principal_name,
            "additionalInfo": "[{\"Key\":\"userAgent\",\"Value\":\"\"}]",
            "tokenIssuerType": "AzureAD",
            "homeTenantId": TENANT,
            "userType": "member",
        },
    })
}

/// A `ServicePrincipalRiskEvents` record: a detection of Identity Protection on
/// a service principal, by its object id and display name.
pub fn workload_risk_event(
    service_principal: &str,
    display_name: &str,
    risk_type: &str,
    at: Timestamp,
) -> Value {
    let id = record_id(&[service_principal, risk_type, &at.to_string()]);
    let at = at.to_string();
    json!({
        "time": at,
        "resourceId": format!("/tenants/{TENANT}/providers/microsoft.aadiam"),
        "operationName": "Service Principal Risk Detection",
        "operationVersion": "1.0",
        "category": "ServicePrincipalRiskEvents",
        "tenantId": TENANT,
        "resultSignature": "None",
        "durationMs": 0,
        "callerIpAddress": "198.51.100.7",
        "correlationId": id,
        "identity": display_name,
        "Level": 4,
        "properties": {
            "id": id,
            "requestId": record_id(&[&id, "request"]),
            "correlationId": record_id(&[&id, "correlation"]),
            "riskEventType": risk_type,
            "riskState": "atRisk",
            "riskLevel": "high",
            "riskDetail": "none",
            "source": "IdentityProtection",
            "detectionTimingType": "offline",
            "activity": "servicePrincipal",
            "ipAddress": "198.51.100.7",
            "location": null,
            "activityDateTime": at,
            "detectedDateTime": at,
            "lastUpdatedDateTime": at,
            "servicePrincipalId": service_principal,
            "servicePrincipalDisplayName": display_name,
            "appId": record_id(&[service_principal, "application"]),
            "keyIds": [],
            "userId": null,
            "additionalInfo": "[]",
        },
    })
}

/// What so many conditional access policies said of a sign-in: most of a
/// record's length where there are any.
pub fn access_results(count: usize) -> Value {
    (0..count)
        .map(|n| {
            json!({
                "id": format!("5f3a8d10-52b6-4e0f-9a41-c0117050{n:04}"),
                "displayName": format!("CA{n:03}: require multifactor authentication for all users"),
                "enforcedGrantControls": ["Mfa", "RequireCompliantDevice"],
                "enforcedSessionControls": ["SignInFrequency"],
                "result": if n % 3 == 0 { "success" } else { "notApplied" },
                "conditionsSatisfied": 3,
                "conditionsNotSatisfied": 0,
                "includeRulesSatisfied": [{ "conditionalAccessCondition": "application", "ruleSatisfied": "allApps" }],
                "excludeRulesSatisfied": [],
            })
        })
        .collect()
}

/// The body of an Event Hubs message.
pub fn envelope(records: &[Value]) -> Vec<u8> {
    json!({ "records": records }).to_string().into_bytes()
}

/// A GUID derived from the parts, the same in every run.
pub fn record_id(parts: &[&str]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, parts.join("|").as_bytes()).to_string()
}
