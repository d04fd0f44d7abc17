//! Bodies of messages on their way to the history.
//!
//! The way from the receivers to the pipeline is bounded by messages, and one
//! may be a thousand times as large as another: the bodies that go along have a
//! bound in bytes. Where there is no room a receiver waits, as it does for a
//! full channel.
//!
//! Invariant: a place is given back with the message, not with the last copy of
//! its bytes. What waits to be written has a bound of its own (`history`), and
//! a slow disk must not hold up judging.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of a message as they came.
#[derive(Debug, Clone)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

/// For what comes from elsewhere than a partition, one at a time.
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            _place: None,
        }
    }
}

/// Room for the bodies of all messages that are not yet committed.
#[derive(Debug)]
pub struct Room {
    free: Arc<Semaphore>,
    bytes_max: u32,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes_max as usize)),
            bytes_max,
        }
    }

    /// Waits until there is room; a body larger than all of it takes all. Safe
    /// to drop at any point.
    pub async fn take(&self, bytes: Bytes) -> Body {
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free);
        // It fails only where it was closed, and nobody does that.
        let place = free.acquire_many_owned(wanted.min(self.bytes_max)).await;
        Body {
            bytes,
            _place: place.ok().map(Arc::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_body_waits_for_room_which_comes_back_with_the_message_not_with_the_bytes() {
        let room = Room::new(10);
        let body = |length| Bytes::from(vec![b'x'; length]);
        let first = room.take(body(7)).await;
        let copy = first.bytes.clone();
        let mut second = pin!(room.take(body(4)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        let message_s = first.clone();
        drop(first);
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(message_s);
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert_eq!(copy.len(), 7);
    }

    #[tokio::test]
    async fn a_body_larger_than_the_room_takes_all_of_it() {
        let room = Room::new(10);
        let large = room.take(Bytes::from(vec![b'x'; 50])).await;
        assert_eq!((large.bytes.len(), room.free.available_permits()), (50, 0));
        drop(large);
        assert_eq!(room.free.available_permits(), 10);
    }
}
