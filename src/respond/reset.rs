//! Resetting a password: whose, and to what.
//!
//! Invariants: only what a human approved can be reset, by type: Graph's client
//! takes an [`Approved`], and there is no other way to one. A password is made
//! for one request from the operating system's generator, is shown to nobody,
//! and leaves no trace: it has no `Display`, its `Debug` is empty, and its
//! bytes are overwritten when it is dropped. (The request's own body is the
//! HTTP client's, which does not do that.)

use std::fmt;

use rand::TryRngCore as _;
use rand::rand_core::OsError;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::model::{ActionKind, UserRef};
use crate::store::Claimed;

/// A user whose password a human said may be reset.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a>(&'a Claimed);

impl<'a> Approved<'a> {
    /// The action, if it is a reset and a human has approved it.
    pub fn of(action: &'a Claimed) -> Option<Self> {
        let is_reset = action.kind == ActionKind::ResetPassword;
        (is_reset && action.approved).then_some(Self(action))
    }

    /// Whose.
    pub fn user(&self) -> &'a UserRef {
        &self.0.user
    }
}

/// Characters of a password. Entra takes 8 to 256 ("Password policies and
/// account restrictions"); 32 of these are 185 bits.
const LENGTH: usize = 32;

/// Letters, then digits, then symbols; none that is taken for another when it
/// is read out. There are 64, so that six random bits choose one evenly.
const ALPHABET: &[u8; 64] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789!#%+-=?@";
/// Where the digits begin, of which there are eight.
const DIGITS_FROM: u8 = 48;
/// Where the symbols begin, of which there are eight.
const SYMBOLS_FROM: u8 = 56;

/// How many of a password's first characters give it away in a text that was
/// cut short.
const TELLTALE: usize = 8;

/// A new password.
pub(super) struct Password(Zeroizing<String>);

impl Password {
    /// A password that nobody knows.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn generate() -> Result<Self, OsError> {
        let mut random = Zeroizing::new([0; LENGTH]);
        OsRng.try_fill_bytes(&mut *random)?;
        Ok(Self::from_bytes(&random))
    }

    /// Each byte chooses a character; the first three a letter, a digit and a
    /// symbol, since Entra asks for three kinds.
    fn from_bytes(random: &[u8; LENGTH]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        for (place, byte) in random.iter().enumerate() {
            let choice = match place {
                0 => byte & 31,
                1 => DIGITS_FROM + (byte & 7),
                2 => SYMBOLS_FROM + (byte & 7),
                _ => byte & 63,
            };
            text.push(char::from(ALPHABET[usize::from(choice)]));
        }
        Self(text)
    }

    /// The password, for the request's body.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// Whether a text holds it, whole or cut short.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0[..TELLTALE])
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::model::{ActionId, CaseId, RecordId, UserId};

    fn kinds(password: &str) -> usize {
        let has = |of: fn(&u8) -> bool| password.as_bytes().iter().any(of);
        let kinds = [
            has(u8::is_ascii_uppercase),
            has(u8::is_ascii_lowercase),
            has(u8::is_ascii_digit),
            has(u8::is_ascii_punctuation),
        ];
        kinds.iter().filter(|kind| **kind).count()
    }

    #[test]
    fn every_password_has_32_characters_of_three_kinds_whatever_the_bytes() {
        for byte in 0..=u8::MAX {
            let password = Password::from_bytes(&[byte; LENGTH]);
            assert_eq!(password.secret().len(), LENGTH);
            assert!(kinds(password.secret()) >= 3, "{byte}");
        }
    }

    #[test]
    fn every_character_of_the_alphabet_is_chosen_as_often_as_any_other() {
        let mut chosen: Vec<u8> = (0..=u8::MAX)
            .map(|byte| Password::from_bytes(&[byte; LENGTH]).secret().as_bytes()[LENGTH - 1])
            .collect();
        chosen.sort_unstable();
        assert!(chosen.chunk_by(|a, b| a == b).all(|same| same.len() == 4));
        let distinct: BTreeSet<u8> = chosen.into_iter().collect();
        assert_eq!(distinct, ALPHABET.iter().copied().collect());
        assert_eq!(distinct.len(), ALPHABET.len());
    }

    #[test]
    fn no_two_are_alike_and_debug_shows_none() {
        let passwords: Vec<Password> = (0..100).map(|_| Password::generate().unwrap()).collect();
        let distinct: BTreeSet<&str> = passwords.iter().map(Password::secret).collect();
        assert_eq!(distinct.len(), passwords.len());
        assert_eq!(format!("{:?}", passwords[0]), "Password(…)");
    }

    #[test]
    fn a_password_is_found_in_a_text_that_was_cut_short() {
        let password = Password::generate().unwrap();
        let secret = password.secret();
        assert!(password.is_in(&format!("'{secret}' is too weak")));
        assert!(password.is_in(&format!("the password '{}", &secret[..20])));
        assert!(!password.is_in("the password is too weak"));
    }

    #[test]
    fn only_a_reset_that_a_human_approved_is_approved() {
        let record = RecordId::new("r");
        let user = UserId::new("u");
        let case = CaseId::derive(&user, &record);
        for kind in ActionKind::ALL {
            for approved in [false, true] {
                let action = Claimed {
                    id: ActionId::derive(&case, kind, &record),
                    case,
                    kind,
                    user: UserRef {
                        id: user.clone(),
                        principal_name: "".into(),
                        guest: false,
                        workload: false,
                    },
                    score: 90,
                    approved,
                    attempts: 0,
                    event_at: Timestamp::UNIX_EPOCH,
                    enqueued_at: Timestamp::UNIX_EPOCH,
                    queued_at: Timestamp::UNIX_EPOCH,
                };
                let may = approved && kind == ActionKind::ResetPassword;
                assert_eq!(Approved::of(&action).is_some(), may, "{kind} {approved}");
            }
        }
    }
}
