//! First-party applications that detectors know, by id.

use crate::model::AppRef;

/// Microsoft Authentication Broker (signals.md, #5, #18, #23).
pub(super) const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
/// OfficeHome, the portal behind office.com (signals.md, #11, #13).
pub(super) const OFFICE_HOME: &str = "4765445b-32c6-49b0-83e6-1d93765276ca";

/// Exchange Online, SharePoint Online and Microsoft Graph: id and name, since
/// a record edited by hand may have only one.
const MAIL_AND_FILES: [(&str, &str); 3] = [
    (
        "00000002-0000-0ff1-ce00-000000000000",
        "Office 365 Exchange Online",
    ),
    (
        "00000003-0000-0ff1-ce00-000000000000",
        "Office 365 SharePoint Online",
    ),
    ("00000003-0000-0000-c000-000000000000", "Microsoft Graph"),
];

pub(super) fn is_broker(app: &AppRef) -> bool {
    has_id(app, BROKER)
}

pub(super) fn is_office_home(app: &AppRef) -> bool {
    has_id(app, OFFICE_HOME)
}

/// Whether a token for it opens a mailbox or files.
pub(super) fn holds_mail_or_files(resource: &AppRef) -> bool {
    MAIL_AND_FILES
        .iter()
        .any(|(id, name)| has_id(resource, id) || resource.name.as_deref() == Some(name))
}

fn has_id(app: &AppRef, id: &str) -> bool {
    app.id
        .as_deref()
        .is_some_and(|known| known.eq_ignore_ascii_case(id))
}
