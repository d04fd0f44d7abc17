//! A loopback listener whose connections can be cut.
//!
//! Invariant: a fault is done to the socket, not acted out in JSON. Cutting a
//! connection closes it with a reset while the peer waits, so a client under
//! test meets what a broken network gives it. Dropping a [`Serving`] cuts every
//! connection it accepted: a stand-in that has stopped never answers again.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// TLS handshakes under way at once; past it, new connections wait in the
/// kernel's backlog.
const HANDSHAKES_MAX: usize = 64;

/// How long a peer may take over its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failed `accept` (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server on 127.0.0.1, running until this is dropped.
pub(super) struct Serving {
    address: SocketAddr,
    tls: bool,
    cut: CancellationToken,
    task: AbortHandle,
}

impl Serving {
    /// Binds a free port of 127.0.0.1 and serves `router` on it, over TLS when
    /// a configuration is given. Handlers may take `ConnectInfo<Wire>`.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub(super) async fn start(
        router: Router,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = tcp.local_addr()?;
        let cut = CancellationToken::new();
        let listener = Listener {
            tcp,
            tls: tls.map(TlsAcceptor::from),
            handshakes: JoinSet::new(),
            cut: cut.clone(),
        };
        let tls = listener.tls.is_some();
        let service = router.into_make_service_with_connect_info::<Wire>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await }).abort_handle();
        Ok(Self {
            address,
            tls,
            cut,
            task,
        })
    }

    /// `http://127.0.0.1:port` or `https://127.0.0.1:port`, no slash at the end.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Serving").field(&self.origin()).finish()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        self.cut.cancel();
    }
}

/// One accepted connection, as its handlers see it.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    cut: CancellationToken,
}

impl Wire {
    /// Resets the connection. Nothing written after this reaches the peer.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Connected<IncomingStream<'_, Listener>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}

struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<(TlsStream<Cuttable>, Wire)>>,
    cut: CancellationToken,
}

impl axum::serve::Listener for Listener {
    type Io = Socket;
    type Addr = Wire;

    async fn accept(&mut self) -> (Socket, Wire) {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    // A failed handshake is the peer's loss; go on listening.
                    if let Ok(Some((stream, wire))) = done {
                        return (Socket::Tls(Box::new(stream)), wire);
                    }
                }
                accepted = self.tcp.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                    let Ok((stream, _)) = accepted else {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    let wire = Wire { cut: self.cut.child_token() };
                    let stream = Cuttable::new(stream, &wire);
                    let Some(acceptor) = self.tls.clone() else {
                        return (Socket::Plain(stream), wire);
                    };
                    self.handshakes.spawn(async move {
                        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
                        Some((handshake.await.ok()?.ok()?, wire))
                    });
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Wire> {
        Ok(Wire {
            cut: self.cut.clone(),
        })
    }
}

/// A TCP stream that fails, and closes with a reset, once it is cut.
struct Cuttable {
    stream: TcpStream,
    cut: CancellationToken,
    when_cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    fn new(stream: TcpStream, wire: &Wire) -> Self {
        Self {
            stream,
            cut: wire.cut.clone(),
            when_cut: Box::pin(wire.cut.clone().cancelled_owned()),
        }
    }

    fn reset(&self) -> io::Error {
        // With no linger the close sends RST and not FIN. If the option cannot
        // be set the peer still sees its connection end early.
        let _ = self.stream.set_zero_linger();
        io::ErrorKind::ConnectionReset.into()
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Polled, not asked: a reader that is waiting must wake when it is cut.
        if self.when_cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.reset()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(self.reset()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(self.reset()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

enum Socket {
    Plain(Cuttable),
    Tls(Box<TlsStream<Cuttable>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
