//! What a client says it is: a browser, or an HTTP library, and an operating
//! system; as coarse as an attacker's change of tool and no finer.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines a closed set of names.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $( #[doc = $text] $variant, )+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The name that is shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }

            fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

names! {
    /// A browser, or an HTTP library.
    Browser {
        Edge = "Edge",
        Opera = "Opera",
        Firefox = "Firefox",
        HeadlessChrome = "Headless Chrome",
        Chrome = "Chrome",
        Safari = "Safari",
        PythonRequests = "python-requests",
        PythonHttpx = "python-httpx",
        Aiohttp = "aiohttp",
        Axios = "axios",
        Curl = "curl",
        GoHttpClient = "Go-http-client",
        GoResty = "go-resty",
        Undici = "undici",
        Node = "node",
    }
}

names! {
    /// An operating system.
    System {
        Windows = "Windows",
        Android = "Android",
        Ios = "iOS",
        MacOs = "macOS",
        ChromeOs = "ChromeOS",
        Linux = "Linux",
    }
}

impl Browser {
    /// Whether no person browses with it.
    pub fn is_library(self) -> bool {
        !matches!(
            self,
            Self::Edge
                | Self::Opera
                | Self::Firefox
                | Self::HeadlessChrome
                | Self::Chrome
                | Self::Safari
        )
    }
}

impl System {
    /// The system that it may call itself: a phone that asks for the desktop
    /// site says macOS or Linux.
    pub fn kin(self) -> Self {
        match self {
            Self::Ios => Self::MacOs,
            Self::Android => Self::Linux,
            other => other,
        }
    }
}

/// A browser on a system, e.g. `Edge on Windows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it browses with.
    pub browser: Browser,
    /// What it runs on, where it says so.
    pub system: Option<System>,
}

impl Client {
    /// Whether they are two clients rather than two ways of naming one.
    pub fn differs_from(self, other: Self) -> bool {
        let kin = |client: Self| client.system.map(System::kin);
        let systems_differ = matches!((kin(self), kin(other)), (Some(a), Some(b)) if a != b);
        self.browser != other.browser || systems_differ
    }

    /// Whether it is a phone's or a tablet's.
    pub fn is_mobile(self) -> bool {
        matches!(self.system, Some(System::Ios | System::Android))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.browser.as_str())?;
        match self.system {
            Some(system) => write!(f, " on {}", system.as_str()),
            None => Ok(()),
        }
    }
}

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (browser, system) = match text.split_once(" on ") {
            Some((browser, system)) => (browser, Some(system)),
            None => (text.as_str(), None),
        };
        let read = || {
            let system = match system {
                Some(system) => Some(System::named(system)?),
                None => None,
            };
            Some(Self {
                browser: Browser::named(browser)?,
                system,
            })
        };
        read().ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a client")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_reads_back_as_it_is_written() {
        for browser in Browser::ALL {
            let systems = System::ALL.iter().copied().map(Some);
            for system in systems.chain([None]) {
                let client = Client {
                    browser: *browser,
                    system,
                };
                let json = serde_json::to_string(&client).unwrap();
                assert_eq!(
                    serde_json::from_str::<Client>(&json).unwrap(),
                    client,
                    "{json}"
                );
            }
        }
        assert!(serde_json::from_str::<Client>("\"Lynx on BeOS\"").is_err());
    }

    #[test]
    fn kin_systems_are_one_client_and_a_missing_one_is_no_difference() {
        let client = |browser, system| Client { browser, system };
        use Browser::{Chrome, Edge, Safari};
        use System::{Android, Ios, Linux, MacOs, Windows};
        for (a, b, differ) in [
            (
                client(Safari, Some(Ios)),
                client(Safari, Some(MacOs)),
                false,
            ),
            (
                client(Chrome, Some(Android)),
                client(Chrome, Some(Linux)),
                false,
            ),
            (client(Edge, None), client(Edge, Some(Windows)), false),
            (
                client(Edge, Some(Windows)),
                client(Chrome, Some(Windows)),
                true,
            ),
            (
                client(Chrome, Some(Windows)),
                client(Chrome, Some(Linux)),
                true,
            ),
        ] {
            assert_eq!(a.differs_from(b), differ, "{a} {b}");
        }
    }
}
