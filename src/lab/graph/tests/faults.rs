//! Each fault as it reaches a plain client, before and after applying.

use std::time::Instant;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

impl Lab {
    async fn try_revoke(&self) -> reqwest::Result<Response> {
        let path = format!("/users/{}/revokeSignInSessions", self.alice);
        self.request(Method::POST, &path)
            .timeout(LIMIT)
            .send()
            .await
    }
}

#[tokio::test]
async fn a_status_comes_with_graphs_error_body() {
    let lab = Lab::start().await;
    for status in [401, 403, 404, 409, 429, 500, 502, 503, 504] {
        lab.graph.inject(FaultRule::once(Fault::status(status)));
        let response = lab.try_revoke().await.unwrap();
        assert_eq!(header(&response, "retry-after"), None);
        let (got, body) = read(response).await;
        assert_eq!(got, status);
        assert!(!code(&body).is_empty(), "{status}");
    }
    assert!(!lab.revoked(lab.alice));
    assert!(lab.graph.calls().iter().all(|call| !call.applied));
    assert_eq!(lab.try_revoke().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_status_may_come_with_a_wait_and_after_the_act() {
    let lab = Lab::start().await;
    let fault = Fault::Status {
        status: 429,
        retry_after: Some("2.128".to_owned()),
    };
    lab.graph.inject(FaultRule::once(fault).after_applying());
    let response = lab.try_revoke().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), Some("2.128"));
    assert!(lab.revoked(lab.alice));
    let call = &lab.graph.calls()[0];
    assert_eq!((call.status, call.applied), (Some(429), true));
    assert_eq!(call.fault, Some("status"));
}

#[tokio::test]
async fn a_proxys_page_is_no_json() {
    let lab = Lab::start().await;
    lab.graph
        .inject(FaultRule::once(Fault::Html { status: 503 }));
    let response = lab.try_revoke().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "content-type"), Some("text/html"));
    assert!(response.json::<Value>().await.is_err());
}

#[tokio::test]
async fn a_truncated_body_fails_while_it_is_read() {
    let lab = Lab::start().await;
    lab.graph.inject(FaultRule::once(Fault::Truncated));
    let response = lab.try_revoke().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert!(lab.revoked(lab.alice));
}

#[tokio::test]
async fn a_truncated_answer_without_a_body_is_lost_whole() {
    let lab = Lab::start().await;
    lab.graph.inject(FaultRule::once(Fault::Truncated));
    let body = json!({"accountEnabled": false});
    let path = format!("/users/{}", lab.alice);
    let request = lab.request(Method::PATCH, &path).json(&body);
    assert!(request.send().await.is_err());
    assert!(!lab.graph.user(lab.alice).unwrap().account_enabled);
}

#[tokio::test]
async fn a_dripping_body_arrives_whole_in_its_own_time() {
    let lab = Lab::start().await;
    let pause = Duration::from_millis(2);
    lab.graph.inject(FaultRule::once(Fault::Drip(pause)));
    let start = Instant::now();
    let response = lab.try_revoke().await.unwrap();
    let length = response.content_length().unwrap();
    let (status, body) = read(response).await;
    assert_eq!((status, &body["value"]), (200, &json!(true)));
    assert!(start.elapsed() >= pause * u32::try_from(length).unwrap());
}

#[tokio::test]
async fn a_hanging_call_is_never_answered_and_may_be_done() {
    let lab = Lab::start().await;
    let patience = Duration::from_millis(50);
    let hang = || FaultRule::once(Fault::Hang);
    for (rule, applied) in [(hang(), false), (hang().after_applying(), true)] {
        lab.graph.inject(rule);
        let path = format!("/users/{}/revokeSignInSessions", lab.alice);
        let request = lab.request(Method::POST, &path);
        let judged = lab.graph.calls().len() + 1;
        let answer = tokio::spawn(request.send());
        assert!(
            lab.graph
                .wait_until(LIMIT, |graph| graph.calls().len() >= judged)
                .await
        );
        assert!(tokio::time::timeout(patience, answer).await.is_err());
        assert_eq!(lab.revoked(lab.alice), applied);
        let calls = lab.graph.calls();
        assert_eq!(calls.last().unwrap().status, None);
    }
}

#[tokio::test]
async fn a_reset_connection_is_a_transport_error_and_may_be_done() {
    let reset = || FaultRule::once(Fault::Reset);
    for (rule, applied) in [(reset(), false), (reset().after_applying(), true)] {
        // A new client has no kept connection, on whose death it might quietly
        // send the request again.
        let lab = Lab::start().await;
        lab.graph.inject(rule);
        let error = lab.try_revoke().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(lab.revoked(lab.alice), applied);
        assert_eq!(lab.graph.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_reset_is_one_on_the_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lab = Lab::start().await;
    lab.graph.inject(FaultRule::once(Fault::Reset));
    let address = lab
        .graph
        .base_url()
        .replace("http://", "")
        .replace("/v1.0", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET /v1.0/users HTTP/1.1\r\nhost: lab\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let end = tokio::time::timeout(LIMIT, stream.read(&mut [0; 64])).await;
    let error = end.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn latency_delays_the_answer_and_not_the_act() {
    let lab = Lab::start().await;
    let delay = Duration::from_millis(80);
    lab.graph.inject(FaultRule::once(Fault::Latency(delay)));
    let start = Instant::now();
    assert_eq!(lab.try_revoke().await.unwrap().status(), 200);
    assert!(start.elapsed() >= delay);
    assert!(lab.revoked(lab.alice));
}

#[tokio::test]
async fn a_fault_meets_only_the_user_it_names() {
    let lab = Lab::start().await;
    let rule = FaultRule::once(Fault::status(503)).on_user(lab.admin);
    lab.graph.inject(rule.always());
    assert_eq!(lab.revoke(lab.alice).await.status(), 200);
    for _ in 0..2 {
        assert_eq!(lab.revoke(lab.admin).await.status(), 503);
    }
    lab.graph.clear_faults();
    assert_eq!(lab.revoke(lab.admin).await.status(), 200);
}

#[tokio::test]
async fn a_dropped_graph_answers_no_more() {
    let lab = Lab::start().await;
    lab.graph.inject(FaultRule::once(Fault::Hang));
    let path = format!("/users/{}", lab.alice);
    let waiting = tokio::spawn(lab.request(Method::GET, &path).timeout(LIMIT).send());
    assert!(
        lab.graph
            .wait_until(LIMIT, |graph| graph.calls().len() == 1)
            .await
    );
    let again = lab.request(Method::GET, &path).timeout(LIMIT);
    drop(lab.graph);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    let error = again.send().await.unwrap_err();
    assert!(error.is_connect() || error.is_request(), "{error:?}");
}
