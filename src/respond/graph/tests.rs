//! Tables: answer → outcome → end, and the two clocks of a retry.

use super::outcome::retry_after;
use super::*;

const ERROR: &str =
    r#"{"error":{"code":"Code_Of_Graph","message":"Its words.","innerError":{"request-id":"r"}}}"#;
const HTML: &str = "<html><body>Our services aren't available right now</body></html>";

fn head(status: u16, html: bool, retry_after: Option<u64>) -> Head {
    Head {
        status: StatusCode::from_u16(status).unwrap(),
        html,
        retry_after: retry_after.map(Duration::from_secs),
        throttle_scope: None,
    }
}

const HALF_A_SECOND: End = End::Retry {
    after: Duration::from_millis(500),
};

#[test]
fn every_answer_has_its_outcome_and_its_end() {
    let five = End::Retry {
        after: Duration::from_secs(5),
    };
    for (status, body, wait, name, end) in [
        (200, r#"{"value":true}"#, None, "acknowledged", End::Done),
        (202, "", None, "acknowledged", End::Done),
        (204, "", None, "acknowledged", End::Done),
        (200, HTML, None, "unreadable", HALF_A_SECOND),
        (302, "", None, "unreadable", HALF_A_SECOND),
        (400, ERROR, None, "bad_request", End::Final),
        (400, HTML, None, "unreadable", HALF_A_SECOND),
        (403, ERROR, None, "forbidden", End::Final),
        (403, HTML, None, "unreadable", HALF_A_SECOND),
        (404, ERROR, None, "not_found", End::Final),
        (404, "", None, "unreadable", HALF_A_SECOND),
        (405, ERROR, None, "bad_request", End::Final),
        (408, "", None, "server_error", HALF_A_SECOND),
        (409, ERROR, None, "conflict", HALF_A_SECOND),
        (412, ERROR, None, "conflict", HALF_A_SECOND),
        (423, ERROR, None, "conflict", HALF_A_SECOND),
        (429, ERROR, None, "throttled", HALF_A_SECOND),
        (429, ERROR, Some(5), "throttled", five),
        (429, HTML, Some(5), "throttled", five),
        (500, ERROR, None, "server_error", HALF_A_SECOND),
        (502, HTML, None, "server_error", HALF_A_SECOND),
        (503, ERROR, Some(5), "server_error", five),
        (504, "", None, "server_error", HALF_A_SECOND),
    ] {
        let outcome = head(status, body == HTML, wait).outcome(body.as_bytes());
        assert_eq!(outcome.name(), name, "{status} {body}");
        assert_eq!(outcome.end(0, 0.0), end, "{status} {body}");
    }
}

#[test]
fn a_refusal_keeps_graphs_own_words() {
    assert_eq!(
        head(403, false, None).outcome(ERROR.as_bytes()).to_string(),
        "403 Code_Of_Graph: Its words."
    );
}

#[test]
fn what_never_was_an_answer_is_tried_again() {
    let soon = End::Retry {
        after: Duration::ZERO,
    };
    for (outcome, end) in [
        (Outcome::TimedOut, HALF_A_SECOND),
        (Outcome::ConnectionLost { connected: true }, HALF_A_SECOND),
        (Outcome::ConnectionLost { connected: false }, HALF_A_SECOND),
        (
            Outcome::NoToken {
                reason: String::new(),
            },
            HALF_A_SECOND,
        ),
        (Outcome::Unauthorized { stale: true }, soon),
        (Outcome::Unauthorized { stale: false }, HALF_A_SECOND),
    ] {
        assert_eq!(outcome.end(0, 0.0), end, "{outcome}");
    }
}

#[test]
fn what_only_a_human_can_do_is_not_tried_again_and_was_not_sent_in_vain() {
    let elsewhere = Outcome::ManagedElsewhere {
        message: "Its words.".into(),
    };
    for (outcome, sent) in [
        (elsewhere, true),
        (Outcome::Guest, false),
        (Outcome::Unapproved, false),
        (Outcome::Workload, false),
    ] {
        assert_eq!(outcome.end(0, 0.0), End::Final, "{outcome}");
        assert_eq!(outcome.was_sent(), sent, "{outcome}");
        assert_eq!(outcome.pauses_lane(), None, "{outcome}");
    }
    assert_eq!(Outcome::NoPassword.end(0, 0.0), HALF_A_SECOND);
    assert!(!Outcome::NoPassword.was_sent());
}

#[test]
fn a_refused_reset_says_whose_password_it_is_and_never_the_password() {
    let password = Password::generate().unwrap();
    let bad = |message: &str| Outcome::BadRequest {
        code: "Request_BadRequest".into(),
        message: message.into(),
    };
    let elsewhere = |message: &str| Outcome::ManagedElsewhere {
        message: message.into(),
    };
    let weak = "The specified password does not comply with password complexity requirements.";
    let synced = "Unable to update the specified properties for on-premises mastered \
                  Directory Sync objects or objects currently undergoing migration.";
    let federated = "A Federated user's password cannot be set.";
    let quoted = format!("'{}' is weak", &password.secret()[..12]);
    let left_out = "(left out: the answer quotes the password)";
    let forbidden = |message: &str| Outcome::Forbidden {
        code: "Authorization_RequestDenied".into(),
        message: message.into(),
    };
    for (outcome, expected) in [
        (bad(weak), bad(weak)),
        (bad(synced), elsewhere(synced)),
        (bad(federated), elsewhere(federated)),
        (bad(&quoted), bad(left_out)),
        (forbidden("No."), forbidden("No.")),
        (forbidden(&quoted), forbidden(left_out)),
        (Outcome::NotFound, Outcome::NotFound),
        (Outcome::TimedOut, Outcome::TimedOut),
    ] {
        assert_eq!(of_reset(outcome, &password), expected);
    }
}

#[test]
fn only_what_would_meet_every_request_pauses_the_lane() {
    let wait = Some(Duration::from_secs(3));
    let throttled = |retry_after| Outcome::Throttled {
        retry_after,
        scope: None,
    };
    for (outcome, pause) in [
        (throttled(wait), Some(wait)),
        (throttled(None), Some(None)),
        (Outcome::Unauthorized { stale: false }, Some(None)),
        (Outcome::Unauthorized { stale: true }, None),
        (Outcome::TimedOut, None),
        (Outcome::NotFound, None),
    ] {
        assert_eq!(outcome.pauses_lane(), pause, "{outcome}");
    }
}

#[test]
fn backoff_doubles_to_its_bound_and_jitter_takes_off_at_most_half() {
    for (attempts, longest) in [
        (0, 1),
        (1, 2),
        (2, 4),
        (5, 32),
        (6, 60),
        (7, 60),
        (u32::MAX, 60),
    ] {
        let longest = Duration::from_secs(longest);
        assert_eq!(backoff(attempts, 1.0), longest, "{attempts}");
        assert_eq!(backoff(attempts, 0.0), longest / 2, "{attempts}");
        assert_eq!(backoff(attempts, f64::NAN.max(0.5)), longest.mul_f64(0.75));
    }
}

#[test]
fn retry_after_is_seconds_decimals_or_a_date() {
    let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
    let seconds = |s: f64| Some(Duration::from_secs_f64(s));
    for (text, wait) in [
        ("0", seconds(0.0)),
        ("2.128", seconds(2.128)),
        (" 120 ", seconds(120.0)),
        ("Tue, 24 Nov 2026 08:00:30 GMT", seconds(30.0)),
        ("Tue, 24 Nov 2026 07:59:00 GMT", seconds(0.0)),
        ("86400", seconds(600.0)),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(retry_after(text, now), wait, "{text:?}");
    }
}

#[test]
fn a_user_id_is_one_segment_of_the_path_whatever_it_holds() {
    let http = reqwest::Client::new();
    let config = serde_json::from_str(r#"{"kind":"azure_cli"}"#).unwrap();
    let credential = Credential::new(config, Default::default(), http.clone()).unwrap();
    for base in ["https://graph.example/v1.0", "https://graph.example/v1.0/"] {
        let endpoint = Url::parse(base).unwrap();
        let graph = GraphClient::new(endpoint, http.clone(), Arc::clone(&credential)).unwrap();
        for (id, path) in [
            ("a-b", "/v1.0/users/a-b/revokeSignInSessions"),
            (
                "a/../b?c#d",
                "/v1.0/users/a%2F..%2Fb%3Fc%23d/revokeSignInSessions",
            ),
            ("a%2Fb", "/v1.0/users/a%252Fb/revokeSignInSessions"),
        ] {
            let url = graph.url(&["users", id, "revokeSignInSessions"]);
            assert_eq!(url.path(), path);
        }
    }
    for (id, whole) in [("a", true), ("", false), (".", false), ("..", false)] {
        assert_eq!(is_path_segment(id), whole, "{id:?}");
    }
}

#[test]
fn each_clouds_graph_has_its_own_audience() {
    for (endpoint, scope) in [
        ("https://graph.microsoft.com/v1.0", PUBLIC_SCOPE),
        ("http://127.0.0.1:8080/v1.0", PUBLIC_SCOPE),
        (
            "https://graph.microsoft.us/v1.0",
            "https://graph.microsoft.us/.default",
        ),
        (
            "https://microsoftgraph.chinacloudapi.cn/v1.0",
            "https://microsoftgraph.chinacloudapi.cn/.default",
        ),
    ] {
        assert_eq!(
            scope_of(&Url::parse(endpoint).unwrap()),
            scope,
            "{endpoint}"
        );
    }
}
