//! Who and what a story is about: people, places, devices and applications.
//!
//! Most stories define nothing: a small troupe is there from the start, with
//! homes, registered laptops and the networks that thieves rent. A file adds
//! its own under `people:`, `places:`, `devices:` and `apps:`.
//!
//! Invariant: every id follows from a name, so a story is the same on every
//! machine; addresses and systems come from the ranges kept for benchmarks and
//! private use (RFC 2544, RFC 6996), so no story speaks of anybody's network.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use crate::detect::intel::{Dated, ExitHistory, Intel, parse_ranges};
use crate::model::NetworkClass;

/// Somebody whose account a story is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Person {
    pub(super) key: String,
    /// The object id.
    pub(super) id: String,
    /// The principal name, or a service principal's display name.
    pub(super) name: String,
    /// Where they work, by name.
    pub(super) place: String,
    /// What they work on, by name.
    pub(super) device: String,
    pub(super) app: String,
    pub(super) guest: bool,
    /// Whether nothing is known of them: no fortnight goes before.
    pub(super) new: bool,
    /// Whether it is a service principal.
    pub(super) service: bool,
    /// Sets their address at a place apart from their colleagues'.
    pub(super) number: u8,
}

/// A network, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    pub(super) city: String,
    pub(super) country: String,
    pub(super) point: Option<(f64, f64)>,
    pub(super) asn: u32,
    pub(super) class: NetworkClass,
    /// Whether the tenant declared it a trusted named location.
    pub(super) trusted: bool,
    /// The first address of its /24, or the one address that was given.
    pub(super) base: IpAddr,
    pub(super) fixed: bool,
}

impl Spot {
    /// The address of the person with that number, or of a stranger.
    pub(super) fn address(&self, host: u8) -> IpAddr {
        match self.base {
            IpAddr::V4(v4) if !self.fixed => {
                let [a, b, c, _] = v4.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, host))
            }
            address => address,
        }
    }
}

/// A computer or a phone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Machine {
    pub(super) key: String,
    pub(super) os: String,
    pub(super) browser: String,
    pub(super) agent: String,
    /// Enrolled and compliant; then it has an id in the directory.
    pub(super) managed: bool,
}

impl Machine {
    /// The directory's id of somebody's registered machine.
    pub(super) fn id(&self, person: &Person) -> Option<String> {
        self.managed
            .then(|| id_of(&format!("device {} of {}", self.key, person.key)))
    }
}

/// An application and the resource it asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) resource_id: String,
    pub(super) resource: String,
}

/// Everybody and everything that a file of stories may name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cast {
    pub(super) people: BTreeMap<String, Person>,
    pub(super) places: BTreeMap<String, Spot>,
    pub(super) devices: BTreeMap<String, Machine>,
    pub(super) apps: BTreeMap<String, App>,
}

/// Name, city, country, latitude, longitude.
const CITIES: [(&str, &str, &str, f64, f64); 14] = [
    ("paris", "Paris", "FR", 48.857, 2.352),
    ("lyon", "Lyon", "FR", 45.764, 4.836),
    ("london", "London", "GB", 51.507, -0.128),
    ("madrid", "Madrid", "ES", 40.417, -3.704),
    ("berlin", "Berlin", "DE", 52.520, 13.405),
    ("warsaw", "Warsaw", "PL", 52.230, 21.011),
    ("lagos", "Lagos", "NG", 6.455, 3.394),
    ("new-york", "New York", "US", 40.713, -74.006),
    ("toronto", "Toronto", "CA", 43.651, -79.383),
    ("sao-paulo", "Sao Paulo", "BR", -23.551, -46.633),
    ("tokyo", "Tokyo", "JP", 35.690, 139.692),
    ("singapore", "Singapore", "SG", 1.352, 103.820),
    ("mumbai", "Mumbai", "IN", 19.076, 72.878),
    ("sydney", "Sydney", "AU", -33.869, 151.209),
];

/// Networks that are nobody's home, and where they stand.
const NETWORKS: [(&str, NetworkClass, &str, &str, f64, f64); 6] = [
    (
        "hosting",
        NetworkClass::Hosting,
        "Ashburn",
        "US",
        39.044,
        -77.488,
    ),
    (
        "hosting-europe",
        NetworkClass::Hosting,
        "Frankfurt",
        "DE",
        50.110,
        8.682,
    ),
    ("vpn", NetworkClass::Vpn, "Amsterdam", "NL", 52.374, 4.890),
    ("tor", NetworkClass::Tor, "Zurich", "CH", 47.374, 8.541),
    ("relay", NetworkClass::Relay, "Dublin", "IE", 53.350, -6.260),
    (
        "office-egress",
        NetworkClass::Corporate,
        "Paris",
        "FR",
        48.857,
        2.352,
    ),
];

