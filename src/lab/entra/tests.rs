//! The token endpoint as a plain client sees it, and as `azure_identity` does.

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

use super::*;

const TENANT: Uuid = Uuid::from_u128(0x7e_0a_17);
const CLIENT: Uuid = Uuid::from_u128(0xc1_1e_47);
const SECRET: &str = "an-invented~secret+with/odd&signs";
const GRAPH_SCOPE: &str = "https://graph.microsoft.com/.default";
const EVENT_HUBS_SCOPE: &str = "https://eventhubs.azure.net/.default";

fn options() -> EntraOptions {
    let app = App::new(CLIENT, SECRET, &["User.Read.All"]);
    EntraOptions {
        apps: vec![app.with_directory_role(DirectoryRole::UserAdministrator)],
        ..EntraOptions::new(TENANT)
    }
}

async fn entra() -> Entra {
    Entra::start(options()).await.unwrap()
}

/// A form with the right fields, some of them set otherwise. An empty value
/// leaves the field out.
fn form(changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", CLIENT.to_string()),
        ("client_secret", SECRET.to_owned()),
        ("scope", GRAPH_SCOPE.to_owned()),
    ];
    for (name, value) in changes {
        fields.retain(|(field, _)| field != name);
        if !value.is_empty() {
            fields.push((name, (*value).to_owned()));
        }
    }
    fields
}

async fn ask(entra: &Entra, tenant: &str, changes: &[(&'static str, &str)]) -> (u16, Value) {
    let url = format!("{}/{tenant}/oauth2/v2.0/token", entra.authority());
    let body = reqwest::Url::parse_with_params("http://form.invalid/", form(changes)).unwrap();
    let response = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.query().unwrap().to_owned())
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_says_who_it_is_for_and_is_good_for_that_only() {
    let entra = entra().await;
    let (status, body) = ask(&entra, &TENANT.to_string(), &[]).await;
    assert_eq!(status, 200);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["ext_expires_in"], 3600);
    let token = body["access_token"].as_str().unwrap();

    let claims = entra.verify(token, GRAPH_AUDIENCE).unwrap();
    assert_eq!(claims.app_id, CLIENT);
    assert_eq!(claims.roles, ["User.Read.All"]);
    assert_eq!(claims.directory_roles, [DirectoryRole::UserAdministrator]);
    assert_eq!(
        entra.verify(token, EVENT_HUBS_AUDIENCE),
        Err(TokenFault::WrongAudience)
    );

    let payload = payload(token);
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(payload["aud"], GRAPH_AUDIENCE);
    assert_eq!(payload["appid"], CLIENT.to_string());
    assert_eq!(payload["tid"], TENANT.to_string());
    assert_eq!(payload["roles"][0], "User.Read.All");
    let life = payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap();
    assert_eq!(life, 3600);
    assert_eq!(entra.counters().issued, 1);
}

#[tokio::test]
async fn graph_roles_stay_out_of_event_hubs_tokens() {
    let entra = entra().await;
    let changes = [("scope", EVENT_HUBS_SCOPE)];
    let (_, body) = ask(&entra, &TENANT.to_string(), &changes).await;
    let token = body["access_token"].as_str().unwrap();
    let claims = entra.verify(token, EVENT_HUBS_AUDIENCE).unwrap();
    assert_eq!(claims.roles, [""; 0]);
}

/// Tenant, changes to the form; status, `error`, AADSTS number.
type RefusalCase<'a> = (&'a str, &'a [(&'static str, &'a str)], u16, &'a str, u32);

