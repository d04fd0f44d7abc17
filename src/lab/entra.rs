//! A stand-in for the Entra ID token endpoint (client credentials only).
//!
//! Invariant: a token is good exactly while this process says so. Tokens look
//! like JWTs but are judged by a table, never by their text, so the lab can
//! expire them at will and a client that reads meaning into a token is not
//! rewarded for it. Answers and errors have the documented shapes, because
//! `azure_identity` parses them.

mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use self::refusal::Refusal;
use super::wire::Serving;

/// The audience of a Microsoft Graph token.
pub const GRAPH_AUDIENCE: &str = "https://graph.microsoft.com";

/// The audience of an Event Hubs token.
pub const EVENT_HUBS_AUDIENCE: &str = "https://eventhubs.azure.net";

/// Tokens remembered at once; the oldest is forgotten, and so no longer good.
const TOKENS_MAX: usize = 4096;

/// How Entra is set up before it starts.
#[derive(Debug)]
pub struct EntraOptions {
    /// The one tenant (directory) it knows.
    pub tenant_id: Uuid,
    /// The app registrations with a service principal in that tenant.
    pub apps: Vec<App>,
    /// How long a token lives, whole seconds. Entra's own default is 60 to 90
    /// minutes. `azure_identity` asks anew when less than 300 s are left.
    pub token_lifetime: SignedDuration,
    /// Serve TLS with this; plain HTTP without. `azure_identity` insists on an
    /// `https` authority.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl EntraOptions {
    /// Plain HTTP, tokens that live an hour, no apps.
    pub fn new(tenant_id: Uuid) -> Self {
        Self {
            tenant_id,
            apps: Vec::new(),
            token_lifetime: SignedDuration::from_hours(1),
            tls: None,
        }
    }
}

/// An app registration: who may ask for tokens, and what they then permit.
#[derive(Clone)]
pub struct App {
    /// The application (client) id.
    pub client_id: Uuid,
    /// Its one client secret.
    pub client_secret: String,
    /// Graph application permissions with admin consent, such as
    /// `User.RevokeSessions.All`.
    pub roles: Vec<String>,
    /// Directory roles its service principal holds.
    pub directory_roles: Vec<DirectoryRole>,
}

impl App {
    /// An app with these Graph permissions and no directory role.
    pub fn new(client_id: Uuid, client_secret: &str, roles: &[&str]) -> Self {
        Self {
            client_id,
            client_secret: client_secret.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            directory_roles: Vec::new(),
        }
    }

    /// The same app, holding one directory role more.
    #[must_use]
    pub fn with_directory_role(mut self, role: DirectoryRole) -> Self {
        self.directory_roles.push(role);
        self
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .field("roles", &self.roles)
            .field("directory_roles", &self.directory_roles)
            .finish_non_exhaustive()
    }
}

/// The directory roles that decide whose password and account an app may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryRole {
    /// May reset passwords of users without administrator roles.
    UserAdministrator,
    /// May act on administrators too.
    PrivilegedAuthenticationAdministrator,
}

impl DirectoryRole {
    /// The role's template id, the same in every tenant (Entra built-in roles).
    fn template_id(self) -> &'static str {
        match self {
            Self::UserAdministrator => "fe930be7-5e62-47db-91af-98c3a49a38b1",
            Self::PrivilegedAuthenticationAdministrator => "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
        }
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The resource it is for, without `/.default`.
    pub audience: String,
    /// The tenant it is from.
    pub tenant_id: Uuid,
    /// The app it was given to.
    pub app_id: Uuid,
    /// Graph application permissions; empty for other audiences.
    pub roles: Vec<String>,
    /// The app's directory roles.
    pub directory_roles: Vec<DirectoryRole>,
    /// When it was given, whole seconds.
    pub issued_at: Timestamp,
    /// When it stops being good, whole seconds.
    pub expires_at: Timestamp,
    /// Its unique id.
    pub uti: Uuid,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not one of ours: made up, altered, or long forgotten.
    #[error("the token was not issued here")]
    Unknown,
    /// Past its end, or ended early by [`Entra::expire_all_tokens`].
    #[error("the token has expired")]
    Expired,
    /// For another resource.
    #[error("the token is for another audience")]
    WrongAudience,
}

