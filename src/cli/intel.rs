//! `evictd intel show`: what the lists say of an address, which of them says
//! it, and how old it is. Works without a daemon and without a network: on the
//! files that the configuration or the flags name and, for URLs, on what the
//! daemon has kept in its state directory; by the code that classifies events.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::output::{self, Format, escape};
use crate::config::{Config, IntelConfig};
use crate::detect::intel::{Intel, ListName, ListStatus};
use crate::intel_files::{AtHand, at_hand};
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

With list flags the configuration is not read, and a list is believed whatever
its age. A list from a URL is shown as the daemon last fetched it.")]
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
    /// `None` where the list is missing or too old to say.
    says: Option<String>,
    entries: usize,
    /// A path, or a URL without its keys; `None` where none is configured.
    source: Option<String>,
    /// When it was last known to be true; `None` for one given by hand, and
    /// for one that is not at hand.
    as_of: Option<Timestamp>,
    /// Whether it is too old to say anything of that time.
    stale: bool,
    /// Why what was kept on disk could not be read.
    trouble: Option<String>,
}

/// The lists, and where they come from.
struct Lists {
    config: IntelConfig,
    at_hand: AtHand,
}

impl Lists {
    fn answer(&self, name: ListName, network: &Network, at: Timestamp) -> Answer {
        let intel = &self.at_hand.intel;
        let status = intel.status(name);
        Answer {
            list: name.as_str(),
            says: says(intel, name, network, at),
            entries: status.map_or(0, |list| list.entries),
            source: self.config.source(name).map(ToString::to_string),
            as_of: status.filter(ListStatus::ages).map(|list| list.as_of),
            stale: status.is_some_and(|list| list.is_stale(at)),
            trouble: self.at_hand.trouble(name).map(str::to_owned),
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the configuration or a file of a list cannot be read.
pub fn run(command: &IntelCommand) -> anyhow::Result<()> {
    let IntelCommand::Show(args) = command;
    let now = Timestamp::now();
    let lists = if args.intel.is_empty() {
        let config = Config::load(&args.config)?;
        Lists {
            at_hand: at_hand(&config.intel, &config.state, now)?,
            config: config.intel,
        }
    } else {
        Lists {
            at_hand: args.intel.load()?.into(),
            config: args.intel.clone(),
        }
    };
    let at = args.at.unwrap_or(now);
    let known = ask(&lists, args.address.to_canonical(), args.asn, at);
    match args.format {
        Format::Json => output::json(&known),
        Format::Text => output::print(|out| print(out, &known)),
    }
}

fn ask(lists: &Lists, address: IpAddr, asn: Option<u32>, at: Timestamp) -> Known {
    let intel = &lists.at_hand.intel;
    let asn = asn.or_else(|| intel.asn_of(address, at));
    let network = Network {
        address: Some(address),
        asn,
        ..Network::default()
    };
    let class = intel.class_of(&network, at);
    let mut answers: Vec<Answer> = ListName::ALL
        .into_iter()
        .map(|name| lists.answer(name, &network, at))
        .collect();
    let declared = intel.corporate.ranges.len() + intel.corporate.asns.len();
    answers.push(Answer {
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
        source: None,
        as_of: None,
        stale: false,
        trouble: None,
    });
    Known {
        address,
        at,
        class,
        asn,
        place: intel.place_of(address, at),
        neutral: class.is_neutral(),
        lists: answers,
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
        let from = provenance(answer);
        let (says, from) = (escape(says), escape(&from));
        writeln!(out, "    {:<14} {says}  ({from})", answer.list)?;
    }
    Ok(())
}

/// Where an answer comes from and how old it is, or why there is none.
fn provenance(answer: &Answer) -> String {
    let mut parts = Vec::new();
    parts.push(match (&answer.source, answer.entries, &answer.trouble) {
        (None, 0, _) => "not configured".to_owned(),
        (Some(_), 0, None) => "never fetched".to_owned(),
        (_, entries, _) => format!("{entries} entries"),
    });
    parts.extend(answer.as_of.map(|as_of| format!("as of {as_of:.0}")));
    parts.extend(answer.stale.then(|| "stale".to_owned()));
    parts.extend(answer.source.clone());
    parts.extend(answer.trouble.clone());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::detect::intel::Dated;

    #[test]
    fn every_list_says_what_it_knows_from_where_and_how_old_it_is() {
        let at = Timestamp::from_second(1_795_507_200).unwrap();
        let dated = |hours| Dated {
            as_of: at - SignedDuration::from_hours(hours),
            stale_after: SignedDuration::from_hours(24),
            list: Arc::new([64500].into_iter().collect()),
        };
        let source = |text: &str| Some(text.parse().unwrap());
        let lists = Lists {
            at_hand: AtHand::from(Intel {
                tor_exits: Some(["192.0.2.1".parse().unwrap()].into()),
                relay_ranges: Some(Dated::timeless(
                    ["192.0.2.0/24".parse().unwrap()].into_iter().collect(),
                )),
                hosting_asns: Some(dated(1)),
                vpn_asns: Some(dated(25)),
                ..Intel::default()
            }),
            config: IntelConfig {
                tor_exits: source("tor.txt"),
                hosting_asns: source("https://lists.example/asns?key=secret"),
                vpn_asns: source("/etc/evictd/vpn.txt"),
                cloud_ranges: source("https://lists.example/ranges"),
                ..IntelConfig::default()
            },
        };
        let known = ask(&lists, "192.0.2.9".parse().unwrap(), Some(64500), at);
        let mut out = Vec::new();
        print(&mut out, &known).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "192.0.2.9 is relay, neutral, AS64500; at 2026-11-24T08:00:00Z\n\
             \x20   tor_exits      not listed  (1 entries, tor.txt)\n\
             \x20   hosting_asns   listed  (1 entries, as of 2026-11-24T07:00:00Z, https://lists.example/asns?…)\n\
             \x20   vpn_asns       unknown  (1 entries, as of 2026-11-23T07:00:00Z, stale, /etc/evictd/vpn.txt)\n\
             \x20   relay_ranges   in 192.0.2.0/24  (1 entries)\n\
             \x20   cloud_ranges   unknown  (never fetched, https://lists.example/ranges)\n\
             \x20   geo_city       unknown  (not configured)\n\
             \x20   geo_asn        unknown  (not configured)\n\
             \x20   corporate      unknown  (not configured)\n"
        );
    }
}
