//! What a thief leaves behind to come back: methods of authentication (#16),
//! devices (#17, #18, #19, #26), consents and rules of the mailbox.
//!
//! The change comes from the directory's audit log and the sign-in from
//! another stream, so each looks for the other, whichever arrives first. A
//! change alone is ordinary life; one beside a sign-in from a network that is
//! new to the user is not.

use super::{Ground, Seen, apps, catalogue, raise};
use crate::detect::SignalSpec;
use crate::model::{
    AuditKind, Change, DirectoryAudit, Evidence, Family, NetworkClass, Parameter, Sighting, Signal,
    Thing, Traits, hash_of,
};

/// What is kept of a change.
pub(super) fn change(audit: &DirectoryAudit) -> Change {
    let kind = match audit.kind {
        AuditKind::DeviceRegistered => Some("Device"),
        AuditKind::ConsentGranted | AuditKind::AppRoleGranted => Some("ServicePrincipal"),
        _ => None,
    };
    let named = audit.targets.iter().find(|target| {
        let is = |kind: &str| {
            target
                .kind
                .as_deref()
                .is_some_and(|k| k.eq_ignore_ascii_case(kind))
        };
        kind.is_some_and(is)
    });
    Change {
        at: audit.at,
        kind: audit.kind,
        record: audit.record.clone(),
        what: named.and_then(|target| target.name.clone().or_else(|| target.id.clone())),
        opens_mail: audit.permissions.as_deref().is_some_and(opens_mail),
    }
}

/// Permissions that a thief consents to: mail, files, chats, the directory
/// (Microsoft's list of those that users may not give away by default).
const OPENING: [&str; 12] = [
    "Mail.",
    "MailboxSettings.",
    "Files.",
    "Sites.",
    "Contacts.",
    "Notes.",
    "Chat.",
    "ChannelMessage.",
    "EWS.",
    "IMAP.",
    "Directory.",
    "full_access_as_user",
];

fn opens_mail(permissions: &str) -> bool {
    OPENING.iter().any(|scope| permissions.contains(scope))
}

/// The application that was consented to, by a hash of its name.
pub(super) fn consented(change: &Change) -> Option<u64> {
    match change.kind {
        AuditKind::ConsentGranted => change.what.as_deref().map(hash_of),
        _ => None,
    }
}

/// A change has come: was there a sign-in it goes with?
pub(super) fn of_change(change: &Change, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    for footprint in &ground.memory.footprints {
        let sighting = footprint.sighting(footprint.last);
        beside(change, &sighting, footprint.traits, ground, signals);
    }
    after_risk(change, ground, signals);
    consent(change, ground, signals);
}

/// A sign-in has come: was there a change it goes with?
pub(super) fn of_sign_in(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let sighting = seen.sighting();
    for change in &ground.memory.changes {
        beside(change, &sighting, seen.traits, ground, signals);
    }
    let rented = matches!(
        seen.class,
        NetworkClass::Hosting | NetworkClass::Vpn | NetworkClass::Tor
    );
    if rented
        && apps::is_broker(&seen.sign_in.app)
        && apps::is_device_registration(&seen.sign_in.resource)
        && !seen.traits.has(Traits::MANAGED)
        && !ground.knows(&sighting)
        && !ground.is_shared(&sighting)
    {
        let what = "the device registration service through the broker";
        signals.push(seen.method(&catalogue::DEVICE_FROM_HOSTING, what));
    }
}