/// The names of `network:` in a place.
pub(super) const CLASSES: [(&str, NetworkClass); 6] = [
    ("ordinary", NetworkClass::Ordinary),
    ("hosting", NetworkClass::Hosting),
    ("vpn", NetworkClass::Vpn),
    ("tor", NetworkClass::Tor),
    ("relay", NetworkClass::Relay),
    ("corporate", NetworkClass::Corporate),
];

const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36";
const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0";
const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

/// Name, operating system, browser, user agent, managed.
const DEVICES: [(&str, &str, &str, &str, bool); 7] = [
    ("laptop", "Windows 10", "Edge 128.0.0", EDGE, true),
    ("phone", "Ios 18.1", "Mobile Safari 18.1", IPHONE, true),
    ("mac", "MacOs", "Safari 18.1", MAC, true),
    ("private-pc", "Windows 10", "Chrome 128.0.0", WINDOWS, false),
    (
        "private-phone",
        "Ios 18.1",
        "Mobile Safari 18.1",
        IPHONE,
        false,
    ),
    ("private-mac", "MacOs", "Safari 18.1", MAC, false),
    ("linux-box", "Linux", "Firefox 130.0", LINUX, false),
];
/// What a thief works on, unless the story says otherwise.
pub(super) const STRANGERS_DEVICE: &str = "private-pc";

/// Resources by the name that a file gives them: name, id, display name.
pub(super) const RESOURCES: [(&str, &str, &str); 6] = [
    (
        "exchange",
        "00000002-0000-0ff1-ce00-000000000000",
        "Office 365 Exchange Online",
    ),
    (
        "sharepoint",
        "00000003-0000-0ff1-ce00-000000000000",
        "Office 365 SharePoint Online",
    ),
    (
        "graph",
        "00000003-0000-0000-c000-000000000000",
        "Microsoft Graph",
    ),
    (
        "azure",
        "797f4846-ba00-4fd7-ba43-dac1f8f63013",
        "Azure Resource Manager",
    ),
    (
        "device-registration",
        "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9",
        "Device Registration Service",
    ),
    (
        "portal",
        "4765445b-32c6-49b0-83e6-1d93765276ca",
        "OfficeHome",
    ),
];

/// Name, id, display name, resource.
const APPS: [(&str, &str, &str, &str); 8] = [
    (
        "outlook",
        "d3590ed6-52b3-4102-aeff-aad2292ab01c",
        "Microsoft Office",
        "exchange",
    ),
    (
        "teams",
        "1fec8e78-bce4-4aaf-ab1b-5451cc387264",
        "Microsoft Teams",
        "graph",
    ),
    (
        "portal",
        "4765445b-32c6-49b0-83e6-1d93765276ca",
        "OfficeHome",
        "portal",
    ),
    (
        "azure-cli",
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "Microsoft Azure CLI",
        "azure",
    ),
    (
        "vscode",
        "aebc6443-996d-45c2-90f0-388ff96faa56",
        "Visual Studio Code",
        "graph",
    ),
    (
        "broker",
        "29d9ed98-a469-4536-ade2-f981bc1d605e",
        "Microsoft Authentication Broker",
        "graph",
    ),
    (
        "device-registration",
        "29d9ed98-a469-4536-ade2-f981bc1d605e",
        "Microsoft Authentication Broker",
        "device-registration",
    ),
    (
        "own-app",
        "5c1f4f6e-7d0b-4b55-9d0e-2f1c9a7be001",
        "Contoso Mailer",
        "graph",
    ),
];

/// Key, principal name, home.
const PEOPLE: [(&str, &str, &str); 4] = [
    ("ana", "ana@contoso.example", "paris"),
    ("ben", "ben@contoso.example", "london"),
    ("carla", "carla@contoso.example", "madrid"),
    ("dan", "dan@contoso.example", "new-york"),
];

/// The first private system number (RFC 6996) that stands for a city; the
/// rented networks follow, then those of the file.
const ASN_BASE: u32 = 64_512;
/// The most places, people, devices or apps that a file may define: room for
/// each place's /24 beside the built-in ones.
pub(super) const DEFINED_MAX: usize = 100;
/// The host number of a stranger, and of everybody whom a story calls "others".
pub(super) const STRANGER: u8 = 200;

