//! What a snapshot says of an address at a time.

use super::geo::tests::{database, flat, nested};
use super::*;
use crate::model::{CountryCode, GeoPoint};

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_795_507_200 + hour * 3600).unwrap()
}

fn network(address: &str, asn: impl Into<Option<u32>>) -> Network {
    Network {
        address: Some(address.parse().unwrap()),
        asn: asn.into(),
        ..Network::default()
    }
}

fn ranges(texts: &[&str]) -> PrefixSet {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn everything() -> Intel {
    Intel {
        tor_exits: Some(["192.0.2.1".parse().unwrap()].into()),
        hosting_asns: Some([64500, 64501].into()),
        vpn_asns: Some([64501].into()),
        relay_ranges: Some(Dated::timeless(ranges(&["192.0.2.16/28"]))),
        cloud_ranges: Some(Dated::timeless(ranges(&["192.0.2.32/28"]))),
        corporate: Corporate {
            ranges: ranges(&["192.0.2.0/30", "192.0.2.24/31"]),
            asns: [64510].into_iter().collect(),
        },
        ..Intel::default()
    }
}

#[test]
fn the_most_telling_class_wins() {
    let table = [
        ("192.0.2.1", 64500, NetworkClass::Tor),
        ("192.0.2.2", 64500, NetworkClass::Corporate),
        ("192.0.2.25", 64500, NetworkClass::Corporate),
        ("192.0.2.9", 64510, NetworkClass::Corporate),
        ("192.0.2.16", 64500, NetworkClass::Relay),
        ("192.0.2.33", 3215, NetworkClass::Hosting),
        ("192.0.2.33", 8075, NetworkClass::Microsoft),
        ("192.0.2.100", 64500, NetworkClass::Hosting),
        ("192.0.2.100", 64501, NetworkClass::Vpn),
        ("192.0.2.100", 3215, NetworkClass::Ordinary),
    ];
    let intel = everything();
    for (address, asn, class) in table {
        let network = network(address, asn);
        assert_eq!(intel.class_of(&network, at(0)), class, "{address} AS{asn}");
    }
}

#[test]
fn a_missing_list_tells_nothing() {
    for (address, asn) in [("192.0.2.1", 64500), ("192.0.2.16", 64501)] {
        let class = Intel::default().class_of(&network(address, asn), at(0));
        assert_eq!(class, NetworkClass::Ordinary);
    }
}

#[test]
fn a_stale_list_tells_nothing_and_an_earlier_event_is_judged_by_the_present_one() {
    let intel = Intel {
        hosting_asns: Some(Dated {
            as_of: at(0),
            stale_after: SignedDuration::from_hours(24),
            list: Arc::new([64500].into_iter().collect()),
        }),
        ..Intel::default()
    };
    let table = [
        (-1_000, NetworkClass::Hosting),
        (24, NetworkClass::Hosting),
        (25, NetworkClass::Ordinary),
    ];
    for (hour, class) in table {
        let found = intel.class_of(&network("192.0.2.1", 64500), at(hour));
        assert_eq!(found, class, "at {hour} h");
    }
    let status = intel.status(ListName::HostingAsns).unwrap();
    assert!(!status.is_stale(at(24)) && status.is_stale(at(25)));
    assert_eq!(intel.status(ListName::TorExits), None);
}

fn place(city: Option<&str>, country: &str, point: Option<(f64, f64)>) -> Place {
    Place {
        city: city.map(std::sync::Arc::from),
        country: CountryCode::parse(country),
        point: point.and_then(|(latitude, longitude)| GeoPoint::new(latitude, longitude)),
    }
}

#[test]
fn a_record_is_completed_and_never_contradicted() {
    use GeoAgreement::{Agrees, Differs, Unknown};
    let paris = || place(Some("Paris"), "FR", Some((48.86, 2.35)));
    let nice = |point| place(Some("Nice"), "FR", point);
    let berlin = |point| place(Some("Berlin"), "DE", point);
    let differs = Differs {
        record: CountryCode::parse("DE").unwrap(),
        ours: CountryCode::parse("FR").unwrap(),
    };
    let france = place(None, "FR", None);
    let middle = place(None, "FR", Some((46.0, 2.0)));
    let no_point = place(Some("Paris"), "FR", None);
    let (in_nice, in_berlin) = (Some((43.7, 7.27)), Some((52.52, 13.4)));
    let table = [
        ("nothing", Place::default(), paris(), Unknown),
        ("a country", france, paris(), Agrees),
        ("a country's middle", middle, paris(), Agrees),
        ("the city without a point", no_point, paris(), Agrees),
        ("another city, no point", nice(None), nice(None), Agrees),
        ("another city", nice(in_nice), nice(in_nice), Agrees),
        ("another country", berlin(in_berlin), berlin(None), differs),
    ];
    for row in [nested("Paris", "FR", 20), flat("Paris", "FR", 48.86)] {
        let intel = Intel {
            geo_city: Some(Dated::timeless(database(&row))),
            ..Intel::default()
        };
        for (name, said, expected, agreement) in table.clone() {
            let mut record = network("192.0.2.1", None);
            record.place = said;
            let enriched = intel.enrich(&record, at(0));
            assert_eq!(enriched.network.place, expected, "{name}");
            assert_eq!(enriched.agreement, agreement, "{name}");
        }
    }
}
