//! Each call, who may make it, what it changes, what it refuses; the quotas
//! as they come over the wire; the call log and the lab's own pages.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn revoke_moves_the_sessions_start_and_says_so() {
    let lab = Lab::start().await;
    let before = Timestamp::now().as_second();
    let response = lab.revoke(lab.alice).await;
    assert_eq!(header(&response, "x-ms-resource-unit"), Some("1"));
    assert!(header(&response, "request-id").is_some());
    let (status, body) = read(response).await;
    assert_eq!((status, &body["value"]), (200, &json!(true)));

    let path = format!(
        "/users/{}?$select=signInSessionsValidFromDateTime,accountEnabled,onPremisesSyncEnabled,userType",
        lab.alice
    );
    let (status, body) = lab.get(&path).await;
    assert_eq!(status, 200);
    let valid_from: Timestamp = body["signInSessionsValidFromDateTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(valid_from.as_second() >= before);
    assert_eq!(body["accountEnabled"], true);
    assert_eq!(body["onPremisesSyncEnabled"], Value::Null);
    assert_eq!(body["userType"], "Member");
}

#[tokio::test]
async fn users_are_found_by_sign_in_name_too() {
    let lab = Lab::start().await;
    let path = "/users/bob_fabrikam.example%23EXT%23%40contoso.example/revokeSignInSessions";
    let response = lab.request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let guest = lab.graph.user(lab.guest).unwrap();
    assert_eq!(guest.revokes_without_effect, 1);
    assert!(guest.session_lives(Timestamp::UNIX_EPOCH));
}

