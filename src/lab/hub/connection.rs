//! One AMQP connection: its sessions, and each link handed to whom it is for.
//!
//! Invariant: a link nobody serves is answered and then closed with the
//! reason, as Event Hubs does; it is never left hanging. What a token opened
//! on `$cbs` holds for this connection only.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fe2o3_amqp::acceptor::{
    ConnectionAcceptor, LinkAcceptor, LinkEndpoint, ListenerSessionHandle, SaslAnonymousMechanism,
    SessionAcceptor, SupportedReceiverSettleModes,
};
use fe2o3_amqp::types::definitions::{Error, Fields, ReceiverSettleMode, Role};
use fe2o3_amqp::types::messaging::TargetArchetype;
use fe2o3_amqp::types::performatives::Attach;
use fe2o3_amqp::types::primitives::{Symbol, Value};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::{covers, path_of};
use super::broker::Broker;
use super::refusal::{LIMIT_EXCEEDED, Refusal, UNAUTHORIZED};
use super::request::{Node, Replies};
use super::{receiver_link, request, sender_link};

/// Event Hubs' largest frame, in bytes.
const FRAME_BYTES_MAX: u32 = 64 * 1024;

/// Event Hubs' largest message, in bytes (standard tier).
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;

/// How long Event Hubs tolerates silence, in milliseconds. The Python SDK
/// needs a value here.
const IDLE_MS_MAX: u32 = 240_000;

/// Links of a session, less one, as Event Hubs advertises it. The Python SDK
/// needs a value here too.
const LINKS_MAX: u32 = 255;

/// Tokens' audiences remembered per connection.
const GRANTS_MAX: usize = 1024;

/// How long a peer may take to answer a close before it is left alone.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What a connection's links share.
pub(super) struct Peer {
    pub(super) broker: Arc<Broker>,
    grants: Mutex<BTreeSet<String>>,
}

impl Peer {
    /// Remembers that a token opened `path` and what lies beneath it.
    pub(super) fn grant(&self, path: &str) -> Result<(), Refusal> {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if grants.len() >= GRANTS_MAX && !grants.contains(path) {
            return Err(Refusal::new(LIMIT_EXCEEDED, "too many authorisations"));
        }
        grants.insert(path.to_owned());
        Ok(())
    }

    /// Refuses what no token opened.
    pub(super) fn check_granted(&self, path: &str) -> Result<(), Refusal> {
        self.check(path, |granted| covers(granted, path))
    }

    /// Refuses to describe a hub of which no token opened any part.
    pub(super) fn check_described(&self, hub: &str) -> Result<(), Refusal> {
        self.check(hub, |granted| covers(granted, hub) || covers(hub, granted))
    }

    fn check(&self, path: &str, opens: impl Fn(&str) -> bool) -> Result<(), Refusal> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if grants.iter().any(|granted| opens(granted)) {
            return Ok(());
        }
        Err(Refusal::new(
            UNAUTHORIZED,
            format!("Unauthorized access. 'Listen' or 'Send' claim(s) are required on '{path}'"),
        ))
    }
}

/// Serves the connection on `stream` until it ends.
pub(super) async fn serve(stream: DuplexStream, broker: Arc<Broker>) {
    let acceptor = ConnectionAcceptor::builder()
        .container_id("evictd-lab-event-hubs")
        .max_frame_size(FRAME_BYTES_MAX)
        .idle_time_out(IDLE_MS_MAX)
        .properties(properties())
        .sasl_acceptor(SaslAnonymousMechanism::new())
        .build();
    // A peer that cannot open a connection has been told so on the wire.
    let Ok(mut connection) = acceptor.accept(stream).await else {
        return;
    };
    let peer = Arc::new(Peer {
        broker,
        grants: Mutex::default(),
    });
    let session_acceptor = SessionAcceptor::builder()
        .handle_max(LINKS_MAX)
        .properties(properties())
        .build();
    let mut sessions = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            Some(_) = sessions.join_next() => continue,
            incoming = connection.next_incoming_session() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let accepted = session_acceptor.accept_incoming_session(incoming, &mut connection);
        if let Ok(session) = accepted.await {
            sessions.spawn(serve_session(session, Arc::clone(&peer)));
        }
    }
}

