//! Connections, bounded in number and in silence.
//!
//! Invariant: whoever connects and says nothing, or never reads, holds a place
//! for [`SILENCE_MAX`] and no longer, and all who connect together hold at most
//! as many places as were given out. So a probe that hangs, or somebody who
//! means harm, costs the daemon a few sockets and never its file descriptors.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// A connection on which nothing moves for so long is closed. Longer than any
/// request may take, and than Prometheus' default scrape interval (1 min), so
/// that its connection is kept.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// A listener that keeps at most so many connections; more wait in the
/// kernel's backlog, which has a bound of its own.
#[derive(Debug)]
pub(super) struct Bounded<L> {
    inner: L,
    places: Arc<Semaphore>,
    silence_max: Duration,
}

impl<L> Bounded<L> {
    pub(super) fn new(inner: L, connections_max: usize) -> Self {
        Self {
            inner,
            places: Arc::new(Semaphore::new(connections_max)),
            silence_max: SILENCE_MAX,
        }
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        let (io, address) = self.inner.accept().await;
        (Connection::new(io, place, self.silence_max), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that keeps its place until it is dropped.
#[derive(Debug)]
pub(super) struct Connection<Io> {
    io: Io,
    silence: Pin<Box<Sleep>>,
    silence_max: Duration,
    _place: OwnedSemaphorePermit,
}

impl<Io> Connection<Io> {
    fn new(io: Io, place: OwnedSemaphorePermit, silence_max: Duration) -> Self {
        Self {
            io,
            silence: Box::pin(sleep(silence_max)),
            silence_max,
            _place: place,
        }
    }

    /// The stream itself.
    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Something moved: the clock starts again. Nothing did: it may be time.
    fn heed<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            let silence_max = self.silence_max;
            self.silence.as_mut().reset(Instant::now() + silence_max);
            return poll;
        }
        self.silence
            .as_mut()
            .poll(context)
            .map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_read(context, buffer);
        self.heed(context, poll)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(context, bytes);
        self.heed(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::sync::mpsc;

    use super::*;

    /// Hands out what it is sent; waits for ever once that is used up.
    struct Given(mpsc::UnboundedReceiver<DuplexStream>);

    impl Listener for Given {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(io) => (io, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn listener(connections: usize, places: usize) -> (Bounded<Given>, Vec<DuplexStream>) {
        let (send, receive) = mpsc::unbounded_channel();
        let peers = (0..connections)
            .map(|_| {
                let (ours, theirs) = tokio::io::duplex(64);
                send.send(ours).unwrap();
                theirs
            })
            .collect();
        (Bounded::new(Given(receive), places), peers)
    }

    #[tokio::test]
    async fn one_more_waits_until_a_place_is_free() {
        let (mut listener, _peers) = listener(3, 2);
        let (first, ()) = listener.accept().await;
        let (_second, ()) = listener.accept().await;
        let third = listener.accept().now_or_never();
        assert!(third.is_none(), "a third connection was taken in");
        drop(first);
        let third = listener.accept().now_or_never();
        assert!(third.is_some(), "the place was not given back");
    }

    #[tokio::test]
    async fn silence_ends_a_connection() {
        let (mut listener, _peers) = listener(1, 1);
        listener.silence_max = Duration::from_millis(5);
        let (mut connection, ()) = listener.accept().await;
        let error = connection.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Nor may whoever does not read hold it.
        let error = connection.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_word_prolongs_it() {
        let (mut listener, mut peers) = listener(1, 1);
        let (mut connection, ()) = listener.accept().await;
        let before = connection.silence.deadline();
        peers[0].write_all(b"hello").await.unwrap();
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 5);
        assert!(connection.silence.deadline() > before);
    }
}