#[tokio::test]
async fn refusals_have_their_documented_codes() {
    let entra = entra().await;
    let ours = TENANT.to_string();
    let table: [RefusalCase; 9] = [
        (
            &ours,
            &[("client_secret", "wrong")],
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            &ours,
            &[("client_secret", "")],
            401,
            "invalid_client",
            7_000_218,
        ),
        (
            &ours,
            &[("client_id", "00000000-0000-0000-0000-00000000dead")],
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            "00000000-0000-0000-0000-0000000000ff",
            &[],
            400,
            "invalid_request",
            90_002,
        ),
        (
            &ours,
            &[("scope", "User.Read")],
            400,
            "invalid_scope",
            70_011,
        ),
        (
            &ours,
            &[("scope", "https://other.example/.default")],
            400,
            "invalid_scope",
            70_011,
        ),
        (&ours, &[("scope", "")], 400, "invalid_request", 900_144),
        (
            &ours,
            &[("grant_type", "")],
            400,
            "invalid_request",
            900_144,
        ),
        (
            &ours,
            &[("grant_type", "password")],
            400,
            "unsupported_grant_type",
            70_003,
        ),
    ];
    for (tenant, changes, status, error, code) in table {
        let (got, body) = ask(&entra, tenant, changes).await;
        assert_eq!(got, status, "{changes:?}");
        assert_eq!(body["error"], error, "{changes:?}");
        assert_eq!(body["error_codes"], json!([code]), "{changes:?}");
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
        for field in ["timestamp", "trace_id", "correlation_id"] {
            assert!(body[field].is_string(), "{field}");
        }
    }
    assert_eq!(entra.counters().refused, 9);
    assert_eq!(entra.counters().issued, 0);
}

