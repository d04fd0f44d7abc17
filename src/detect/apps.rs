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

/// The device registration service (signals.md, #18).
const DEVICE_REGISTRATION: &str = "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9";
/// Azure CLI, Azure PowerShell, Visual Studio Code and Visual Studio: the
/// first-party clients whose codes are phished (signals.md, #27).
const COMMAND_LINE: [&str; 4] = [
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "1950a258-227b-4e31-a9cf-717495945fc2",
    "aebc6443-996d-45c2-90f0-388ff96faa56",
    "872cd9fa-d31f-45e0-9eab-6e460a02d1f1",
];

/// Whether it is a command line tool or an editor of Microsoft's own.
pub(super) fn is_command_line(app: &AppRef) -> bool {
    COMMAND_LINE.iter().any(|id| has_id(app, id))
}

/// Whether it registers devices.
pub(super) fn is_device_registration(resource: &AppRef) -> bool {
    has_id(resource, DEVICE_REGISTRATION)
        || resource.name.as_deref() == Some("Device Registration Service")
}

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
