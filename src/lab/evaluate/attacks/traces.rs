//! What a thief leaves behind elsewhere than in the sign-ins: changes of the
//! directory and calls of Microsoft Graph.
//!
//! Invariant: a trace holds no more than its log does. `AuditLogs` knows an
//! address and no place, and a device's registration is logged as done by the
//! registration service, without an address; Graph's log knows no user name.

use super::Stage;
use crate::lab::evaluate::people::uuid_of;
use crate::lab::evaluate::world::Spot;
use crate::model::{
    AppRef, AuditKind, DirectoryAudit, Event, GraphActivity, Initiator, Network, RecordId, SignIn,
    Target, UserRef,
};

/// The registration client of Windows, which the public tools imitate.
const REGISTRATION_AGENT: &str = "Dsreg/10.0 (Windows 10.0.19044.1826)";
/// `Device Registration Service`.
const REGISTRATION_SERVICE: &str = "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9";

impl Stage<'_> {
    /// The victim's account changes something of itself from that address.
    pub(super) fn own_change(
        &mut self,
        seconds: i64,
        kind: AuditKind,
        activity: &str,
        from: Spot,
        targets: Vec<Target>,
    ) {
        let audit = DirectoryAudit {
            initiator: Initiator::User(self.victim.user.clone()),
            network: address_only(from),
            permissions: (kind == AuditKind::ConsentGranted)
                .then(|| "Scope: Mail.ReadWrite Mail.Send offline_access".into()),
            ..self.audit(seconds, kind, activity, targets)
        };
        self.emit(Event::DirectoryAudit(Box::new(audit)));
    }

    /// A method of authentication is added from that address.
    pub(super) fn registers_method(&mut self, seconds: i64, from: Spot) {
        let kind = AuditKind::SecurityInfoRegistered;
        let user = user_target(&self.victim.user);
        self.own_change(
            seconds,
            kind,
            "User registered security info",
            from,
            vec![user],
        );
    }

    /// The victim's own method of authentication is removed from that address.
    pub(super) fn deletes_method(&mut self, seconds: i64, from: Spot) {
        let kind = AuditKind::SecurityInfoDeleted;
        let user = user_target(&self.victim.user);
        self.own_change(
            seconds,
            kind,
            "User deleted security info",
            from,
            vec![user],
        );
    }

    /// A rule of the mailbox is made from that address, where the stream has
    /// it.
    pub(super) fn makes_inbox_rule(&mut self, seconds: i64, from: Spot) {
        let rule = Target {
            kind: Some("Other".into()),
            // Thieves name their rules with a dot or two.
            name: Some("..".into()),
            ..Target::default()
        };
        let user = user_target(&self.victim.user);
        self.own_change(
            seconds,
            AuditKind::InboxRule,
            "New-InboxRule",
            from,
            vec![rule, user],
        );
    }

    /// A computer of the name that Windows gives by itself is registered.
    /// Answers its id in the directory.
    pub(super) fn registers_device(&mut self, seconds: i64) -> Box<str> {
        let number = self.between(0, 1 << 28);
        let id = uuid_of(&format!("device of thief {} {number}", self.run));
        let device = Target {
            kind: Some("Device".into()),
            id: Some(id.clone()),
            name: Some(format!("DESKTOP-{number:07X}").into()),
            principal_name: None,
        };
        let user = user_target(&self.victim.user);
        for (after, activity) in [
            (0, "Register device"),
            (1, "Add registered owner to device"),
        ] {
            let targets = vec![device.clone(), user.clone()];
            let audit = DirectoryAudit {
                initiator: Initiator::App(AppRef {
                    id: Some(REGISTRATION_SERVICE.into()),
                    name: Some("Device Registration Service".into()),
                }),
                user_agent: Some(REGISTRATION_AGENT.into()),
                ..self.audit(
                    seconds + after,
                    AuditKind::DeviceRegistered,
                    activity,
                    targets,
                )
            };
            self.emit(Event::DirectoryAudit(Box::new(audit)));
        }
        id
    }

    fn audit(
        &self,
        seconds: i64,
        kind: AuditKind,
        activity: &str,
        targets: Vec<Target>,
    ) -> DirectoryAudit {
        let at = self.at(seconds);
        let key = format!("{} {activity} {at}", self.victim.user.id);
        DirectoryAudit {
            record: RecordId::new(uuid_of(&format!("audit {key}"))),
            at,
            kind,
            activity: activity.into(),
            succeeded: true,
            user: self.victim.user.clone(),
            initiator: Initiator::Unknown,
            network: Network::default(),
            user_agent: None,
            targets,
            correlation: Some(uuid_of(&format!("operation {key}"))),
            permissions: None,
        }
    }

    /// A call of Graph with the token of that sign-in, from that network.
    pub(super) fn calls_graph(
        &mut self,
        seconds: i64,
        token_of: &SignIn,
        from: Network,
        agent: &str,
        path: &str,
    ) {
        let at = self.at(seconds);
        let Some(session) = token_of.session.clone() else {
            return;
        };
        let call = GraphActivity {
            record: RecordId::new(uuid_of(&format!("call {path} {at} {session}"))),
            at,
            user: UserRef {
                id: self.victim.user.id.clone(),
                principal_name: "".into(),
                guest: false,
                workload: false,
            },
            session,
            unique_token: token_of.unique_token.clone(),
            app: AppRef {
                id: token_of.app.id.clone(),
                name: None,
            },
            method: Some("GET".into()),
            path: Some(path.into()),
            status: Some(200),
            network: from,
            user_agent: Some(agent.into()),
        };
        self.emit(Event::GraphActivity(Box::new(call)));
    }
}

/// What these logs say of a place: the address. Network and country are then
/// the databases' to add.
pub(super) fn address_only(spot: Spot) -> Network {
    Network {
        address: Some(spot.address),
        ..Network::default()
    }
}

fn user_target(user: &UserRef) -> Target {
    Target {
        kind: Some("User".into()),
        id: Some(user.id.as_str().into()),
        name: None,
        principal_name: Some(user.principal_name.clone()),
    }
}
