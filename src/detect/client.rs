//! What the client says it is: a browser and an operating system, as coarse
//! as an attacker's change of tool and no finer, so that an upgrade is no
//! change.

use crate::model::SignIn;

/// `Edge on Windows`; `None` for native applications and where nothing is
/// known, which are never compared: one session serves many native clients.
pub(super) fn describe(sign_in: &SignIn) -> Option<Box<str>> {
    let agent = sign_in.user_agent.as_deref().unwrap_or_default();
    let browser =
        browser(agent).or_else(|| sign_in.device.browser.as_deref().and_then(browser_named))?;
    let system =
        system(agent).or_else(|| sign_in.device.operating_system.as_deref().and_then(system));
    Some(match system {
        Some(system) => format!("{browser} on {system}").into(),
        None => browser.into(),
    })
}

/// Whether two descriptions are two clients. iOS and macOS, Android and Linux
/// are one: a phone that asks for the desktop site calls itself the other.
pub(super) fn differ(a: &str, b: &str) -> bool {
    let split = |text| match str::split_once(text, " on ") {
        Some((browser, system)) => (browser, Some(kin(system))),
        None => (text, None),
    };
    let ((browser_a, system_a), (browser_b, system_b)) = (split(a), split(b));
    let systems_differ = matches!((system_a, system_b), (Some(a), Some(b)) if a != b);
    browser_a != browser_b || systems_differ
}

/// Whether it is a phone's or a tablet's.
pub(super) fn is_mobile(client: &str) -> bool {
    client.ends_with(" on iOS") || client.ends_with(" on Android")
}

/// The operating system that the device says it runs, and the one that the
/// user agent names, where both are known and are two.
pub(super) fn two_systems(sign_in: &SignIn) -> Option<(&'static str, &'static str)> {
    let agent = system(sign_in.user_agent.as_deref()?)?;
    let device = system(sign_in.device.operating_system.as_deref()?)?;
    (kin(agent) != kin(device)).then_some((device, agent))
}

/// Whether either names Windows.
pub(super) fn is_windows(sign_in: &SignIn) -> bool {
    let texts = [&sign_in.user_agent, &sign_in.device.operating_system];
    texts
        .into_iter()
        .flatten()
        .any(|text| system(text) == Some("Windows"))
}

fn kin(system: &str) -> &str {
    match system {
        "iOS" => "macOS",
        "Android" => "Linux",
        other => other,
    }
}

/// Order matters: Edge and Opera also call themselves Chrome, and Chrome
/// calls itself Safari.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// HTTP libraries by how their user agents begin (signals.md, #11 and #12).
const LIBRARIES: &[(&str, &str)] = &[
    ("python-requests/", "python-requests"),
    ("python-httpx/", "python-httpx"),
    ("aiohttp/", "aiohttp"),
    ("axios/", "axios"),
    ("curl/", "curl"),
    ("Go-http-client/", "Go-http-client"),
    ("go-resty/", "go-resty"),
    ("undici", "undici"),
    ("node-fetch", "node"),
    ("node", "node"),
];

fn browser(agent: &str) -> Option<&'static str> {
    BROWSERS
        .iter()
        .find(|(token, _)| agent.contains(token))
        .map(|(_, name)| *name)
        .or_else(|| library(agent))
}

/// The HTTP library that the user agent names; Python's aiohttp writes
/// `Python/3.11 aiohttp/3.9`.
pub(super) fn library(agent: &str) -> Option<&'static str> {
    let agent = agent.trim();
    let begins = |token: &str| {
        agent
            .get(..token.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(token))
    };
    if agent.contains(" aiohttp/") {
        return Some("aiohttp");
    }
    LIBRARIES
        .iter()
        .find(|(token, _)| begins(token))
        .map(|(_, name)| *name)
}

/// `deviceDetail.browser`: `Chrome 128.0.0`, `Edge 92.0.902`, `Mobile Safari`.
fn browser_named(text: &str) -> Option<&'static str> {
    ["Edge", "Opera", "Firefox", "Chrome", "Safari"]
        .into_iter()
        .find(|name| text.contains(name))
}

fn system(text: &str) -> Option<&'static str> {
    const SYSTEMS: &[(&str, &str)] = &[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("iOS", "iOS"),
        ("Ios", "iOS"),
        ("Mac OS", "macOS"),
        ("MacOs", "macOS"),
        ("Macintosh", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    SYSTEMS
        .iter()
        .find(|(token, _)| text.contains(token))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PARIS, UA_CHROME_LINUX, UA_EDGE_WINDOWS, sign_in};
    use super::*;

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
            assert_eq!(describe(&event).as_deref(), expected, "{agent}");
        }
    }

    #[test]
    fn device_detail_fills_in_and_kin_systems_are_one() {
        let mut event = sign_in(0, PARIS);
        event.user_agent = None;
        event.device.browser = Some("Edge 92.0.902".into());
        event.device.operating_system = Some("Windows 10".into());
        assert_eq!(describe(&event).as_deref(), Some("Edge on Windows"));
        assert!(!differ("Safari on iOS", "Safari on macOS"));
        assert!(!differ("Chrome on Android", "Chrome on Linux"));
        assert!(!differ("Edge", "Edge on Windows"));
        assert!(differ("Edge on Windows", "Chrome on Windows"));
        assert!(differ("Chrome on Windows", "Chrome on Linux"));
    }
}