/// What has been asked of Entra so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntraCounters {
    /// Tokens given.
    pub issued: u64,
    /// Requests refused with an AADSTS error.
    pub refused: u64,
    /// Requests that met the outage.
    pub unavailable: u64,
}

/// The running stand-in. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Entra {
    serving: Serving,
    desk: Arc<Desk>,
}

impl Entra {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(options: EntraOptions) -> io::Result<Self> {
        let tls = options.tls.clone();
        let desk = Arc::new(Desk {
            options,
            state: Mutex::default(),
        });
        let router = Router::new()
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .route(
                "/{tenant}/v2.0/.well-known/openid-configuration",
                get(openid_configuration),
            )
            .with_state(Arc::clone(&desk));
        let serving = Serving::start(router, tls).await?;
        desk.lock().origin = serving.origin();
        Ok(Self { serving, desk })
    }

    /// The authority host: `http://127.0.0.1:port`, or `https` with TLS.
    pub fn authority(&self) -> String {
        self.serving.origin()
    }

    /// The tenant it answers for.
    pub fn tenant_id(&self) -> Uuid {
        self.desk.options.tenant_id
    }

    /// Judges a token (without `Bearer `) now, for `audience`.
    ///
    /// # Errors
    /// [`TokenFault`] says why it is not good.
    pub fn verify(&self, token: &str, audience: &str) -> Result<Claims, TokenFault> {
        self.desk
            .lock()
            .tokens
            .judge(token, audience, Timestamp::now())
    }

    /// Gives a token without HTTP, for tests of what lies behind it. `None`
    /// when the app is not registered.
    pub fn issue(&self, client_id: Uuid, audience: &str) -> Option<String> {
        let app = self.desk.app(client_id)?;
        let mut state = self.desk.lock();
        Some(self.desk.grant(&mut state, app, audience, Timestamp::now()))
    }

    /// Ends every token given so far. Their holders are not told, and their
    /// `exp` still lies ahead.
    pub fn expire_all_tokens(&self) {
        self.desk.lock().tokens.expire_all();
    }

    /// While on, the token endpoint answers 503.
    pub fn outage(&self, on: bool) {
        self.desk.lock().outage = on;
    }

    /// What has been asked so far.
    pub fn counters(&self) -> EntraCounters {
        self.desk.lock().counters
    }
}

struct Desk {
    options: EntraOptions,
    state: Mutex<DeskState>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct DeskState {
    origin: String,
    outage: bool,
    counters: EntraCounters,
    tokens: Tokens,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn app(&self, client_id: Uuid) -> Option<&App> {
        self.options
            .apps
            .iter()
            .find(|app| app.client_id == client_id)
    }

    fn knows_tenant(&self, tenant: &str) -> bool {
        Uuid::parse_str(tenant).is_ok_and(|id| id == self.options.tenant_id)
    }

    /// The checks in the order Entra makes them: the request, the tenant, the
    /// app, its secret, the scope.
    fn admit<'a>(
        &'a self,
        tenant: &str,
        form: &TokenForm,
    ) -> Result<(&'a App, &'static str), Refusal> {
        let field = |value: &Option<String>, name| match value.clone() {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Refusal::missing(name)),
        };
        let grant_type = field(&form.grant_type, "grant_type")?;
        if grant_type != "client_credentials" {
            return Err(Refusal::grant_type(&grant_type));
        }
        let client_id = field(&form.client_id, "client_id")?;
        let scope = field(&form.scope, "scope")?;
        if !self.knows_tenant(tenant) {
            return Err(Refusal::tenant(tenant));
        }
        let app = Uuid::parse_str(&client_id)
            .ok()
            .and_then(|id| self.app(id))
            .ok_or_else(|| Refusal::app(&client_id, tenant))?;
        match form.client_secret.as_deref() {
            None | Some("") => return Err(Refusal::no_secret()),
            Some(secret) if secret != app.client_secret => {
                return Err(Refusal::secret(app.client_id));
            }
            Some(_) => {}
        }
        let resource = scope
            .strip_suffix("/.default")
            .ok_or_else(|| Refusal::scope(&scope))?;
        [GRAPH_AUDIENCE, EVENT_HUBS_AUDIENCE]
            .into_iter()
            .find(|audience| *audience == resource)
            .map(|audience| (app, audience))
            .ok_or_else(|| Refusal::scope(&scope))
    }

    fn grant(&self, state: &mut DeskState, app: &App, audience: &str, now: Timestamp) -> String {
        let issued_at = whole_seconds(now);
        let claims = Claims {
            audience: audience.to_owned(),
            tenant_id: self.options.tenant_id,
            app_id: app.client_id,
            roles: if audience == GRAPH_AUDIENCE {
                app.roles.clone()
            } else {
                Vec::new()
            },
            directory_roles: app.directory_roles.clone(),
            issued_at,
            expires_at: issued_at
                .saturating_add(self.options.token_lifetime)
                .unwrap_or(Timestamp::MAX),
            uti: Uuid::new_v4(),
        };
        let token = token_text(&claims);
        state.counters.issued += 1;
        state.tokens.remember(token.clone(), claims);
        token
    }
}

