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
/// Graph's command line, Azure CLI, Azure PowerShell, Visual Studio Code and
/// Visual Studio: the
/// first-party clients whose codes are phished (signals.md, #27).
const COMMAND_LINE: [&str; 5] = [
    "14d82eec-204b-4c2f-b7e8-296a70dab67e",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "1950a258-227b-4e31-a9cf-717495945fc2",
    "aebc6443-996d-45c2-90f0-388ff96faa56",
    "872cd9fa-d31f-45e0-9eab-6e460a02d1f1",
];

/// Microsoft's own clients with which a token can be had for mail and files:
/// the family of client ids, the portals and the broker (the public research
/// into that family, and Microsoft's list of first-party applications).
const MICROSOFT: [&str; 44] = [
    "00b41c95-dab0-4487-9791-b9d2c32c80f2",
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "0ec893e0-5785-4de6-99da-4ed124e5296c",
    "14d82eec-204b-4c2f-b7e8-296a70dab67e",
    "1950a258-227b-4e31-a9cf-717495945fc2",
    "1fec8e78-bce4-4aaf-ab1b-5451cc387264",
    "22098786-6e16-43cc-a27d-191a01a1e3b5",
    "26a7ee05-5602-4d76-a7ba-eae8b7b67941",
    "27922004-5251-4030-b22d-91ecd9a37ea4",
    "29d9ed98-a469-4536-ade2-f981bc1d605e",
    "2d7f3606-b07d-41d1-b9d2-0d0c9296a6e8",
    "4765445b-32c6-49b0-83e6-1d93765276ca",
    "4813382a-8fa7-425e-ab75-3b753aab3abb",
    "4e291c71-d680-4d0e-9640-0a3358e31177",
    "57336123-6e14-4acc-8dcf-287b6088aa28",
    "57fcbcfa-7cee-4eb1-8b25-12d2030b4ee0",
    "5e3ce6c0-2b1f-4285-8d4b-75ee78787346",
    "66375f6b-983f-4c2c-9701-d680650f588f",
    "844cca35-0656-46ce-b636-13f48b0eecbd",
    "872cd9fa-d31f-45e0-9eab-6e460a02d1f1",
    "87749df4-7ccf-48f8-aa87-704bad0e0e16",
    "89bee1f7-5e6e-4d8a-9f3d-ecd601259da7",
    "9199bf20-a13f-4107-85dc-02114787ef48",
    "9ba1a5c7-f17a-4de9-a1f1-6178c8d51223",
    "a40d7d7d-59aa-447e-a655-679a4107e548",
    "a569458c-7f2b-45cb-bab9-b7dee514d112",
    "ab9b8c07-8f02-4f72-87fa-80105867a763",
    "aebc6443-996d-45c2-90f0-388ff96faa56",
    "af124e86-4e96-495a-b70a-90f90ab96707",
    "b26aadf8-566f-4478-926f-589f601d9c74",
    "be1918be-3fe3-4be9-b32b-b542fc27f02e",
    "c0d2a505-13b8-4ae0-aa9e-cddd5eab0b12",
    "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    "cab96880-db5b-4e15-90a7-f3f1d62ffe39",
    "cf36b471-5b44-428c-9ce7-313bf84528de",
    "d326c1ce-6cc6-4de2-bebc-4591e5e13ef0",
    "d3590ed6-52b3-4102-aeff-aad2292ab01c",
    "d7b530a4-7680-4c23-a8bf-c52c121d2e87",
    "dd47d17a-3194-4d86-bfd5-c6ae6f5651e3",
    "e9b154d0-7658-433b-bb25-6b8e0a8a7c59",
    "e9c51622-460d-4d3d-952d-966a5b1da34c",
    "ecd6b820-32c2-49b6-98a6-444530e5a77a",
    "f05ff7c9-f75a-4acd-a3b5-f4b6a870245d",
    "f44b1140-bc5e-48c6-8dc0-5cf5a53c0e34",
];

/// Whether it is known not to be one of Microsoft's own clients. Resources that
/// ask for themselves (Exchange, SharePoint) are Microsoft's too.
pub(super) fn is_third_party(app: &AppRef) -> bool {
    let Some(id) = app.id.as_deref() else {
        return false;
    };
    let own = id.starts_with("0000000");
    !own && !MICROSOFT.iter().any(|known| id.eq_ignore_ascii_case(known))
}

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
