//! Accepts connections, plain or TLS, and serves each on its own task.
//!
//! Invariant: a connection accepted during an outage is reset before a byte is
//! exchanged, and every task ends when the stand-in stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::connection;
use super::faults::count;
use super::wire;

/// Connections served at once, per listener; more are reset.
const CONNECTIONS_MAX: usize = 256;

/// How long a peer may take over its TLS handshake.
const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long the connections have to notice that the stand-in stops.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The buffer between the wire and the AMQP engine: two frames of 64 KiB.
const ENGINE_BUFFER_BYTES: usize = 128 * 1024;

/// Serves `listener` until `stop`.
pub(super) async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    broker: Arc<Broker>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, most likely: let some connections go first.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Taken before the look at the outage, so one that starts in between
        // still cuts this connection.
        let cut = broker.faults.cut();
        if broker.faults.outage() || connections.len() >= CONNECTIONS_MAX {
            let _ = socket.set_zero_linger();
            continue;
        }
        count(&broker.counters.connections_opened);
        // Small frames must not wait for each other; a socket that refuses is slower.
        let _ = socket.set_nodelay(true);
        connections.spawn(serve(socket, tls.clone(), Arc::clone(&broker), cut));
    }
    broker.faults.cut_connections();
    let all = async { while connections.join_next().await.is_some() {} };
    // Those that take longer are aborted with the set.
    let _ = timeout(STOP_MAX, all).await;
}

async fn serve(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    broker: Arc<Broker>,
    cut: CancellationToken,
) {
    let stalled = broker.faults.stalled();
    let (engine, wire_end) = tokio::io::duplex(ENGINE_BUFFER_BYTES);
    let carry = async move {
        match tls {
            None => wire::carry(socket, wire_end, stalled, cut, |tcp| tcp).await,
            Some(tls) => {
                let handshake = timeout(TLS_HANDSHAKE_MAX, tls.accept(socket));
                // A peer that cannot shake hands finds the connection closed.
                if let Ok(Ok(socket)) = handshake.await {
                    wire::carry(socket, wire_end, stalled, cut, |tls| tls.get_ref().0).await;
                }
            }
        }
    };
    tokio::join!(carry, connection::serve(engine, broker));
}
