//! Request and response over a pair of links, as `$cbs` and `$management` use it.
//!
//! Invariant: every request gets exactly one answer, on the reply link its
//! `reply-to` names, or else the newest of the same session and node (the
//! Python SDK names none), with the request's message id as correlation id.

use std::sync::{Arc, Mutex, PoisonError};

use fe2o3_amqp::link::{Receiver, Sender};
use fe2o3_amqp::types::messaging::{AmqpValue, ApplicationProperties, Body, Message, Properties};
use fe2o3_amqp::types::primitives::{SimpleValue, Value};
use tokio::sync::mpsc;

use super::connection::Peer;
use super::log::AnyMessage;
use super::{cbs, management};

/// Answers that may wait for a reply link's credit.
const WAITING_MAX: usize = 64;

/// Reply links remembered per session; the oldest is forgotten first.
const REPLY_LINKS_MAX: usize = 64;

/// A node that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// `$cbs`: takes tokens.
    Cbs,
    /// `$management`: describes hubs and partitions.
    Management,
}

impl Node {
    /// The node at `path`, where there is one. `$management` may be addressed
    /// beneath its hub.
    pub(super) fn named(path: &str) -> Option<Self> {
        match path.rsplit('/').next() {
            Some("$cbs") => Some(Self::Cbs),
            Some("$management") => Some(Self::Management),
            _ => None,
        }
    }
}

/// The outcome of a request.
pub(super) struct Answer {
    /// An HTTP status.
    pub(super) status: i32,
    pub(super) description: String,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn failed(status: i32, description: impl Into<String>) -> Self {
        Self {
            status,
            description: description.into(),
            body: Value::Null,
        }
    }
}

struct ReplyLink {
    node: Node,
    address: Option<String>,
    answers: mpsc::Sender<AnyMessage>,
}

/// The reply links of one session.
#[derive(Clone, Default)]
pub(super) struct Replies(Arc<Mutex<Vec<ReplyLink>>>);

impl Replies {
    fn add(&self, node: Node, address: Option<String>) -> mpsc::Receiver<AnyMessage> {
        let (answers, waiting) = mpsc::channel(WAITING_MAX);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| !link.answers.is_closed());
        if links.len() >= REPLY_LINKS_MAX {
            links.remove(0);
        }
        links.push(ReplyLink {
            node,
            address,
            answers,
        });
        waiting
    }

    fn find(&self, node: Node, reply_to: Option<&str>) -> Option<mpsc::Sender<AnyMessage>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let of_node = |link: &&ReplyLink| link.node == node && !link.answers.is_closed();
            links.iter().rev().filter(of_node)
        };
        let named = open().find(|link| reply_to.is_some() && link.address.as_deref() == reply_to);
        named
            .or_else(|| open().next())
            .map(|link| link.answers.clone())
    }
}

/// Serves the link a peer sends its requests on.
pub(super) async fn serve_requests(mut link: Receiver, node: Node, peer: &Peer, replies: &Replies) {
    while let Ok(delivery) = link.recv::<Body<Value>>().await {
        if link.accept(&delivery).await.is_err() {
            return;
        }
        let request = delivery.into_message();
        let reply_to = request
            .properties
            .as_ref()
            .and_then(|properties| properties.reply_to.as_deref());
        let Some(answers) = replies.find(node, reply_to) else {
            // Nowhere to answer to: the peer's own timeout tells it.
            continue;
        };
        let answer = match node {
            Node::Cbs => cbs::answer(&request, peer),
            Node::Management => management::answer(&request, peer),
        };
        // A reply link that closed meanwhile wants no answer.
        let _ = answers.send(message(answer, &request)).await;
    }
}

/// Serves the link a peer gets its answers on.
pub(super) async fn serve_replies(
    mut link: Sender,
    node: Node,
    address: Option<String>,
    replies: &Replies,
) {
    let mut waiting = replies.add(node, address);
    loop {
        let answer = tokio::select! {
            _ = link.on_detach() => return,
            answer = waiting.recv() => answer,
        };
        let Some(answer) = answer else { return };
        // Batchable, so the transfer is written with all its fields (see
        // `connection::properties`); the peer's disposition changes nothing.
        if link.send_batchable(answer).await.is_err() {
            return;
        }
    }
}

fn message(answer: Answer, request: &AnyMessage) -> AnyMessage {
    let asked = request.properties.as_ref();
    let properties = Properties {
        correlation_id: asked.and_then(|asked| asked.message_id.clone()),
        ..Properties::default()
    };
    let status = ApplicationProperties::builder()
        .insert("status-code", SimpleValue::Int(answer.status))
        .insert(
            "status-description",
            SimpleValue::String(answer.description),
        )
        .build();
    Message {
        header: None,
        delivery_annotations: None,
        message_annotations: None,
        properties: Some(properties),
        application_properties: Some(status),
        body: Body::Value(AmqpValue(answer.body)),
        footer: None,
    }
}

/// A string among a request's application properties.
pub(super) fn property<'a>(request: &'a AnyMessage, name: &str) -> Option<&'a str> {
    let properties = request.application_properties.as_ref()?;
    match properties.0.get(name)? {
        SimpleValue::String(value) => Some(value),
        SimpleValue::Symbol(value) => Some(value.as_str()),
        _ => None,
    }
}
