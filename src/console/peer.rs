//! Who is at the other end of the control socket.
//!
//! Invariant: a judgement is taken down under the name of the user whom the
//! kernel names, or not at all. A user whose name cannot be looked up just now
//! is refused: under two names one person could approve twice.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use nix::unistd::{Uid, User};
use tokio::net::UnixListener;

use super::listen::Bounded;

/// The process at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its user, unless the kernel did not say.
    uid: Option<u32>,
}

/// Who somebody is cannot be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot tell who you are: {0}")]
pub(super) struct Unknown(String);

impl Connected<IncomingStream<'_, Bounded<UnixListener>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded<UnixListener>>) -> Self {
        let credentials = stream.io().io().peer_cred();
        Self {
            uid: credentials.ok().map(|c| c.uid()),
        }
    }
}

impl Peer {
    /// The user's name; `uid:1234` where the number has none. A look-up may
    /// ask a directory over the network, so it has a thread of its own.
    ///
    /// # Errors
    /// When the kernel or the directory does not say.
    pub(super) async fn name(self) -> Result<String, Unknown> {
        let uid = self
            .uid
            .ok_or_else(|| Unknown("the kernel does not say".to_owned()))?;
        let found = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid))).await;
        match found {
            Ok(Ok(Some(user))) => Ok(user.name),
            Ok(Ok(None)) => Ok(self.number()),
            Ok(Err(error)) => Err(Unknown(format!("looking up user {uid}: {error}"))),
            Err(_) => Err(Unknown("the daemon is stopping".to_owned())),
        }
    }

    /// The user by number, where the name does not matter or is not known.
    pub(super) fn number(self) -> String {
        self.uid
            .map_or("somebody".to_owned(), |uid| format!("uid:{uid}"))
    }

    /// The user's number, for the log, which holds no names.
    pub(super) fn uid(self) -> Option<u32> {
        self.uid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_user_has_a_name_a_stranger_a_number_and_nobody_none() {
        let name = |uid| Peer { uid }.name();
        assert_eq!(name(Some(0)).await.unwrap(), "root");
        let stranger = 3_999_999_999;
        assert_eq!(name(Some(stranger)).await.unwrap(), "uid:3999999999");
        assert!(name(None).await.is_err());
    }
}
