//! Graph as a plain HTTP client sees it: every route, error, quota and fault.

mod faults;
mod routes;

use reqwest::{Method, RequestBuilder, Response};

use super::*;
use crate::lab::entra::{App, DirectoryRole, EVENT_HUBS_AUDIENCE, EntraOptions};

/// Every permission the product may ask for, and the role above administrators.
const FULL: Uuid = Uuid::from_u128(1);
/// Reads users and nothing else.
const READER: Uuid = Uuid::from_u128(2);
/// All permissions, but no directory role.
const ROLELESS: Uuid = Uuid::from_u128(3);
/// Reads group members, not users.
const MEMBERS_ONLY: Uuid = Uuid::from_u128(4);

const ALL_ROLES: &[&str] = &[
    "User.RevokeSessions.All",
    "User.EnableDisableAccount.All",
    "User.Read.All",
    "User-PasswordProfile.ReadWrite.All",
    "IdentityRiskyUser.ReadWrite.All",
    "IdentityRiskyServicePrincipal.ReadWrite.All",
    "GroupMember.Read.All",
];

/// A tenant with one of each kind of user, and a client for it.
struct Lab {
    entra: Arc<Entra>,
    graph: Graph,
    http: reqwest::Client,
    alice: Uuid,
    guest: Uuid,
    admin: Uuid,
    synced: Uuid,
}

impl Lab {
    async fn start() -> Self {
        Self::with_quotas(Quotas::documented(TenantSize::Large)).await
    }

    async fn with_quotas(quotas: Quotas) -> Self {
        let tenant_id = Uuid::from_u128(0x7e);
        let full = App::new(FULL, "s", ALL_ROLES)
            .with_directory_role(DirectoryRole::PrivilegedAuthenticationAdministrator);
        let entra = Entra::start(EntraOptions {
            apps: vec![
                full,
                App::new(READER, "s", &["User.Read.All"]),
                App::new(ROLELESS, "s", ALL_ROLES),
                App::new(MEMBERS_ONLY, "s", &["GroupMember.Read.All"]),
            ],
            ..EntraOptions::new(tenant_id)
        });
        let entra = Arc::new(entra.await.unwrap());
        let mut tenant = Tenant::default();
        let mut add = |user| tenant.add_user(user).unwrap();
        let alice = add(User {
            department: Some("Finance".to_owned()),
            ..User::member("alice@contoso.example")
        });
        let guest = add(User::guest("bob_fabrikam.example#EXT#@contoso.example"));
        let admin = add(User {
            privileged: true,
            ..User::member("root@contoso.example")
        });
        let synced = add(User {
            on_premises_sync_enabled: Some(true),
            ..User::member("sync@contoso.example")
        });
        let options = GraphOptions { quotas, tls: None };
        let graph = Graph::start(options, Arc::clone(&entra), tenant);
        Self {
            graph: graph.await.unwrap(),
            entra,
            http: reqwest::Client::new(),
            alice,
            guest,
            admin,
            synced,
        }
    }

    fn request_as(&self, app: Uuid, method: Method, path: &str) -> RequestBuilder {
        let token = self.entra.issue(app, GRAPH_AUDIENCE).unwrap();
        let url = format!("{}{path}", self.graph.base_url());
        self.http.request(method, url).bearer_auth(token)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(FULL, method, path)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn revoke(&self, user: Uuid) -> Response {
        let path = format!("/users/{user}/revokeSignInSessions");
        self.request(Method::POST, &path).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(Method::POST, path).json(body);
        read(request.send().await.unwrap()).await
    }

    async fn patch_as(&self, app: Uuid, user: Uuid, body: &Value) -> (u16, Value) {
        let path = format!("/users/{user}");
        let request = self.request_as(app, Method::PATCH, &path).json(body);
        read(request.send().await.unwrap()).await
    }

    fn revoked(&self, user: Uuid) -> bool {
        let user = self.graph.user(user).unwrap();
        user.sign_in_sessions_valid_from > Timestamp::UNIX_EPOCH
    }
}

/// Status and body; `null` for none.
async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