#[tokio::test]
async fn reading_a_user_sends_what_was_asked_for_and_no_more() {
    let lab = Lab::start().await;
    let (_, plain) = lab.get(&format!("/users/{}", lab.alice)).await;
    assert_eq!(plain["userPrincipalName"], "alice@contoso.example");
    assert!(plain.get("accountEnabled").is_none());
    let (_, chosen) = lab
        .get(&format!("/users/{}?$select=department", lab.alice))
        .await;
    assert_eq!(chosen["department"], "Finance");
    assert!(chosen.get("id").is_none());
    for query in ["$select=nonsense", "$filter=accountEnabled", "$top=5"] {
        let (status, body) = lab.get(&format!("/users/{}?{query}", lab.alice)).await;
        assert_eq!(
            (status, code(&body)),
            (400, "Request_BadRequest"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let lab = Lab::start().await;
    let mut path = "/users?$top=3&$select=id".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    while !path.is_empty() {
        let (status, body) = lab.get(&path).await;
        assert_eq!(status, 200, "{body}");
        seen.extend(body["value"].as_array().unwrap().clone());
        pages += 1;
        let next = body["@odata.nextLink"].as_str().unwrap_or_default();
        path = next.replace(&lab.graph.base_url(), "");
    }
    assert_eq!((pages, seen.len()), (2, 4));
    let ids: BTreeSet<_> = seen.iter().map(|user| user["id"].as_str()).collect();
    assert_eq!(ids.len(), 4);
    for query in ["$top=0", "$top=1000", "$skiptoken=x"] {
        assert_eq!(lab.get(&format!("/users?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn an_account_is_disabled_and_enabled_again() {
    let lab = Lab::start().await;
    for enabled in [false, true] {
        let body = json!({"accountEnabled": enabled});
        let (status, _) = lab.patch_as(FULL, lab.synced, &body).await;
        assert_eq!(status, 204);
        let user = lab.graph.user(lab.synced).unwrap();
        assert_eq!(user.account_enabled, enabled);
    }
}

#[tokio::test]
async fn a_password_is_reset_only_where_entra_is_its_authority() {
    let lab = Lab::start().await;
    let reset = |password: &str| {
        json!({"passwordProfile":
            {"password": password, "forceChangePasswordNextSignIn": true}})
    };
    let strong = reset("Corr3ct-horse");
    assert_eq!(lab.patch_as(FULL, lab.alice, &strong).await.0, 204);
    let alice = lab.graph.user(lab.alice).unwrap();
    assert!(alice.must_change_password && alice.last_password_change.is_some());
    for (user, body) in [(lab.alice, reset("weak")), (lab.synced, strong)] {
        let (status, answer) = lab.patch_as(FULL, user, &body).await;
        assert_eq!((status, code(&answer)), (400, "Request_BadRequest"));
    }
}

#[tokio::test]
async fn one_forbidden_property_fails_the_whole_patch() {
    let lab = Lab::start().await;
    let both = json!({
        "accountEnabled": false,
        "passwordProfile": {"password": "Corr3ct-horse"},
    });
    let (status, body) = lab.patch_as(ROLELESS, lab.alice, &both).await;
    assert_eq!((status, code(&body)), (403, "Authorization_RequestDenied"));
    assert!(lab.graph.user(lab.alice).unwrap().account_enabled);
}

#[tokio::test]
async fn administrators_are_out_of_reach_without_a_role_above_them() {
    let lab = Lab::start().await;
    let disable = json!({"accountEnabled": false});
    let revoke = format!("/users/{}/revokeSignInSessions", lab.admin);
    let try_revoke = async || {
        let request = lab.request_as(ROLELESS, Method::POST, &revoke);
        read(request.send().await.unwrap()).await
    };
    for (status, body) in [
        lab.patch_as(ROLELESS, lab.admin, &disable).await,
        try_revoke().await,
    ] {
        assert_eq!((status, code(&body)), (403, "Authorization_RequestDenied"));
        assert_eq!(
            body["error"]["message"],
            "Insufficient privileges to complete the operation."
        );
    }
    lab.graph
        .with_tenant(|tenant| tenant.allow_privileged_revoke(true));
    assert_eq!(try_revoke().await.0, 200);
    assert_eq!(lab.patch_as(FULL, lab.admin, &disable).await.0, 204);
}

#[tokio::test]
async fn risk_is_confirmed_and_dismissed() {
    let quotas = Quotas::documented(TenantSize::Large).time_scale(1e6);
    let lab = Lab::with_quotas(quotas).await;
    let path = format!("/identityProtection/riskyUsers/{}", lab.alice);
    assert_eq!(lab.get(&path).await.0, 404);
    for (action, level, state, detail) in [
        (
            "confirmCompromised",
            "high",
            "confirmedCompromised",
            "adminConfirmedUserCompromised",
        ),
        (
            "dismiss",
            "none",
            "dismissed",
            "adminDismissedAllRiskForUser",
        ),
    ] {
        let ids = json!({"userIds": [lab.alice]});
        let act = format!("/identityProtection/riskyUsers/{action}");
        assert_eq!(lab.post(&act, &ids).await, (204, Value::Null));
        let (status, body) = lab.get(&path).await;
        assert_eq!(status, 200);
        assert_eq!(body["riskLevel"], level);
        assert_eq!(body["riskState"], state);
        assert_eq!(body["riskDetail"], detail);
        assert!(body["riskLastUpdatedDateTime"].is_string());
    }
}

#[tokio::test]
async fn risk_of_too_many_or_unknown_users_changes_nobody() {
    let quotas = Quotas::documented(TenantSize::Large).time_scale(1e6);
    let lab = Lab::with_quotas(quotas).await;
    let path = "/identityProtection/riskyUsers/confirmCompromised";
    let table = [
        (json!({"userIds": vec![lab.alice; 61]}), 400),
        (json!({"userIds": []}), 400),
        (json!({"userIds": [lab.alice], "reason": "x"}), 400),
        (json!({"userIds": [lab.alice, Uuid::from_u128(9)]}), 404),
    ];
    for (body, status) in table {
        assert_eq!(lab.post(path, &body).await.0, status, "{body}");
    }
    lab.graph
        .with_tenant(|tenant| assert_eq!(tenant.risk(lab.alice), None));
    let most = json!({"userIds": vec![lab.alice; 60]});
    assert_eq!(lab.post(path, &most).await.0, 204);
}

#[tokio::test]
async fn service_principals_are_confirmed_by_those_who_may_and_all_or_none() {
    let quotas = Quotas::documented(TenantSize::Large).time_scale(1e6);
    let lab = Lab::with_quotas(quotas).await;
    let app = Uuid::from_u128(0xa99);
    lab.graph
        .with_tenant(|tenant| tenant.add_service_principal(app))
        .unwrap();
    let path = "/identityProtection/riskyServicePrincipals/confirmCompromised";
    let ids = |ids: Vec<Uuid>| json!({ "servicePrincipalIds": ids });
    let request = lab
        .request_as(READER, Method::POST, path)
        .json(&ids(vec![app]));
    assert_eq!(read(request.send().await.unwrap()).await.0, 403);
    let table = [
        (ids(vec![app; 61]), 400),
        (ids(vec![]), 400),
        (json!({ "userIds": [app] }), 400),
        // A user is no service principal.
        (ids(vec![app, lab.alice]), 404),
    ];
    for (body, status) in table {
        assert_eq!(lab.post(path, &body).await.0, status, "{body}");
    }
    let risk = || {
        lab.graph
            .with_tenant(|tenant| tenant.workload_risk(app).cloned())
    };
    assert_eq!(risk(), None);
    assert_eq!(lab.post(path, &ids(vec![app; 60])).await.0, 204);
    assert_eq!(risk().unwrap().risk_state, RiskState::ConfirmedCompromised);
}

#[tokio::test]
async fn members_of_a_group_are_named_to_those_who_may_read_users() {
    let lab = Lab::start().await;
    let group = Uuid::from_u128(0x62);
    let members = vec![lab.alice, lab.admin];
    lab.graph
        .with_tenant(|tenant| tenant.set_group(group, members))
        .unwrap();
    let path = format!("/groups/{group}/members");
    let (status, body) = lab.get(&path).await;
    assert_eq!(status, 200);
    assert_eq!(body["value"].as_array().unwrap().len(), 2);
    assert_eq!(body["value"][0]["id"], lab.alice.to_string());
    assert_eq!(body["value"][0]["displayName"], "alice");

    let request = lab.request_as(MEMBERS_ONLY, Method::GET, &path);
    let (_, body) = read(request.send().await.unwrap()).await;
    assert_eq!(body["value"][1]["id"], lab.admin.to_string());
    assert!(body["value"][1].get("displayName").is_none());

    let (_, first) = lab.get(&format!("{path}?$top=1")).await;
    let next = first["@odata.nextLink"].as_str().unwrap();
    let (_, second) = lab.get(&next.replace(&lab.graph.base_url(), "")).await;
    assert_eq!(second["value"][0]["id"], lab.admin.to_string());
    assert!(second.get("@odata.nextLink").is_none());

    let (status, body) = lab.get("/groups/nobody/members").await;
    assert_eq!((status, code(&body)), (404, "Request_ResourceNotFound"));
}

#[tokio::test]
async fn a_bad_token_is_401_with_a_challenge() {
    let lab = Lab::start().await;
    let expired = lab.entra.issue(FULL, GRAPH_AUDIENCE).unwrap();
    lab.entra.expire_all_tokens();
    let elsewhere = lab.entra.issue(FULL, EVENT_HUBS_AUDIENCE).unwrap();
    let url = format!("{}/users/{}", lab.graph.base_url(), lab.alice);
    for token in [None, Some(expired), Some(elsewhere), Some("x".to_owned())] {
        let mut request = lab.http.get(&url);
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert!(header(&response, "www-authenticate").is_some_and(|it| it.starts_with("Bearer")));
        let (status, body) = read(response).await;
        assert_eq!((status, code(&body)), (401, "InvalidAuthenticationToken"));
    }
}

#[tokio::test]
async fn without_the_permission_every_other_call_is_403() {
    let lab = Lab::start().await;
    let user = format!("/users/{}", lab.alice);
    let revoke = format!("{user}/revokeSignInSessions");
    let group = format!("/groups/{}/members", Uuid::from_u128(1));
    let risk = format!("/identityProtection/riskyUsers/{}", lab.alice);
    let table = [
        (Method::POST, revoke, Value::Null),
        (Method::PATCH, user, json!({"accountEnabled": false})),
        (Method::GET, group, Value::Null),
        (Method::GET, risk, Value::Null),
    ];
    for (method, path, body) in table {
        let mut request = lab.request_as(READER, method, &path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(
            (status, code(&body)),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
    }
    assert!(!lab.revoked(lab.alice));
}

#[tokio::test]
async fn bodies_are_taken_strictly() {
    let lab = Lab::start().await;
    let table = [
        json!({}),
        json!({"accountEnabled": "false"}),
        json!({"accountEnabled": false, "nonsense": 1}),
        json!({"passwordProfile": {"password": "Corr3ct-horse", "nonsense": 1}}),
    ];
    for body in table {
        let (status, answer) = lab.patch_as(FULL, lab.alice, &body).await;
        assert_eq!(
            (status, code(&answer)),
            (400, "Request_BadRequest"),
            "{body}"
        );
    }
    let revoke = format!("/users/{}/revokeSignInSessions", lab.alice);
    assert_eq!(lab.post(&revoke, &json!({"userId": 1})).await.0, 400);
    assert_eq!(lab.post(&revoke, &json!({})).await.0, 200);
}

#[tokio::test]
async fn unknown_users_and_calls_are_told_apart() {
    let lab = Lab::start().await;
    let (status, body) = read(lab.revoke(Uuid::from_u128(9)).await).await;
    assert_eq!((status, code(&body)), (404, "Request_ResourceNotFound"));
    let (status, body) = lab.get("/nonsense").await;
    assert_eq!((status, code(&body)), (400, "BadRequest"));
}

#[tokio::test]
async fn an_error_names_the_request_and_the_clients_own_id() {
    let lab = Lab::start().await;
    let request = lab
        .request(Method::GET, "/users/nobody@contoso.example")
        .header("client-request-id", "my-own-id");
    let response = request.send().await.unwrap();
    let request_id = header(&response, "request-id").unwrap().to_owned();
    assert_eq!(header(&response, "client-request-id"), Some("my-own-id"));
    let (_, body) = read(response).await;
    let inner = &body["error"]["innerError"];
    assert_eq!(inner["request-id"], request_id);
    assert_eq!(inner["client-request-id"], "my-own-id");
    assert!(inner["date"].is_string());
}

#[tokio::test]
async fn a_write_over_the_quota_is_429_with_a_decimal_wait() {
    let mut quotas = Quotas::documented(TenantSize::Large);
    quotas.app_writes = Quota::per_seconds(10, 3_600);
    let lab = Lab::with_quotas(quotas).await;
    let mut shares = Vec::new();
    for _ in 0..10 {
        let response = lab.revoke(lab.alice).await;
        assert_eq!(response.status(), 200);
        shares.push(header(&response, "x-ms-throttle-limit-percentage").map(str::to_owned));
    }
    assert_eq!(shares[7], None);
    assert_eq!(shares[8].as_deref(), Some("0.90"));
    assert_eq!(shares[9].as_deref(), Some("1.00"));

    let response = lab.revoke(lab.admin).await;
    let wait = header(&response, "retry-after").unwrap();
    assert!(wait.contains('.'), "{wait}");
    assert!((3_000.0..=3_600.0).contains(&wait.parse::<f64>().unwrap()));
    let scope = format!("Tenant_Application/Write/{FULL}/{}", lab.entra.tenant_id());
    assert_eq!(header(&response, "x-ms-throttle-scope"), Some(&*scope));
    assert_eq!(
        header(&response, "x-ms-throttle-information"),
        Some("WriteLimitExceeded")
    );
    let (status, body) = read(response).await;
    assert_eq!((status, code(&body)), (429, "TooManyRequests"));
    assert!(!lab.revoked(lab.admin));
    assert_eq!(lab.get(&format!("/users/{}", lab.admin)).await.0, 200);
}

#[tokio::test]
async fn resource_units_over_the_quota_say_so() {
    let mut quotas = Quotas::documented(TenantSize::Large);
    quotas.resource_units = Quota::per_seconds(2, 3_600);
    let lab = Lab::with_quotas(quotas).await;
    assert_eq!(lab.get("/users").await.0, 200);
    let request = lab.request(Method::GET, "/users");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(
        header(&response, "x-ms-throttle-information"),
        Some("ResourceUnitLimitExceeded")
    );
}

#[tokio::test]
async fn identity_protection_turns_away_without_a_hint() {
    let mut quotas = Quotas::documented(TenantSize::Large);
    quotas.protection = Quota::per_seconds(1, 3_600);
    let lab = Lab::with_quotas(quotas).await;
    lab.graph.spend_elsewhere(0, 1);
    let path = "/identityProtection/riskyUsers/dismiss";
    let request = lab.request(Method::POST, path);
    let request = request.json(&json!({"userIds": [lab.alice]}));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 429);
    for name in ["retry-after", "x-ms-throttle-scope"] {
        assert_eq!(header(&response, name), None, "{name}");
    }
    assert_eq!(lab.revoke(lab.alice).await.status(), 200);
}

#[tokio::test]
async fn the_log_holds_every_call_and_its_headers() {
    let lab = Lab::start().await;
    let path = format!("/users/{}/revokeSignInSessions", lab.alice);
    let request = lab
        .request(Method::POST, &path)
        .header("client-request-id", "an-id")
        .header("x-ms-throttle-priority", "high");
    request.send().await.unwrap();
    lab.get("/nonsense").await;

    let calls = lab.graph.calls();
    assert_eq!(calls.len(), 2);
    let call = &calls[0];
    assert_eq!((call.number, call.method.as_str()), (1, "POST"));
    assert_eq!(call.path, format!("/v1.0{path}"));
    assert_eq!(call.users, [lab.alice]);
    assert_eq!(call.app, Some(FULL));
    assert_eq!((call.status, call.applied), (Some(200), true));
    assert_eq!(call.client_request_id.as_deref(), Some("an-id"));
    assert_eq!(call.throttle_priority.as_deref(), Some("high"));
    assert_eq!((calls[1].status, calls[1].applied), (Some(400), false));
}

#[tokio::test]
async fn a_test_can_wait_for_a_change() {
    let lab = Lab::start().await;
    let long = Duration::from_secs(30);
    let waiting = lab.graph.wait_until(long, |graph| {
        !graph.user(lab.alice).unwrap().account_enabled
    });
    let body = json!({"accountEnabled": false});
    let acting = lab.patch_as(FULL, lab.alice, &body);
    let (seen, _) = tokio::join!(waiting, acting);
    assert!(seen);
    assert!(!lab.graph.wait_until(Duration::ZERO, |_| false).await);
}

#[tokio::test]
async fn the_labs_own_pages_show_users_and_calls() {
    let lab = Lab::start().await;
    lab.revoke(lab.alice).await;
    let page = async |path: &str| {
        let url = format!("{}{path}", lab.graph.lab_url());
        read(lab.http.get(url).send().await.unwrap()).await.1
    };
    let tenant = page("/lab/tenant").await;
    let users = tenant["users"].as_array().unwrap();
    assert_eq!(users.len(), 4);
    let alice = users
        .iter()
        .find(|entry| entry["user"]["id"] == lab.alice.to_string())
        .unwrap();
    assert_ne!(
        alice["user"]["signInSessionsValidFrom"],
        "1970-01-01T00:00:00Z"
    );
    let calls = page("/lab/calls").await;
    assert_eq!(calls["calls"][0]["method"], "POST");
    assert_eq!(calls["calls"][0]["status"], 200);
}
