//! What a user agent says: a browser or an HTTP library, and an operating
//! system. Read once for each event.

use crate::model::{Browser, Client, SignIn, System};

/// What a sign-in says of its client.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Agent {
    /// The browser on its system; `None` for native applications and where
    /// nothing is known, which are never compared: one session serves many
    /// native clients.
    pub(super) client: Option<Client>,
    /// The HTTP library that the user agent names.
    pub(super) library: Option<Browser>,
    /// The system that the user agent names.
    pub(super) system: Option<System>,
}

impl Agent {
    pub(super) fn of(sign_in: &SignIn) -> Self {
        let agent = sign_in.user_agent.as_deref().unwrap_or_default();
        let library = library(agent);
        let system = system(agent);
        let device = &sign_in.device;
        let browser = browser(agent)
            .or(library)
            .or_else(|| device.browser.as_deref().and_then(browser_named));
        let client = browser.map(|browser| Client {
            browser,
            system: system.or_else(|| device.operating_system.as_deref().and_then(self::system)),
        });
        Self {
            client,
            library,
            system,
        }
    }
}

/// The operating system that the device says it runs, and the one that the
/// user agent names, where both are known and are two.
pub(super) fn two_systems(sign_in: &SignIn, agent: Agent) -> Option<(System, System)> {
    let named = agent.system?;
    let device = system(sign_in.device.operating_system.as_deref()?)?;
    (named.kin() != device.kin()).then_some((device, named))
}

/// Products by their token, the most telling first: Edge and Opera also call
/// themselves Chrome, and Chrome calls itself Safari.
fn browser(agent: &str) -> Option<Browser> {
    let product = |token: &str| {
        let (name, _) = token.split_once('/')?;
        Some(match name {
            "Edg" | "EdgA" | "EdgiOS" => Browser::Edge,
            "OPR" => Browser::Opera,
            "Firefox" | "FxiOS" => Browser::Firefox,
            "HeadlessChrome" => Browser::HeadlessChrome,
            "Chrome" | "CriOS" => Browser::Chrome,
            "Safari" => Browser::Safari,
            _ => return None,
        })
    };
    agent
        .split(' ')
        .filter_map(product)
        .min_by_key(|browser| Browser::ALL.iter().position(|known| known == browser))
}

/// HTTP libraries by how their user agents begin (signals.md, #11 and #12).
const LIBRARIES: &[(&str, Browser)] = &[
    ("python-requests/", Browser::PythonRequests),
    ("python-httpx/", Browser::PythonHttpx),
    ("aiohttp/", Browser::Aiohttp),
    ("axios/", Browser::Axios),
    ("curl/", Browser::Curl),
    ("Go-http-client/", Browser::GoHttpClient),
    ("go-resty/", Browser::GoResty),
    ("undici", Browser::Undici),
    ("node-fetch", Browser::Node),
    ("node", Browser::Node),
];

/// Python's aiohttp writes `Python/3.11 aiohttp/3.9`.
fn library(agent: &str) -> Option<Browser> {
    let agent = agent.trim_start();
    // What nearly everybody says.
    if agent.starts_with("Mozilla/") {
        return None;
    }
    if agent.contains(" aiohttp/") {
        return Some(Browser::Aiohttp);
    }
    let begins = |token: &str| {
        agent
            .get(..token.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(token))
    };
    LIBRARIES
        .iter()
        .find(|(token, _)| begins(token))
        .map(|(_, library)| *library)
}

/// `deviceDetail.browser`: `Chrome 128.0.0`, `Edge 92.0.902`, `Mobile Safari`.
fn browser_named(text: &str) -> Option<Browser> {
    [
        Browser::Edge,
        Browser::Opera,
        Browser::Firefox,
        Browser::Chrome,
        Browser::Safari,
    ]
    .into_iter()
    .find(|browser| text.contains(browser.as_str()))
}

/// The system that a user agent names in its first parenthesis, or that a text
/// of `deviceDetail` names anywhere.
fn system(text: &str) -> Option<System> {
    const SYSTEMS: &[(&str, System)] = &[
        ("Windows", System::Windows),
        ("Android", System::Android),
        ("iPhone", System::Ios),
        ("iPad", System::Ios),
        ("iOS", System::Ios),
        ("Ios", System::Ios),
        ("Mac OS", System::MacOs),
        ("MacOs", System::MacOs),
        ("Macintosh", System::MacOs),
        ("CrOS", System::ChromeOs),
        ("Linux", System::Linux),
    ];
    let start = text.find('(').unwrap_or(0);
    let end = text[start..]
        .find(')')
        .map_or(text.len(), |end| start + end);
    let text = &text[start..end];
    SYSTEMS
        .iter()
        .find(|(token, _)| text.contains(token))
        .map(|(_, system)| *system)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PARIS, UA_CHROME_LINUX, UA_EDGE_WINDOWS, sign_in};
    use super::*;

    fn described(event: &SignIn) -> Option<String> {
        Agent::of(event).client.map(|client| client.to_string())
    }

    #[test]
    fn agents_read_as_browser_and_system() {
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
        let table = [
            (UA_EDGE_WINDOWS, Some("Edge on Windows")),
            (UA_CHROME_LINUX, Some("Chrome on Linux")),
            (iphone, Some("Safari on iOS")),
            ("python-requests/2.28.0", Some("python-requests")),
            (
                "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0)",
                None,
            ),
            ("", None),
        ];
        for (agent, expected) in table {
            let mut event = sign_in(0, PARIS);
            event.user_agent = Some(agent.into());
            assert_eq!(described(&event).as_deref(), expected, "{agent}");
        }
    }

    #[test]
    fn device_detail_fills_in() {
        let mut event = sign_in(0, PARIS);
        event.user_agent = None;
        event.device.browser = Some("Edge 92.0.902".into());
        event.device.operating_system = Some("Windows 10".into());
        assert_eq!(described(&event).as_deref(), Some("Edge on Windows"));
    }
}
