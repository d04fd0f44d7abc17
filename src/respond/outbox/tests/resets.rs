//! Passwords: set once a human has said yes, where they are Entra's to set,
//! and never seen anywhere.

use std::io;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode as Status;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::*;
use ActionKind::ResetPassword;

impl Bench {
    /// Adds a user and orders a reset of their password, which waits for a yes.
    async fn ask_for_reset(&self, user: User) -> Uuid {
        let guest = user.user_type == UserType::Guest;
        let user = self.graph.with_tenant(|t| t.add_user(user)).unwrap();
        let now = Timestamp::now();
        let mut decided = decided(user, ResetPassword, Effect::Ask, 90, now);
        decided.decision.user.guest = guest;
        let commit = Commit {
            decisions: vec![decided],
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap();
        user
    }

    pub(super) async fn approve(&self, user: Uuid) {
        let (case, now) = (case_of(user).to_string(), Timestamp::now());
        let judged = self.store.judge(&case, Judgement::Approve, "alice", now);
        judged.await.unwrap();
        self.wake.notify_one();
    }
}

#[tokio::test]
async fn a_password_is_reset_once_a_human_has_said_yes_and_not_before() {
    let bench = Bench::new(1).await;
    let running = bench.start();
    let user = bench
        .ask_for_reset(User::member("ana@contoso.example"))
        .await;
    // The responder has had its turn: somebody else's revoke is done.
    let other = bench.users[0];
    bench
        .order(RevokeSessions, Effect::Act, &all(&[other]))
        .await;
    bench.settled(other, ActionState::Acknowledged).await;
    assert_eq!(bench.calls(&user.to_string()), []);
    let before = bench.graph.user(user).unwrap();
    assert_eq!(before.last_password_change, None);

    bench.approve(user).await;
    let action = bench.settled(user, ActionState::Acknowledged).await;
    assert_eq!(action.last_outcome.as_deref(), Some("204"));
    let after = bench.graph.user(user).unwrap();
    assert!(after.must_change_password && after.last_password_change.is_some());
    let calls = bench.calls(&user.to_string());
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].method, "PATCH");
    assert_eq!(calls[0].client_request_id, Some(action.id.to_string()));
    assert_eq!(calls[0].throttle_priority.as_deref(), Some("high"));
    running.stopped().await;
}

/// The store queues no such action; here it is claimed and its approval taken
/// away, as a store that is wrong would hand it over.
#[tokio::test]
async fn a_reset_without_a_yes_is_not_sent_even_if_the_store_hands_it_over() {
    let bench = Bench::new(0).await;
    let user = bench
        .ask_for_reset(User::member("ana@contoso.example"))
        .await;
    bench.approve(user).await;
    let kinds: &'static [ActionKind] = &[ResetPassword];
    let claimed = bench.store.claim(kinds, 1, Timestamp::now()).await;
    let unapproved = Claimed {
        approved: false,
        ..claimed.unwrap().remove(0)
    };
    let lanes = lanes(slow_lane(Duration::from_millis(5)));
    let desk = bench.responder().desk(lanes, CancellationToken::new());
    desk.write_one(unapproved).await;
    let action = bench.action(user).await;
    assert_eq!(action.state, ActionState::Failed);
    assert_eq!(
        action.last_outcome.as_deref(),
        Some("not sent: no human has approved it")
    );
    assert_eq!(action.attempts, 0);
    assert_eq!(bench.graph.calls(), []);
}

#[tokio::test]
async fn a_password_that_is_not_entras_to_set_is_handed_to_a_human_with_the_reason() {
    let bench = Bench::new(0).await;
    let member = || User::member("ana@contoso.example");
    let table = [
        (
            "managed_elsewhere",
            "refused, the password is kept elsewhere (synchronised or federated); reset it \
             there: Unable to update the specified properties for on-premises mastered",
            1,
            User {
                on_premises_sync_enabled: Some(true),
                ..member()
            },
        ),
        (
            "managed_elsewhere",
            "refused, the password is kept elsewhere (synchronised or federated)",
            1,
            User {
                federated: true,
                user_principal_name: "ben@contoso.example".to_owned(),
                ..member()
            },
        ),
        (
            "guest",
            "not sent: a guest's password is the home tenant's",
            0,
            User::guest("guest@fabrikam.example"),
        ),
        // A User Administrator is not enough for an administrator's.
        (
            "forbidden",
            "403 Authorization_RequestDenied: Insufficient privileges",
            1,
            User {
                privileged: true,
                user_principal_name: "admin@contoso.example".to_owned(),
                ..member()
            },
        ),
    ];
    let running = bench.start();
    for (outcome, reason, requests, user) in table {
        let user = bench.ask_for_reset(user).await;
        bench.approve(user).await;
        let action = bench.settled(user, ActionState::Failed).await;
        let said = action.last_outcome.unwrap();
        assert!(said.starts_with(reason), "{said}");
        assert_eq!(bench.calls(&user.to_string()).len(), requests, "{said}");
        let counted =
            format!(r#"evictd_actions_total{{action="reset_password",outcome="{outcome}"}}"#);
        bench.metric(&counted).await;
        let tenant = bench.graph.user(user).unwrap();
        assert_eq!(tenant.last_password_change, None, "{said}");
    }
    running.stopped().await;
}

#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_repeated_with_another_password() {
    let bench = Bench::new(0).await;
    let user = bench
        .ask_for_reset(User::member("ana@contoso.example"))
        .await;
    let lost = FaultRule::once(Fault::Reset).on_user(user);
    bench.graph.inject(lost.after_applying());
    let running = bench.start();
    bench.approve(user).await;
    let action = bench.settled(user, ActionState::Acknowledged).await;
    assert_eq!(action.attempts, 2);
    running.stopped().await;
}

