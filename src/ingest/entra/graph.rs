//! `MicrosoftGraphActivityLogs`: calls of Microsoft Graph.
//!
//! Invariant: a call becomes an event only where it names the user and the
//! session, since without both it cannot be joined to a sign-in; the rest
//! (six of seven are an application's own) is passed over. Of the URI only the
//! path is kept: a query can hold names, searches and tokens.

use super::convert::{Converted, id_of, identity, when};
use super::record::Record;
use super::text::{self, USER_AGENT_BYTES_MAX};
use super::wire::GraphCall;
use crate::model::{AppRef, GraphActivity, Network, RecordId, SessionId, UserId, UserRef};

/// The longest path that is kept, in bytes. Real ones are 20–200.
const PATH_BYTES_MAX: usize = 512;
/// The longest method that is kept, in bytes: `PROPPATCH` has 9.
const METHOD_BYTES_MAX: usize = 16;

/// The call as an event; `None` where it cannot be joined to a sign-in.
pub(super) fn graph_activity(
    record: &Record<'_>,
    p: &GraphCall<'_>,
) -> Converted<Option<GraphActivity>> {
    let session = identity(p.session_id.get()).or_else(|| identity(p.claimed_session_id.get()));
    let (Some(session), Some(user)) = (session, identity(p.user_id.get())) else {
        return Ok(None);
    };
    let at = when(&[
        ("properties.timeGenerated", p.time_generated.get()),
        ("time", record.time.as_deref()),
    ])?;
    let method = p
        .request_method
        .get()
        .and_then(|method| text::clean(method, METHOD_BYTES_MAX))
        .map(|method| method.to_ascii_uppercase().into());
    let path = p.request_uri.get().and_then(path);
    let id = match identity(p.request_id.get()) {
        Some(id) => RecordId::new(id),
        None => id_of(&[
            "MicrosoftGraphActivityLogs",
            &user,
            &session,
            path.as_deref().unwrap_or_default(),
            &at.to_string(),
        ]),
    };
    let address = p.ip_address.get().and_then(text::address);
    let caller = record.caller_ip_address.as_deref();
    Ok(Some(GraphActivity {
        record: id,
        at,
        user: UserRef {
            id: UserId::new(user.to_lowercase()),
            principal_name: Box::default(),
            guest: false,
            workload: false,
        },
        session: SessionId::new(session),
        unique_token: identity(p.sign_in_activity_id.get()),
        app: AppRef {
            id: identity(p.app_id.get()),
            name: None,
        },
        method,
        path,
        status: p
            .response_status_code
            .get()
            .and_then(|code| code.trim().parse().ok()),
        network: Network {
            address: address.or_else(|| caller.and_then(text::address)),
            ..Network::default()
        },
        user_agent: p
            .user_agent
            .get()
            .and_then(|agent| text::clean(agent, USER_AGENT_BYTES_MAX)),
    }))
}

/// The path of `https://graph.microsoft.com/v1.0/me?$select=id`, or of a URI
/// that begins with it.
fn path(uri: &str) -> Option<Box<str>> {
    // The query goes first: it may hold slashes.
    let uri = uri.trim().split(['?', '#']).next()?;
    let path = match uri.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => uri,
    };
    path.starts_with('/')
        .then(|| text::clean(path, PATH_BYTES_MAX))
        .flatten()
}
