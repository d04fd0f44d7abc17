//! Link addresses: which hub, group and partition a peer means.
//!
//! Peers write an address as a bare path (`hub/Partitions/0`) or as the full
//! URL of the real service (`amqps://ns.servicebus.windows.net/hub/…`). Both
//! mean the same here; the namespace is never checked, because behind a custom
//! endpoint it is a name the stand-in has no part in.

use super::refusal::{NOT_FOUND, OUT_OF_RANGE, Refusal};

/// Where a reader reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReadFrom<'a> {
    pub(super) hub: &'a str,
    pub(super) group: &'a str,
    pub(super) partition: usize,
}

/// Where a sender sends; without a partition the hub chooses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SendTo<'a> {
    pub(super) hub: &'a str,
    pub(super) partition: Option<usize>,
}

/// The path of an address, without scheme, namespace and outer slashes.
pub(super) fn path_of(address: &str) -> &str {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address,
    };
    path.trim_matches('/')
}

/// Parses `hub/ConsumerGroups/<group>/Partitions/<id>`.
pub(super) fn read_from(path: &str) -> Result<ReadFrom<'_>, Refusal> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        [hub, groups, group, partitions, id]
            if groups.eq_ignore_ascii_case("ConsumerGroups")
                && partitions.eq_ignore_ascii_case("Partitions") =>
        {
            let partition = partition_id(id)?;
            Ok(ReadFrom {
                hub,
                group,
                partition,
            })
        }
        _ => Err(Refusal::new(NOT_FOUND, format!("no entity at '{path}'"))),
    }
}

/// Parses `hub` or `hub/Partitions/<id>`.
pub(super) fn send_to(path: &str) -> Result<SendTo<'_>, Refusal> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        [hub] if !hub.is_empty() => Ok(SendTo {
            hub,
            partition: None,
        }),
        [hub, partitions, id] if partitions.eq_ignore_ascii_case("Partitions") => Ok(SendTo {
            hub,
            partition: Some(partition_id(id)?),
        }),
        _ => Err(Refusal::new(NOT_FOUND, format!("no entity at '{path}'"))),
    }
}

/// Parses a partition's id.
pub(super) fn partition_id(id: &str) -> Result<usize, Refusal> {
    id.parse()
        .map_err(|_| Refusal::new(OUT_OF_RANGE, format!("'{id}' is no partition's id")))
}

/// Whether a right to `granted` is a right to `asked`: the same path, or one
/// beneath it, in letters of any case (the Python SDK asks for
/// `consumergroups`). Both are paths; an empty grant covers the whole namespace.
pub(super) fn covers(granted: &str, asked: &str) -> bool {
    if granted.is_empty() {
        return true;
    }
    let Some((head, rest)) = asked.split_at_checked(granted.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(granted) && (rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_a_bare_path_name_the_same_entity() {
        for (address, path) in [
            ("amqps://ns.example/hub/Partitions/0", "hub/Partitions/0"),
            ("sb://localhost/hub/", "hub"),
            ("/hub", "hub"),
            ("$cbs", "$cbs"),
            ("amqps://ns.example", ""),
        ] {
            assert_eq!(path_of(address), path, "{address}");
        }
    }

    #[test]
    fn readers_and_senders_addresses_parse_and_others_are_refused() {
        let read = read_from("hub/ConsumerGroups/$Default/Partitions/3").unwrap();
        assert_eq!(
            (read.hub, read.group, read.partition),
            ("hub", "$Default", 3)
        );
        assert_eq!(send_to("hub").unwrap().partition, None);
        assert_eq!(send_to("hub/Partitions/2").unwrap().partition, Some(2));

        for path in [
            "hub",
            "hub/Partitions/0",
            "hub/ConsumerGroups/g/Partitions/x",
            "",
        ] {
            assert!(read_from(path).is_err(), "{path}");
        }
        for path in ["", "hub/Partitions/-1", "hub/ConsumerGroups/g/Partitions/0"] {
            assert!(send_to(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_grant_covers_itself_and_what_lies_beneath_it() {
        for (granted, asked, covered) in [
            ("hub", "hub", true),
            ("hub", "hub/Partitions/0", true),
            ("", "hub", true),
            (
                "hub/consumergroups/g",
                "hub/ConsumerGroups/g/Partitions/0",
                true,
            ),
            ("hub", "hub2", false),
            ("hub/Partitions/0", "hub", false),
        ] {
            assert_eq!(covers(granted, asked), covered, "{granted} {asked}");
        }
    }
}
