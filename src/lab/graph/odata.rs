//! The part of OData the stand-in speaks: `$select`, `$top`, `@odata.nextLink`.
//!
//! Invariant: what is not spoken is refused, never ignored, so a query the
//! real Graph would refuse does not pass here unnoticed. A property that was
//! not asked for is not sent: reading `accountEnabled` without `$select` finds
//! nothing, as in Graph.

use reqwest::Url;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::tenant::User;

/// Page sizes of `GET /users` (documented: 100, at most 999).
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 999;

/// The properties a user has without `$select` (documented default set).
const DEFAULTS: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// The properties only `$select` brings, as far as the lab's users have them.
const ON_REQUEST: &[&str] = &[
    "accountEnabled",
    "department",
    "lastPasswordChangeDateTime",
    "onPremisesSyncEnabled",
    "signInSessionsValidFromDateTime",
    "userType",
];

/// The properties to send.
pub(super) struct Selection(Vec<&'static str>);

impl Selection {
    /// Reads `$select`; any query option outside `spoken` is refused.
    pub(super) fn parse(query: &[(String, String)], spoken: &[&str]) -> Result<Self, Box<Answer>> {
        if let Some((name, _)) = query
            .iter()
            .find(|(name, _)| !spoken.contains(&name.as_str()))
        {
            let message = format!("Query option '{name}' is not supported.");
            return Err(Box::new(Answer::bad_request(message)));
        }
        let Some((_, wanted)) = query.iter().find(|(name, _)| name == "$select") else {
            return Ok(Self(DEFAULTS.to_vec()));
        };
        let known = |name: &str| {
            let name = name.trim();
            [DEFAULTS, ON_REQUEST]
                .concat()
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .ok_or_else(|| {
                    Box::new(Answer::bad_request(format!(
                        "Parsing OData Select and Expand failed: Could not find a property named \
                         '{name}' on type 'microsoft.graph.user'."
                    )))
                })
        };
        Ok(Self(
            wanted.split(',').map(known).collect::<Result<_, _>>()?,
        ))
    }

    /// The user's selected properties.
    pub(super) fn project(&self, user: &User) -> Map<String, Value> {
        let value = |name: &str| match name {
            "id" => json!(user.id),
            "userPrincipalName" => json!(user.user_principal_name),
            "displayName" => json!(user.display_name),
            "accountEnabled" => json!(user.account_enabled),
            "userType" => json!(user.user_type),
            "onPremisesSyncEnabled" => json!(user.on_premises_sync_enabled),
            "department" => json!(user.department),
            "signInSessionsValidFromDateTime" => json!(user.sign_in_sessions_valid_from),
            "lastPasswordChangeDateTime" => json!(user.last_password_change),
            "businessPhones" => json!([]),
            _ => Value::Null,
        };
        let pair = |name: &&str| ((*name).to_owned(), value(name));
        self.0.iter().map(pair).collect()
    }
}

/// One page of a collection.
pub(super) struct Page {
    pub(super) size: usize,
    /// The last id of the page before.
    pub(super) after: Option<Uuid>,
}

impl Page {
    pub(super) fn parse(query: &[(String, String)]) -> Result<Self, Box<Answer>> {
        let option = |wanted: &str| {
            let found = query.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let bad = |name: &str| {
            let message = format!("Invalid value for query option '{name}'.");
            Box::new(Answer::bad_request(message))
        };
        let size = match option("$top") {
            None => PAGE_DEFAULT,
            Some(top) => top
                .parse()
                .ok()
                .filter(|top| (1..=PAGE_MAX).contains(top))
                .ok_or_else(|| bad("$top"))?,
        };
        let after = option("$skiptoken")
            .map(|token| Uuid::parse_str(token).map_err(|_| bad("$skiptoken")))
            .transpose()?;
        Ok(Self { size, after })
    }

    /// The link to the page after `last`, keeping the caller's other options.
    pub(super) fn next_link(
        &self,
        base_url: &str,
        path: &str,
        last: Uuid,
        query: &[(String, String)],
    ) -> String {
        let token = last.simple().to_string();
        let kept = query.iter().filter(|(name, _)| name != "$skiptoken");
        let pairs = kept
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain([("$skiptoken", token.as_str())]);
        let url = format!("{base_url}/{path}");
        Url::parse_with_params(&url, pairs).map_or(url, Into::into)
    }
}
