//! `$cbs`: claims-based security. A peer puts a token here before it attaches.
//!
//! Invariant: nothing is granted unless the token was checked, a JWT by the
//! lab's own judge of tokens, a SAS token by its signature and expiry.

use fe2o3_amqp::types::messaging::{AmqpValue, Body};
use fe2o3_amqp::types::primitives::Value;
use jiff::Timestamp;

use super::address::path_of;
use super::connection::Peer;
use super::faults::count;
use super::log::AnyMessage;
use super::request::{Answer, property};
use super::sas;

/// The status of a token taken: clients compare with exactly this.
const ACCEPTED: i32 = 202;

/// Answers a `put-token` request.
pub(super) fn answer(request: &AnyMessage, peer: &Peer) -> Answer {
    if property(request, "operation") != Some("put-token") {
        return Answer::failed(400, "unknown operation");
    }
    let (Some(kind), Some(audience)) = (property(request, "type"), property(request, "name"))
    else {
        return Answer::failed(400, "put-token needs a type and a name");
    };
    let Body::Value(AmqpValue(Value::String(token))) = &request.body else {
        return Answer::failed(400, "put-token needs a token as its body");
    };

    let counters = &peer.broker.counters;
    if peer.broker.faults.deny_tokens() || !is_good(kind, token, audience, peer) {
        count(&counters.tokens_refused);
        return Answer::failed(401, "InvalidSignature: The token has an invalid signature.");
    }
    match peer.grant(path_of(audience)) {
        Ok(()) => {
            count(&counters.tokens_granted);
            Answer {
                status: ACCEPTED,
                description: "Accepted".to_owned(),
                body: Value::Null,
            }
        }
        Err(refusal) => Answer::failed(403, refusal.description),
    }
}

fn is_good(kind: &str, token: &str, audience: &str, peer: &Peer) -> bool {
    match kind {
        "jwt" => (peer.broker.check_token)(token, audience),
        "servicebus.windows.net:sastoken" => {
            let now = Timestamp::now().as_second();
            let key = peer.broker.sas_key.as_ref();
            key.is_some_and(|key| sas::is_valid(token, audience, key, now))
        }
        _ => false,
    }
}