async fn serve_session(mut session: ListenerSessionHandle, peer: Arc<Peer>) {
    let acceptor = LinkAcceptor::builder()
        .max_message_size(MESSAGE_BYTES_MAX)
        .properties(properties())
        // Event Hubs settles first. The Python SDK asks for second, and then
        // takes only a disposition that settles at once.
        .supported_receiver_settle_modes(SupportedReceiverSettleModes::First)
        .fallback_receiver_settle_mode(ReceiverSettleMode::First)
        // Addresses and filters are judged here, not by the library.
        .verify_incoming_source(false)
        .verify_incoming_target(false)
        .build();
    let replies = Replies::default();
    let mut links = JoinSet::new();
    loop {
        let attach = tokio::select! {
            Some(_) = links.join_next() => continue,
            attach = session.next_incoming_attach() => attach,
        };
        let Some(attach) = attach else { break };
        let purpose = Purpose::of(&attach, &peer);
        // Whoever attaches badly is answered by the library.
        if let Ok(link) = acceptor.accept_incoming_attach(attach, &mut session).await {
            links.spawn(serve_link(
                link,
                purpose,
                Arc::clone(&peer),
                replies.clone(),
            ));
        }
    }
}

/// What a link is for.
enum Purpose {
    Request(Node),
    Reply(Node, Option<String>),
    Read(receiver_link::Reading),
    Send(String),
    Refused(Refusal),
}

impl Purpose {
    fn of(attach: &Attach, peer: &Peer) -> Self {
        match attach.role {
            Role::Sender => {
                let target = target_address(attach).unwrap_or_default();
                let path = path_of(target);
                match Node::named(path) {
                    Some(node) => Self::Request(node),
                    None => match sender_link::check(path, peer) {
                        Ok(()) => Self::Send(path.to_owned()),
                        Err(refusal) => Self::Refused(refusal),
                    },
                }
            }
            Role::Receiver => {
                let source = attach.source.as_deref();
                let address = source.and_then(|source| source.address.as_deref());
                let path = path_of(address.unwrap_or_default());
                match Node::named(path) {
                    Some(node) => Self::Reply(node, target_address(attach).map(str::to_owned)),
                    None => match receiver_link::Reading::admit(path, attach, peer) {
                        Ok(reading) => Self::Read(reading),
                        Err(refusal) => Self::Refused(refusal),
                    },
                }
            }
        }
    }
}

async fn serve_link(link: LinkEndpoint, purpose: Purpose, peer: Arc<Peer>, replies: Replies) {
    match (link, purpose) {
        (LinkEndpoint::Receiver(link), Purpose::Request(node)) => {
            request::serve_requests(link, node, &peer, &replies).await;
        }
        (LinkEndpoint::Sender(link), Purpose::Reply(node, address)) => {
            request::serve_replies(link, node, address, &replies).await;
        }
        (LinkEndpoint::Sender(link), Purpose::Read(reading)) => {
            receiver_link::serve(link, reading, &peer).await;
        }
        (LinkEndpoint::Receiver(link), Purpose::Send(path)) => {
            sender_link::serve(link, &path, &peer).await;
        }
        (link, Purpose::Refused(refusal)) => close(link, refusal).await,
        // The purpose follows from the role, and the role makes the link.
        (link, _) => close(link, Refusal::new("amqp:internal-error", "role mismatch")).await,
    }
}

/// Closes a link with the reason, and waits a while for the peer to agree.
pub(super) async fn close(link: LinkEndpoint, refusal: Refusal) {
    let error = Error::from(refusal);
    // An error means that the peer is gone or closed first.
    let _ = match link {
        LinkEndpoint::Sender(link) => timeout(CLOSE_MAX, link.close_with_error(error)).await,
        LinkEndpoint::Receiver(link) => timeout(CLOSE_MAX, link.close_with_error(error)).await,
    };
}

fn target_address(attach: &Attach) -> Option<&str> {
    match attach.target.as_deref()? {
        TargetArchetype::Target(target) => target.address.as_deref(),
    }
}

/// Properties for open, begin and attach. The Python SDK finds a performative's
/// fields by position and fails on one that ends before its properties.
fn properties() -> Fields {
    let product = Symbol::from("product");
    Fields::from_iter([(product, Value::String("evictd lab".to_owned()))])
}