/// A change and a success of the user, whichever came first.
fn beside(
    change: &Change,
    sighting: &Sighting,
    traits: Traits,
    ground: &Ground<'_>,
    signals: &mut Vec<Signal>,
) {
    // Positive where the change came after the sign-in.
    let after = change.at.duration_since(sighting.at).as_secs();
    let strange =
        !traits.has(Traits::MANAGED) && ground.is_new_network(sighting) && is_far(sighting, ground);
    let around =
        -ground.get(Parameter::SecurityInfoBefore)..=ground.get(Parameter::SecurityInfoAfter);
    let by_code = traits.has(Traits::DEVICE_CODE);
    let within = |parameter| (0..=ground.get(parameter)).contains(&after);
    match change.kind {
        AuditKind::SecurityInfoRegistered
        | AuditKind::SecurityInfoChanged
        | AuditKind::SecurityInfoDeleted
            if strange && around.contains(&after) =>
        {
            raise_change(&catalogue::SECURITY_INFO_CHANGED, change, sighting, signals);
        }
        AuditKind::InboxRule if strange && around.contains(&after) => {
            raise_change(&catalogue::INBOX_RULE, change, sighting, signals);
        }
        AuditKind::DeviceRegistered if by_code => {
            let at_once = after.abs() <= ground.get(Parameter::DeviceByCode);
            if traits.has(Traits::PRT) && !traits.has(Traits::MANAGED) && at_once {
                raise_change(&catalogue::PRT_BY_DEVICE_CODE, change, sighting, signals);
            }
            if within(Parameter::DeviceAfterCode) && ground.is_new_network(sighting) {
                raise_change(&catalogue::DEVICE_AFTER_CODE, change, sighting, signals);
            }
        }
        // A device registered from where the user never was.
        AuditKind::DeviceRegistered if strange && around.contains(&after) => {
            raise_change(&catalogue::SECURITY_INFO_CHANGED, change, sighting, signals);
        }
        _ => {}
    }
}

/// Where nobody sets up a new phone: a rented network, or a new country.
fn is_far(sighting: &Sighting, ground: &Ground<'_>) -> bool {
    let abroad = |country| ground.is_new_country(country, sighting.at);
    match sighting.class {
        NetworkClass::Hosting | NetworkClass::Tor => true,
        NetworkClass::Vpn => false,
        _ => sighting.place.country.is_some_and(abroad),
    }
}

/// #17: a device right after Microsoft raised an alarm. The alarm may come
/// later; then it finds the device.
fn after_risk(change: &Change, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let window = ground.get(Parameter::DeviceAfterRisk);
    for risk in &ground.memory.signals {
        let after = change.at.duration_since(risk.at).as_secs();
        if risk.family == Family::MicrosoftRisk
            && change.kind == AuditKind::DeviceRegistered
            && (0..=window).contains(&after)
        {
            raise(signals, device_after_risk(change, risk));
        }
    }
}

/// The alarm has come: was there a device?
pub(super) fn of_risk(risk: &Signal, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let window = ground.get(Parameter::DeviceAfterRisk);
    for change in &ground.memory.changes {
        let after = change.at.duration_since(risk.at).as_secs();
        if change.kind == AuditKind::DeviceRegistered && (0..=window).contains(&after) {
            raise(signals, device_after_risk(change, risk));
        }
    }
}

fn device_after_risk(change: &Change, risk: &Signal) -> Signal {
    let what = format!("a device was registered after {}", risk.name);
    signal_of(&catalogue::DEVICE_AFTER_RISK, &what, change, None)
}

/// Mail or files are opened to an application that nobody in the tenant knew.
/// The victim does it at home, so nothing else need be strange.
fn consent(change: &Change, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let Some(app) = consented(change).filter(|_| change.opens_mail) else {
        return;
    };
    let thing = Thing::Consented(app);
    if !ground.around.is_common(thing, change.at, ground.parameters) {
        let what = "mail or files were opened to an application nobody here knew";
        let spec = &catalogue::CONSENT_TO_MAIL;
        raise(signals, signal_of(spec, what, change, None));
    }
}

fn raise_change(
    spec: &SignalSpec,
    change: &Change,
    sighting: &Sighting,
    signals: &mut Vec<Signal>,
) {
    let what = match change.kind {
        AuditKind::DeviceRegistered => "a device was registered",
        AuditKind::InboxRule => "a rule of the mailbox was made",
        AuditKind::SecurityInfoDeleted => "a method of authentication was removed",
        _ => "a method of authentication was added or changed",
    };
    raise(signals, signal_of(spec, what, change, Some(sighting)));
}

/// A change is dated by itself: it is what was done.
fn signal_of(
    spec: &SignalSpec,
    what: &str,
    change: &Change,
    sighting: Option<&Sighting>,
) -> Signal {
    let evidence = Evidence::Change {
        what: what.into(),
        subject: change.what.clone(),
        sighting: sighting.cloned(),
    };
    spec.raised(change.at, &change.record, evidence)
}
