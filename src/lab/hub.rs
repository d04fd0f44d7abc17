//! Event Hubs on loopback: AMQP 1.0 as the service speaks it, with faults.
//!
//! A daemon is only as good as what it was tried against, so this stand-in
//! speaks the real protocol, to any client: `$cbs`, `$management`, receivers
//! with every start position and with epochs, senders and batches. It is
//! written on another version of the AMQP library than the one inside the
//! product's SDK and shares no code with the product.
//!
//! ```text
//! listener ─► wire ─► connection ─► request       ($cbs, $management)
//!             latency,            ├► receiver_link (log ─► reader)
//!             faults              └► sender_link   (sender ─► log)
//! ```
//!
//! Invariant: nothing outlives the [`EventHubs`] it belongs to.

mod address;
mod broker;
mod cbs;
mod connection;
mod faults;
mod listener;
mod log;
mod management;
mod partition;
mod readers;
mod receiver_link;
mod refusal;
mod request;
mod sas;
mod sender_link;
mod start;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::faults::Counts;
pub use self::log::Published;

use self::broker::Broker;
use self::partition::{Partition, data_message};
use self::refusal::Refusal;

/// Judges a JWT put on `$cbs`: the token, and the URL it is to open
/// (`amqps://namespace/hub/…`).
pub type TokenCheck = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The events a partition keeps when nothing else is asked for.
pub const RETAINED_EVENTS_MAX: usize = 1_000_000;

/// A shared access key, as in a connection string.
#[derive(Clone)]
pub struct SasKey {
    /// `SharedAccessKeyName`.
    pub name: String,
    /// `SharedAccessKey`: its text is the key, as written.
    pub key: String,
}

/// What to stand in for.
#[derive(Clone)]
pub struct EventHubsOptions {
    /// Hubs by name, with how many partitions each has (at least one).
    pub hubs: BTreeMap<String, usize>,
    /// The consumer groups every hub has.
    pub consumer_groups: BTreeSet<String>,
    /// Serve TLS too, on a port of its own.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The judge of JWTs.
    pub check_token: TokenCheck,
    /// The key SAS tokens must be signed with; without one they are refused.
    pub sas_key: Option<SasKey>,
    /// Events kept per partition; the oldest go first.
    pub retained_events_max: usize,
}

impl EventHubsOptions {
    /// Hubs with their partition counts, consumer group `$Default`, no TLS, no
    /// SAS key.
    pub fn new<'a>(
        hubs: impl IntoIterator<Item = (&'a str, usize)>,
        check_token: TokenCheck,
    ) -> Self {
        let named = |(name, partitions): (&str, usize)| (name.to_owned(), partitions);
        Self {
            hubs: hubs.into_iter().map(named).collect(),
            consumer_groups: BTreeSet::from(["$Default".to_owned()]),
            tls: None,
            check_token,
            sas_key: None,
            retained_events_max: RETAINED_EVENTS_MAX,
        }
    }
}

/// A running stand-in. Dropping it stops it; [`EventHubs::shutdown`] also waits.
pub struct EventHubs {
    broker: Arc<Broker>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    stop: CancellationToken,
    listeners: JoinSet<()>,
}

impl EventHubs {
    /// Listens on free ports of 127.0.0.1, in plain and, where asked, in TLS.
    ///
    /// # Errors
    /// When a port cannot be had, or a hub has no partition
    /// ([`io::ErrorKind::InvalidInput`]).
    pub async fn start(options: EventHubsOptions) -> io::Result<Self> {
        if options.hubs.values().any(|&partitions| partitions == 0) {
            let problem = "a hub needs at least one partition";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = plain.local_addr()?;
        let tls = match &options.tls {
            Some(config) => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                Some((listener, TlsAcceptor::from(Arc::clone(config))))
            }
            None => None,
        };
        let tls_address = match &tls {
            Some((listener, _)) => Some(listener.local_addr()?),
            None => None,
        };

        let broker = Arc::new(Broker::new(options));
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let listen =
            |listener, tls| listener::listen(listener, tls, Arc::clone(&broker), stop.clone());
        listeners.spawn(listen(plain, None));
        if let Some((listener, acceptor)) = tls {
            listeners.spawn(listen(listener, Some(acceptor)));
        }
        Ok(Self {
            broker,
            address,
            tls_address,
            stop,
            listeners,
        })
    }

    /// Where plain TCP is served: `amqp://127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where TLS is served, if it is: `amqps://localhost:<port>`.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Cuts all connections, stops listening and waits for both (5 s at most).
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
    }

    /// Puts an event with `body` as its data at the end of a partition.
    ///
    /// # Panics
    /// When there is no such partition, as do all methods that name one.
    pub fn publish(&self, hub: &str, partition: usize, body: Vec<u8>) -> Published {
        self.partition(hub, partition).append(data_message(body))
    }

    /// How many partitions a hub has; none where there is no such hub.
    pub fn partition_count(&self, hub: &str) -> usize {
        self.broker.hub(hub).map_or(0, |hub| hub.partitions.len())
    }

    /// How many events a partition was given so far, those dropped included.
    pub fn len(&self, hub: &str, partition: usize) -> u64 {
        self.partition(hub, partition).log().end().unsigned_abs()
    }

    /// How many receivers attached to a partition so far, those refused
    /// included.
    pub fn receiver_attaches(&self, hub: &str, partition: usize) -> u64 {
        self.partition(hub, partition).attaches()
    }

    /// What was done so far, all hubs together.
    pub fn counts(&self) -> Counts {
        self.broker.counters.read()
    }

    /// Resets every connection there is (TCP RST). New ones are served.
    pub fn kill_connections(&self) {
        self.broker.faults.cut_connections();
    }

    /// Detaches every reader of a partition with an error condition, such as
    /// `com.microsoft:server-busy`. Returns how many there were.
    pub fn detach(&self, hub: &str, partition: usize, condition: &str) -> usize {
        let reason = Refusal::new(condition, "The lab detached this link.");
        self.partition(hub, partition).readers.evict(&reason)
    }

    /// Refuses new receivers with an error condition, or serves them again.
    pub fn refuse_receivers(&self, condition: Option<&str>) {
        let reason = |condition| Refusal::new(condition, "The lab refuses receivers.");
        let faults = &self.broker.faults;
        faults.set_refuse_receivers(condition.map(reason));
    }

    /// Makes a black hole of the network: connections stay up and new ones are
    /// accepted, but nothing passes either way until it is off again.
    pub fn stall(&self, on: bool) {
        self.broker.faults.stall(on);
    }

    /// Resets every connection there is and every new one at once.
    pub fn outage(&self, on: bool) {
        self.broker.faults.set_outage(on);
    }

    /// Refuses every token put on `$cbs`. What was granted before stays.
    pub fn deny_tokens(&self, on: bool) {
        self.broker.faults.set_deny_tokens(on);
    }

    #[expect(
        clippy::panic,
        reason = "a name the lab never configured is the lab's own bug"
    )]
    fn partition(&self, hub: &str, partition: usize) -> &Arc<Partition> {
        match self.broker.partition(hub, partition) {
            Ok(partition) => partition,
            Err(refusal) => panic!("{}", refusal.description),
        }
    }
}

impl Drop for EventHubs {
    fn drop(&mut self) {
        self.stop.cancel();
        self.broker.faults.cut_connections();
    }
}