/// What a Graph that keeps every password saw, and what it answers.
struct Seen {
    status: Status,
    passwords: Mutex<Vec<String>>,
}

impl Seen {
    fn passwords(&self) -> Vec<String> {
        let passwords = self.passwords.lock();
        passwords.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers with a message that quotes the password, as no server should.
async fn indiscreet(State(seen): State<Arc<Seen>>, Json(body): Json<Value>) -> Response {
    let profile = &body["passwordProfile"];
    assert_eq!(profile["forceChangePasswordNextSignIn"], true);
    let password = profile["password"].as_str().unwrap().to_owned();
    let message = format!("The password '{password}' {}", "will not do. ".repeat(40));
    let passwords = seen.passwords.lock();
    passwords
        .unwrap_or_else(PoisonError::into_inner)
        .push(password.clone());
    if seen.status == Status::NO_CONTENT {
        return seen.status.into_response();
    }
    let error = json!({"error": {"code": password, "message": message}});
    (seen.status, Json(error)).into_response()
}

/// A log that can be read back.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&lines).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_password_is_in_no_log_line_no_file_no_metric_and_no_outcome() {
    let log = Lines::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // While there is one subscriber only, tracing lets whichever thread comes
    // first decide whether a line is logged, and other tests have none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);

    for (status, state) in [
        (Status::NO_CONTENT, ActionState::Acknowledged),
        (Status::BAD_REQUEST, ActionState::Failed),
        (Status::FORBIDDEN, ActionState::Failed),
    ] {
        let seen = Arc::new(Seen {
            status,
            passwords: Mutex::default(),
        });
        let router = axum::Router::new()
            .fallback(indiscreet)
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });

        let mut bench = Bench::new(0).await;
        bench.endpoint = Url::parse(&format!("http://{address}/v1.0")).unwrap();
        let user = bench
            .ask_for_reset(User::member("ana@contoso.example"))
            .await;
        let running = bench.start();
        bench.approve(user).await;
        let action = bench.settled(user, state).await;
        running.stopped().await;
        server.abort();

        let passwords = seen.passwords();
        let [password] = &passwords[..] else {
            panic!("{} requests", passwords.len())
        };
        assert_eq!(password.len(), 32);
        let case = bench.store.case(&case_of(user).to_string()).await.unwrap();
        let mut traces = vec![
            ("log", log.text()),
            ("outcome", format!("{action:?}")),
            ("case", serde_json::to_string(&case).unwrap()),
            ("metrics", bench.metrics.render()),
        ];
        for file in std::fs::read_dir(bench.directory.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            traces.push(("file", String::from_utf8_lossy(&bytes).into_owned()));
        }
        for (trace, text) in &traces {
            assert!(!text.contains(&password[..8]), "{status} {trace}");
        }
        // It was looked for where something was said.
        assert!(log.text().contains(&action.id.to_string()));
        let files = traces.iter().filter(|(trace, _)| *trace == "file");
        let stored = files.filter(|(_, text)| text.contains("reset_password"));
        assert!(stored.count() > 0);
    }
}

#[tokio::test]
async fn a_revoke_of_higher_score_goes_before_a_reset() {
    let bench = Bench::new(1).await;
    let reset = bench
        .ask_for_reset(User::member("ana@contoso.example"))
        .await;
    bench.approve(reset).await;
    let revoked = bench.users[0];
    bench
        .order(RevokeSessions, Effect::Act, &[(revoked, 95)])
        .await;
    let running = bench.start_in(lanes(slow_lane(Duration::from_millis(50))));
    bench.settled(reset, ActionState::Acknowledged).await;
    let order: Vec<Uuid> = bench.graph.calls().iter().map(|c| c.users[0]).collect();
    assert_eq!(order, [revoked, reset]);
    running.stopped().await;
}
