//! The wire between a socket and the AMQP engine.
//!
//! Every byte passes here, so this is where the network misbehaves: latency,
//! silence (a half-open connection) and resets. It also gives the engine one
//! stream type for plain TCP and TLS, so its generics are compiled once.
//!
//! Invariant: bytes keep their order and are held in bounded buffers; a peer
//! that does not read stops the engine, not the process.

use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long what the stand-in says is under way. At no latency the SDK's AMQP
/// library (fe2o3-amqp 0.16.2) loses a race between a detach and its own link
/// and closes the connection; from 3 ms on it does not.
const LATENCY: Duration = Duration::from_millis(3);

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks under way towards the peer, at most: 4 MiB, far beyond what a reader
/// drains in [`LATENCY`].
const CHUNKS_MAX: usize = 64;

/// Carries bytes both ways until either side closes, or resets the connection
/// when `cut` is cancelled. While `stalled` is true nothing passes.
pub(super) async fn carry<S>(
    socket: S,
    engine: DuplexStream,
    stalled: watch::Receiver<bool>,
    cut: CancellationToken,
    tcp: fn(&S) -> &TcpStream,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_peer, mut to_peer) = tokio::io::split(socket);
    let (from_engine, to_engine) = tokio::io::split(engine);
    let reset = tokio::select! {
        () = cut.cancelled() => true,
        () = inbound(&mut from_peer, to_engine, stalled.clone()) => false,
        () = outbound(from_engine, &mut to_peer, stalled) => false,
    };
    let socket = from_peer.unsplit(to_peer);
    if reset {
        // Without lingering a close is a reset. A socket that refuses is closed.
        let _ = tcp(&socket).set_zero_linger();
    }
}

/// Peer to engine. Does not return: after the peer closed, the engine still
/// has its last words to send, and the outbound side ends the connection.
async fn inbound<S: AsyncRead>(
    from_peer: &mut ReadHalf<S>,
    mut to_engine: WriteHalf<DuplexStream>,
    mut stalled: watch::Receiver<bool>,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from_peer.read(&mut chunk).await {
        flowing(&mut stalled).await;
        if to_engine.write_all(&chunk[..count]).await.is_err() {
            break;
        }
    }
    // The engine may be gone already.
    let _ = to_engine.shutdown().await;
    std::future::pending().await
}

/// Engine to peer, each chunk [`LATENCY`] late. Returns when the engine has
/// closed and all it said is sent, or when the peer takes no more.
async fn outbound<S: AsyncWrite>(
    mut from_engine: ReadHalf<DuplexStream>,
    to_peer: &mut WriteHalf<S>,
    mut stalled: watch::Receiver<bool>,
) {
    let (under_way, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let depart = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from_engine.read(&mut chunk).await {
            let arrival = Instant::now() + LATENCY;
            if under_way
                .send((arrival, chunk[..count].to_vec()))
                .await
                .is_err()
            {
                break;
            }
        }
        drop(under_way);
        std::future::pending().await
    };
    let arrive = async {
        while let Some((arrival, chunk)) = due.recv().await {
            sleep_until(arrival).await;
            flowing(&mut stalled).await;
            if to_peer.write_all(&chunk).await.is_err() || to_peer.flush().await.is_err() {
                return;
            }
        }
        // The peer may be gone already.
        let _ = to_peer.shutdown().await;
    };
    tokio::select! {
        () = depart => {}
        () = arrive => {}
    }
}

/// Waits until the wire is not stalled.
async fn flowing(stalled: &mut watch::Receiver<bool>) {
    // An error means nobody can stall it any more.
    let _ = stalled.wait_for(|stalled| !stalled).await;
}
