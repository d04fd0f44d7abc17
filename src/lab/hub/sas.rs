//! Shared access signatures: `SharedAccessSignature sr=…&sig=…&se=…&skn=…`.
//!
//! The signature is HMAC-SHA256, under the key's text, of the resource as
//! written in the token (still percent-encoded), a line feed and the expiry:
//! <https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::SasKey;
use super::address::{covers, path_of};

/// Whether `token` was signed with `key`, covers `audience` and is not expired
/// at `now` (Unix seconds).
pub(super) fn is_valid(token: &str, audience: &str, key: &SasKey, now: i64) -> bool {
    parts(token).is_some_and(|parts| {
        parts.key_name == key.name
            && parts.expiry.parse::<i64>().is_ok_and(|expiry| expiry > now)
            && covers(path_of(&parts.resource_decoded), path_of(audience))
            && {
                let signed = format!("{}\n{}", parts.resource, parts.expiry);
                let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, key.key.as_bytes());
                hmac::verify(&hmac_key, signed.as_bytes(), &parts.signature).is_ok()
            }
    })
}

struct Parts<'a> {
    resource: &'a str,
    resource_decoded: String,
    expiry: &'a str,
    key_name: String,
    signature: Vec<u8>,
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let fields = token.strip_prefix("SharedAccessSignature ")?;
    let field = |name: &str| {
        let mut pairs = fields.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let resource = field("sr")?;
    Some(Parts {
        resource,
        resource_decoded: decoded(resource)?,
        expiry: field("se")?,
        key_name: decoded(field("skn")?)?,
        signature: STANDARD.decode(decoded(field("sig")?)?).ok()?,
    })
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hmac` module: for `sb://localhost/hub`, expiry
    /// 2000000000, key name `root`, key `secret`.
    const TOKEN: &str = "SharedAccessSignature sr=sb%3A%2F%2Flocalhost%2Fhub&sig=gxXzHimBMRYOXmuzATKuDuLijMMee%2FIAf71QF705qWA%3D&se=2000000000&skn=root";

    fn key(name: &str, key: &str) -> SasKey {
        SasKey {
            name: name.to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn a_token_counts_only_with_its_key_before_its_expiry_and_for_its_resource() {
        let now = 1_900_000_000;
        let root = key("root", "secret");
        let hub = "amqps://localhost/hub/ConsumerGroups/g/Partitions/0";
        for (token, audience, key, now, valid) in [
            (TOKEN.to_owned(), hub, &root, now, true),
            (TOKEN.to_owned(), "amqps://localhost/hub", &root, now, true),
            (
                TOKEN.to_owned(),
                "amqps://localhost/other",
                &root,
                now,
                false,
            ),
            (TOKEN.to_owned(), hub, &root, 2_000_000_000, false),
            (TOKEN.to_owned(), hub, &key("root", "guess"), now, false),
            (TOKEN.to_owned(), hub, &key("other", "secret"), now, false),
            (
                TOKEN.replace("2000000000", "2100000000"),
                hub,
                &root,
                now,
                false,
            ),
            (
                "SharedAccessSignature sr=x".to_owned(),
                hub,
                &root,
                now,
                false,
            ),
            (String::new(), hub, &root, now, false),
        ] {
            assert_eq!(
                is_valid(&token, audience, key, now),
                valid,
                "{token} {audience}"
            );
        }
    }
}