#[tokio::test]
async fn during_an_outage_nobody_gets_a_token() {
    let entra = entra().await;
    entra.outage(true);
    let (status, body) = ask(&entra, &TENANT.to_string(), &[]).await;
    assert_eq!(
        (status, &body["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    entra.outage(false);
    assert_eq!(ask(&entra, &TENANT.to_string(), &[]).await.0, 200);
    assert_eq!(entra.counters().unavailable, 1);
}

#[tokio::test]
async fn all_tokens_can_be_ended_early() {
    let entra = entra().await;
    let old = entra.issue(CLIENT, GRAPH_AUDIENCE).unwrap();
    entra.expire_all_tokens();
    let new = entra.issue(CLIENT, GRAPH_AUDIENCE).unwrap();
    assert_eq!(entra.verify(&old, GRAPH_AUDIENCE), Err(TokenFault::Expired));
    assert!(entra.verify(&new, GRAPH_AUDIENCE).is_ok());
}

#[tokio::test]
async fn an_altered_token_is_unknown() {
    let entra = entra().await;
    let token = entra.issue(CLIENT, GRAPH_AUDIENCE).unwrap();
    for bad in [format!("{token}x"), String::new(), "a.b.c".to_owned()] {
        assert_eq!(entra.verify(&bad, GRAPH_AUDIENCE), Err(TokenFault::Unknown));
    }
}

#[test]
fn a_token_is_good_until_its_end_and_not_a_moment_longer() {
    let desk = Desk {
        options: options(),
        state: Mutex::default(),
    };
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let app = desk.app(CLIENT).unwrap();
    let token = desk.grant(&mut desk.lock(), app, GRAPH_AUDIENCE, start);
    let at = |seconds| {
        let now = start + SignedDuration::from_secs(seconds);
        desk.lock().tokens.judge(&token, GRAPH_AUDIENCE, now)
    };
    assert!(at(3_599).is_ok());
    assert_eq!(at(3_600), Err(TokenFault::Expired));
}

#[test]
fn the_oldest_token_is_forgotten_first() {
    let desk = Desk {
        options: options(),
        state: Mutex::default(),
    };
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let app = desk.app(CLIENT).unwrap();
    let mut state = desk.lock();
    let first = desk.grant(&mut state, app, GRAPH_AUDIENCE, now);
    let second = desk.grant(&mut state, app, GRAPH_AUDIENCE, now);
    for _ in 2..=TOKENS_MAX {
        desk.grant(&mut state, app, GRAPH_AUDIENCE, now);
    }
    let judge = |token| state.tokens.judge(token, GRAPH_AUDIENCE, now);
    assert_eq!(judge(&first), Err(TokenFault::Unknown));
    assert!(judge(&second).is_ok());
    assert_eq!(state.tokens.known.len(), TOKENS_MAX);
}

#[tokio::test]
async fn the_openid_configuration_points_back_here() {
    let entra = entra().await;
    let get = async |tenant: &str| {
        let url = format!(
            "{}/{tenant}/v2.0/.well-known/openid-configuration",
            entra.authority()
        );
        let response = reqwest::get(url).await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let (status, body) = get(&TENANT.to_string()).await;
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/token", entra.authority());
    assert_eq!((status, &body["token_endpoint"]), (200, &json!(endpoint)));
    assert_eq!(get("contoso.example").await.0, 400);
}

/// A server configuration for 127.0.0.1, and a client that trusts only it.
fn tls() -> (Arc<rustls::ServerConfig>, reqwest::Client) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let trusted = reqwest::Certificate::from_der(made.cert.der()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    (Arc::new(config), client)
}

fn credential(entra: &Entra, secret: &str, http: reqwest::Client) -> Arc<ClientSecretCredential> {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = entra.authority();
    let options = ClientSecretCredentialOptions {
        client_options: ClientOptions {
            cloud: Some(Arc::new(cloud.into())),
            transport: Some(Transport::new(Arc::new(http))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        },
    };
    ClientSecretCredential::new(
        &entra.tenant_id().to_string(),
        CLIENT.to_string(),
        secret.to_owned().into(),
        Some(options),
    )
    .unwrap()
}

async fn entra_with_tls(token_lifetime: SignedDuration) -> (Entra, reqwest::Client) {
    let (config, client) = tls();
    let options = EntraOptions {
        tls: Some(config),
        token_lifetime,
        ..options()
    };
    (Entra::start(options).await.unwrap(), client)
}

#[tokio::test]
async fn azure_identity_gets_a_token_and_keeps_it() {
    let (entra, http) = entra_with_tls(SignedDuration::from_hours(1)).await;
    let credential = credential(&entra, SECRET, http);
    let token = credential.get_token(&[GRAPH_SCOPE], None).await.unwrap();
    assert!(entra.verify(token.token.secret(), GRAPH_AUDIENCE).is_ok());
    // The credential has no way to be told that its token is dead.
    entra.expire_all_tokens();
    let again = credential.get_token(&[GRAPH_SCOPE], None).await.unwrap();
    assert_eq!(again.token.secret(), token.token.secret());
    assert_eq!(entra.counters().issued, 1);
}

#[tokio::test]
async fn azure_identity_asks_anew_for_tokens_with_five_minutes_left() {
    let (entra, http) = entra_with_tls(SignedDuration::from_secs(300)).await;
    let credential = credential(&entra, SECRET, http);
    for _ in 0..2 {
        credential.get_token(&[GRAPH_SCOPE], None).await.unwrap();
    }
    assert_eq!(entra.counters().issued, 2);
}

#[tokio::test]
async fn azure_identity_understands_the_refusals() {
    let (entra, http) = entra_with_tls(SignedDuration::from_hours(1)).await;
    let refused = credential(&entra, "wrong", http.clone());
    let error = refused.get_token(&[GRAPH_SCOPE], None).await.unwrap_err();
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");

    entra.outage(true);
    let unlucky = credential(&entra, SECRET, http);
    let error = unlucky.get_token(&[GRAPH_SCOPE], None).await.unwrap_err();
    assert!(error.to_string().contains("AADSTS90033"), "{error}");
}

#[tokio::test]
async fn azure_identity_insists_on_https() {
    let entra = entra().await;
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = entra.authority();
    let options = ClientSecretCredentialOptions {
        client_options: ClientOptions {
            cloud: Some(Arc::new(cloud.into())),
            ..ClientOptions::default()
        },
    };
    let made = ClientSecretCredential::new(
        &TENANT.to_string(),
        CLIENT.to_string(),
        SECRET.into(),
        Some(options),
    );
    assert!(made.unwrap_err().to_string().contains("HTTPS"));
}
