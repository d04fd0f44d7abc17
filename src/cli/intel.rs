//! `evictd intel show`: what the lists say of an address, and which of them
//! says it. Works on the files that the configuration or the flags name, by
//! the same code that classifies events, without a daemon.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::output::{self, Format, escape};
use crate::config::{Config, IntelConfig};
use crate::detect::intel::{Intel, ListName};
use crate::model::{Network, NetworkClass, Place};

/// Commands about intelligence.
#[derive(Debug, Subcommand)]
pub enum IntelCommand {
    /// Say what is known of an address, and from where.
    Show(ShowArgs),
}

/// Arguments of `evictd intel show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd intel show 192.0.2.1
  evictd intel show 2001:db8::1 --tor-exits tor.csv --format json
  evictd intel show 192.0.2.1 --at 2026-11-23T08:00:00Z

With list flags the configuration is not read.")]
pub struct ShowArgs {
    /// The address.
    address: IpAddr,
    /// Its autonomous system, where no ASN database is at hand.
    #[arg(long, value_name = "ASN")]
    asn: Option<u32>,
    /// At what time; by default now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The configuration whose lists are asked.
    #[arg(
        long,
        value_name = "FILE",
        env = "EVICTD_CONFIG",
        default_value = "/etc/evictd/evictd.toml"
    )]
    config: PathBuf,
    #[command(flatten)]
    intel: IntelConfig,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is known; `--format json` prints it.
#[derive(Debug, Serialize)]
struct Known {
    address: IpAddr,
    at: Timestamp,
    class: NetworkClass,
    asn: Option<u32>,
    place: Option<Place>,
    /// Whether travel and second networks are judged by it.
    neutral: bool,
    lists: Vec<Answer>,
}

/// What one list says.
#[derive(Debug, Serialize)]
struct Answer {
    list: &'static str,
    /// `None` where the list is not named or too old to say.
    says: Option<String>,
    entries: usize,
}

/// Runs it.
///
/// # Errors
/// When the configuration or a list cannot be read.
pub fn run(command: &IntelCommand) -> anyhow::Result<()> {
    let IntelCommand::Show(args) = command;
    let intel = if args.intel.is_empty() {
        Config::load(&args.config)?.intel.load()?
    } else {
        args.intel.load()?
    };
    let at = args.at.unwrap_or_else(Timestamp::now);
    let known = ask(&intel, args.address.to_canonical(), args.asn, at);
    match args.format {
        Format::Json => output::json(&known),
        Format::Text => output::print(|out| print(out, &known)),
    }
}

fn ask(intel: &Intel, address: IpAddr, asn: Option<u32>, at: Timestamp) -> Known {
    let asn = asn.or_else(|| intel.asn_of(address, at));
    let network = Network {
        address: Some(address),
        asn,
        ..Network::default()
    };
    let class = intel.class_of(&network, at);
    let mut lists: Vec<Answer> = ListName::ALL
        .into_iter()
        .map(|name| Answer {
            list: name.as_str(),
            says: says(intel, name, &network, at),
            entries: intel.status(name).map_or(0, |list| list.entries),
        })
        .collect();
    let declared = intel.corporate.ranges.len() + intel.corporate.asns.len();
    lists.push(Answer {
        list: "corporate",
        says: (declared > 0).then(|| {
            let holds = intel.corporate.holds(network.address, asn);
            let range = intel.corporate.ranges.longest_match(address);
            match range {
                Some(range) => format!("in {range}"),
                None if holds => "its autonomous system is declared".to_owned(),
                None => "not declared".to_owned(),
            }
        }),
        entries: declared,
    });
    Known {
        address,
        at,
        class,
        asn,
        place: intel.place_of(address, at),
        neutral: class.is_neutral(),
        lists,
    }
}

/// What a list says of the network; `None` is "unknown".
fn says(intel: &Intel, name: ListName, network: &Network, at: Timestamp) -> Option<String> {
    let address = network.address?;
    let listed = |yes: bool| if yes { "listed" } else { "not listed" }.to_owned();
    let asns = match name {
        ListName::HostingAsns => intel.hosting_asns.as_ref(),
        ListName::VpnAsns => intel.vpn_asns.as_ref(),
        _ => None,
    };
    let ranges = match name {
        ListName::RelayRanges => intel.relay_ranges.as_ref(),
        ListName::CloudRanges => intel.cloud_ranges.as_ref(),
        _ => None,
    };
    match name {
        ListName::TorExits => Some(listed(intel.tor_exits.as_ref()?.was_exit(address, at)?)),
        ListName::HostingAsns | ListName::VpnAsns => {
            Some(listed(asns?.at(at)?.contains(network.asn?)))
        }
        ListName::RelayRanges | ListName::CloudRanges => {
            let range = ranges?.at(at)?.longest_match(address);
            Some(range.map_or_else(|| listed(false), |range| format!("in {range}")))
        }
        ListName::GeoCity => Some(intel.place_of(address, at)?.to_string()),
        ListName::GeoAsn => Some(format!("AS{}", intel.asn_of(address, at)?)),
    }
}

fn print(out: &mut dyn Write, known: &Known) -> std::io::Result<()> {
    let neutral = if known.neutral { ", neutral" } else { "" };
    write!(
        out,
        "{} is {}{neutral}",
        known.address,
        known.class.as_str()
    )?;
    if let Some(asn) = known.asn {
        write!(out, ", AS{asn}")?;
    }
    if let Some(place) = &known.place {
        write!(out, ", {}", escape(&place.to_string()))?;
    }
    writeln!(out, "; at {}", known.at)?;
    for answer in &known.lists {
        let says = answer.says.as_deref().unwrap_or("unknown");
        writeln!(
            out,
            "    {:<14} {}  ({} entries)",
            answer.list,
            escape(says),
            answer.entries
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::intel::Dated;

    #[test]
    fn every_list_says_what_it_knows_and_a_missing_one_says_unknown() {
        let intel = Intel {
            tor_exits: Some(["192.0.2.1".parse().unwrap()].into()),
            relay_ranges: Some(Dated::timeless(
                ["192.0.2.0/24".parse().unwrap()].into_iter().collect(),
            )),
            hosting_asns: Some([64500].into()),
            ..Intel::default()
        };
        let at = Timestamp::from_second(1_795_507_200).unwrap();
        let known = ask(&intel, "192.0.2.9".parse().unwrap(), Some(64500), at);
        let mut out = Vec::new();
        print(&mut out, &known).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "192.0.2.9 is relay, neutral, AS64500; at 2026-11-24T08:00:00Z\n\
             \x20   tor_exits      not listed  (1 entries)\n\
             \x20   hosting_asns   listed  (1 entries)\n\
             \x20   vpn_asns       unknown  (0 entries)\n\
             \x20   relay_ranges   in 192.0.2.0/24  (1 entries)\n\
             \x20   cloud_ranges   unknown  (0 entries)\n\
             \x20   geo_city       unknown  (0 entries)\n\
             \x20   geo_asn        unknown  (0 entries)\n\
             \x20   corporate      unknown  (0 entries)\n"
        );
    }
}