/// The tokens given, oldest first.
#[derive(Default)]
struct Tokens {
    known: HashMap<String, Issued>,
    order: VecDeque<String>,
}

struct Issued {
    claims: Claims,
    ended: bool,
}

impl Tokens {
    fn remember(&mut self, token: String, claims: Claims) {
        if self.order.len() == TOKENS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(token.clone());
        let ended = false;
        self.known.insert(token, Issued { claims, ended });
    }

    fn expire_all(&mut self) {
        for issued in self.known.values_mut() {
            issued.ended = true;
        }
    }

    fn judge(&self, token: &str, audience: &str, now: Timestamp) -> Result<Claims, TokenFault> {
        let issued = self.known.get(token).ok_or(TokenFault::Unknown)?;
        if issued.claims.audience != audience {
            Err(TokenFault::WrongAudience)
        } else if issued.ended || now >= issued.claims.expires_at {
            Err(TokenFault::Expired)
        } else {
            Ok(issued.claims.clone())
        }
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A JWT's shape around the claims. The signature is random: see the file's
/// invariant.
fn token_text(claims: &Claims) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "lab"});
    let wids: Vec<&str> = claims
        .directory_roles
        .iter()
        .map(|role| role.template_id())
        .collect();
    let payload = json!({
        "aud": claims.audience,
        "iss": format!("https://sts.windows.net/{}/", claims.tenant_id),
        "iat": claims.issued_at.as_second(),
        "nbf": claims.issued_at.as_second(),
        "exp": claims.expires_at.as_second(),
        "appid": claims.app_id,
        "idtyp": "app",
        "roles": claims.roles,
        "tid": claims.tenant_id,
        "uti": claims.uti,
        "ver": "1.0",
        "wids": wids,
    });
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signature: [u8; 32] = rand::random();
    format!(
        "{}.{}.{}",
        part(header.to_string().as_bytes()),
        part(payload.to_string().as_bytes()),
        part(&signature)
    )
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

#[derive(Serialize)]
struct TokenAnswer {
    token_type: &'static str,
    expires_in: i64,
    ext_expires_in: i64,
    access_token: String,
}

async fn token(
    State(desk): State<Arc<Desk>>,
    Path(tenant): Path<String>,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Response {
    let now = Timestamp::now();
    // A body that is no form is to Entra a form without its fields.
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let mut state = desk.lock();
    if state.outage {
        state.counters.unavailable += 1;
        return Refusal::outage().answer(now);
    }
    match desk.admit(&tenant, &form) {
        Ok((app, audience)) => Json(TokenAnswer {
            token_type: "Bearer",
            expires_in: desk.options.token_lifetime.as_secs(),
            ext_expires_in: desk.options.token_lifetime.as_secs(),
            access_token: desk.grant(&mut state, app, audience, now),
        })
        .into_response(),
        Err(refusal) => {
            state.counters.refused += 1;
            refusal.answer(now)
        }
    }
}

async fn openid_configuration(
    State(desk): State<Arc<Desk>>,
    Path(tenant): Path<String>,
) -> Response {
    if !desk.knows_tenant(&tenant) {
        return Refusal::tenant(&tenant).answer(Timestamp::now());
    }
    let origin = desk.lock().origin.clone();
    let body = json!({
        "issuer": format!("{origin}/{tenant}/v2.0"),
        "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
        "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    (StatusCode::OK, Json(body)).into_response()
}