impl Default for Cast {
    /// Who is always there.
    fn default() -> Self {
        let mut cast = Self {
            people: BTreeMap::new(),
            places: BTreeMap::new(),
            devices: BTreeMap::new(),
            apps: BTreeMap::new(),
        };
        for (name, city, country, latitude, longitude) in CITIES {
            let point = (latitude, longitude);
            cast.add_place(name, NetworkClass::Ordinary, (city, country), point);
        }
        for (name, class, city, country, latitude, longitude) in NETWORKS {
            cast.add_place(name, class, (city, country), (latitude, longitude));
        }
        for (key, os, browser, agent, managed) in DEVICES {
            let machine = Machine {
                key: key.to_owned(),
                os: os.to_owned(),
                browser: browser.to_owned(),
                agent: agent.to_owned(),
                managed,
            };
            cast.devices.insert(key.to_owned(), machine);
        }
        for (key, id, name, resource) in APPS {
            cast.apps.insert(key.to_owned(), app(id, name, resource));
        }
        for (key, name, place) in PEOPLE {
            let mut person = cast.person(key);
            name.clone_into(&mut person.name);
            place.clone_into(&mut person.place);
            cast.people.insert(key.to_owned(), person);
        }
        let mut payroll = cast.person("payroll");
        "Contoso Payroll".clone_into(&mut payroll.name);
        payroll.service = true;
        cast.people.insert("payroll".to_owned(), payroll);
        cast
    }
}

impl Cast {
    fn add_place(
        &mut self,
        name: &str,
        class: NetworkClass,
        (city, country): (&str, &str),
        point: (f64, f64),
    ) {
        let spot = Spot {
            city: city.to_owned(),
            country: country.to_owned(),
            point: Some(point),
            class,
            ..self.new_spot()
        };
        self.places.insert(name.to_owned(), spot);
    }

    /// An ordinary network of its own, nowhere yet.
    pub(super) fn new_spot(&self) -> Spot {
        let number = u8::try_from(self.places.len()).unwrap_or(u8::MAX);
        Spot {
            city: String::new(),
            country: String::new(),
            point: None,
            asn: ASN_BASE + u32::from(number),
            class: NetworkClass::Ordinary,
            trusted: false,
            base: IpAddr::V4(Ipv4Addr::new(198, 18, number, 0)),
            fixed: false,
        }
    }

    /// Somebody in Paris with a laptop.
    pub(super) fn person(&self, key: &str) -> Person {
        Person {
            key: key.to_owned(),
            id: id_of(&format!("person {key}")),
            name: format!("{key}@contoso.example"),
            place: "paris".to_owned(),
            device: "laptop".to_owned(),
            app: "outlook".to_owned(),
            guest: false,
            new: false,
            service: false,
            number: 10 + u8::try_from(self.people.len()).unwrap_or(0),
        }
    }

    /// What is known of the places' networks, at any time.
    pub(super) fn intel(&self) -> Intel {
        let of = |class: NetworkClass| {
            let places = self.places.values();
            places.filter(move |spot| spot.class == class)
        };
        let ranges = |class| {
            let texts = of(class).map(|spot| match spot.base {
                IpAddr::V4(v4) if !spot.fixed => format!("{v4}/24\n"),
                IpAddr::V4(v4) => format!("{v4}/32\n"),
                IpAddr::V6(v6) => format!("{v6}/128\n"),
            });
            parse_ranges(&texts.collect::<String>()).unwrap_or_default()
        };
        let exits = of(NetworkClass::Tor)
            .flat_map(|spot| (0..=u8::MAX).map(|host| spot.address(host)))
            .collect();
        let mut intel = Intel {
            tor_exits: Some(ExitHistory::timeless(&exits)),
            hosting_asns: Some(Dated::timeless(
                of(NetworkClass::Hosting).map(|spot| spot.asn).collect(),
            )),
            vpn_asns: Some(Dated::timeless(
                of(NetworkClass::Vpn).map(|spot| spot.asn).collect(),
            )),
            relay_ranges: Some(Dated::timeless(ranges(NetworkClass::Relay))),
            // The log of Graph's calls names no system, only an address.
            cloud_ranges: Some(Dated::timeless(ranges(NetworkClass::Hosting))),
            ..Intel::default()
        };
        intel.corporate.ranges = ranges(NetworkClass::Corporate);
        intel
    }
}

/// An application that asks for that resource.
pub(super) fn app(id: &str, name: &str, resource: &str) -> App {
    let known = RESOURCES.iter().find(|(key, ..)| *key == resource);
    let (resource_id, resource) = known.map_or(("", ""), |(_, id, name)| (id, name));
    App {
        id: id.to_owned(),
        name: name.to_owned(),
        resource_id: resource_id.to_owned(),
        resource: resource.to_owned(),
    }
}

/// An id that follows from a text.
pub(super) fn id_of(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}
