//! Reads the small texts of a record: addresses, names, identities.
//!
//! Invariant: no text leaves here longer than its cap or with a control
//! character in it, whatever the sender wrote, since it ends in memory, in
//! the store and before an approver's eyes.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// The longest user agent that is kept, in bytes. Real ones are 100–300.
pub(super) const USER_AGENT_BYTES_MAX: usize = 1024;
/// The longest name (of an application, a city, a user) that is kept, in
/// bytes. Entra's own limit is 256 characters for display names and 113 for
/// user principal names.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// The longest identity that is taken, in bytes. A GUID has 36. Identities
/// are never cut: two of them could become one.
pub(super) const IDENTITY_BYTES_MAX: usize = 256;

/// `text` without what cannot be printed, trimmed, cut at a character's
/// boundary to at most `bytes_max`; `None` when nothing is left.
pub(super) fn clean(text: &str, bytes_max: usize) -> Option<Box<str>> {
    let text = text.trim();
    let printable = if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        Cow::Borrowed(text)
    } else {
        // Stops reading once the cap is passed: the text may be megabytes.
        let mut kept = String::new();
        for c in text.chars().filter(|c| !is_unprintable(*c)) {
            if kept.len() > bytes_max {
                break;
            }
            kept.push(c);
        }
        Cow::Owned(kept)
    };
    let end = printable.floor_char_boundary(bytes_max);
    let cut = printable.get(..end).unwrap_or_default().trim();
    (!cut.is_empty()).then(|| cut.into())
}

/// Control characters, and the marks that turn the direction of writing: in
/// a console they make a text read as another.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An address in any of the shapes that Entra writes: IPv4, IPv6, either with
/// a port, IPv6 in brackets, IPv4-mapped IPv6 (unmapped here). `None` for
/// anything else, `"<null>"` among it.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

/// JSON text with each escape that is half of a surrogate pair (`\ud83d` with
/// no other half behind it) replaced by `\ufffd`; the length stays.
///
/// Who cuts a text of UTF-16 at a fixed length writes such halves, and a parser
/// refuses them. A user agent is the visitor's to choose: without this, the
/// right one would keep its sign-ins from being judged.
pub(super) fn without_lone_surrogates(json: &str) -> Cow<'_, str> {
    let mut repaired = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = match (unit_at(json, escape), unit_at(json, escape + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => escape + 12,
            (Some(0xd800..=0xdfff), _) => {
                let next = escape + 6;
                repaired.to_mut().replace_range(escape..next, "\\ufffd");
                next
            }
            // The escaped byte may be a backslash itself.
            _ => escape + 2,
        };
    }
    repaired
}

/// The UTF-16 unit that the escape `\uXXXX` at `at` writes.
fn unit_at(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// At most `chars_max` characters of a value, quoted, for a reason.
pub(super) fn excerpt(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(chars_max).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("{shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_port_and_their_mapping() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7 ", Some("192.0.2.7")),
            ("192.0.2.7:443", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("[::ffff:192.0.2.7]:443", Some("192.0.2.7")),
            ("", None),
            ("<null>", None),
            ("foo", None),
            ("192.0.2.256", None),
            ("192.0.2.7:99999", None),
            ("192.0.2.7/24", None),
        ] {
            let expected: Option<IpAddr> = expected.map(|text| text.parse().unwrap());
            assert_eq!(address(text), expected, "{text}");
        }
    }

    #[test]
    fn text_is_cut_at_a_characters_boundary() {
        assert_eq!(clean("abcdef", 4).as_deref(), Some("abcd"));
        assert_eq!(clean("abcé", 4).as_deref(), Some("abc"));
        assert_eq!(clean(&"é".repeat(10_000_000), 5).as_deref(), Some("éé"));
        assert_eq!(clean("abc  def", 5).as_deref(), Some("abc"));
    }

    #[test]
    fn text_loses_what_cannot_be_printed() {
        assert_eq!(
            clean("a\u{0}b\u{1b}[31m\r\nc", 99).as_deref(),
            Some("ab[31mc")
        );
        assert_eq!(clean("user\u{202e}nimda", 99).as_deref(), Some("usernimda"));
        assert_eq!(clean("Zürich 東京", 99).as_deref(), Some("Zürich 東京"));
        assert_eq!(clean(" \t\u{7}", 99), None);
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced_and_pairs_are_not() {
        for (json, expected) in [
            (r#""plain""#, r#""plain""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uD83Dx\uDE00""#, r#""\ufffdx\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\u+83d \ud8"#, r#""\u+83d \ud8"#),
            ("\\\u{e9}\\", "\\\u{e9}\\"),
        ] {
            assert_eq!(without_lone_surrogates(json), expected, "{json}");
        }
    }
}
