//! A day of one account, as it is written: who, where, when, and how Entra
//! words it.
//!
//! Invariant: nothing here decides what happens; it only turns "this machine
//! asked for that application at that time" into the record that Entra would
//! make of it.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::life::{Calendar, Life};
use crate::lab::evaluate::people::{
    App, BY_CLAIM, COMPLETED, Delivery, Label, Machine, Person, sign_in, step, transport, uuid_of,
};
use crate::lab::evaluate::world::{Dice, Spot, World, day_of, utc_offset};
use crate::model::{
    AuditKind, ClientApp, ConditionalAccess, DirectoryAudit, Event, IncomingToken, Initiator,
    Network, RecordId, Requirement, SessionId, SignIn, Target,
};

/// One day of one account.
pub(super) struct Diary<'a> {
    pub(super) world: &'a World,
    pub(super) calendar: &'a Calendar,
    pub(super) life: &'a Life,
    /// With the machines of that day.
    pub(super) person: Person,
    pub(super) day: u32,
    pub(super) dice: Dice,
    midnight: Timestamp,
    pub(super) deliveries: Vec<Delivery>,
}

impl<'a> Diary<'a> {
    pub(super) fn open(world: &'a World, calendar: &'a Calendar, life: &'a Life, day: u32) -> Self {
        let noon = day_of(calendar.start, day) + SignedDuration::from_hours(12);
        let city = life.city_at(noon).unwrap_or(life.person.city);
        Self {
            world,
            calendar,
            life,
            person: life.equipped(calendar, day),
            day,
            dice: calendar.dice(life.person.number, u64::from(day)),
            midnight: day_of(calendar.start, day) - utc_offset(city),
            deliveries: Vec::with_capacity(16),
        }
    }

    /// A time by the clock on the wall, somewhere between the two hours.
    pub(super) fn between(&mut self, from: f64, to: f64) -> Timestamp {
        let hour = self.dice.random_range(from..to);
        self.midnight + SignedDuration::from_millis((hour * 3_600_000.0) as i64)
    }

    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.dice.random_bool(p)
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.random_range(0..of.len())]
    }

    /// The laptop's session of the day: signed in anew each morning.
    pub(super) fn laptop_session(&self) -> SessionId {
        self.person.session("laptop", self.day)
    }

    /// The phone's session: it lasts until the phone is replaced.
    pub(super) fn phone_session(&self) -> SessionId {
        let replaced = self.life.new_phone.is_some_and(|new| self.day >= new);
        self.person.session("phone", u32::from(replaced))
    }

    /// Somebody types their password and confirms on the phone.
    pub(super) fn interactive(
        &self,
        at: Timestamp,
        spot: Spot,
        machine: &Machine,
        session: &SessionId,
        app: App,
    ) -> SignIn {
        let mut event = sign_in(&self.person, at, spot, machine, session, app);
        event.steps = vec![
            step("Password", true, "Correct password"),
            step("Mobile app notification", true, COMPLETED),
        ];
        event
    }

    /// A token is renewed and nobody is present.
    pub(super) fn renewal(
        &self,
        at: Timestamp,
        spot: Spot,
        machine: &Machine,
        session: &SessionId,
        app: App,
    ) -> SignIn {
        let mut event = self.interactive(at, spot, machine, session, app);
        event.interactive = false;
        event.client_app = ClientApp::Modern;
        event.incoming_token = IncomingToken::RefreshToken;
        by_claim(&mut event);
        event
    }

    /// A browser shows its cookie.
    pub(super) fn by_cookie(
        &self,
        at: Timestamp,
        spot: Spot,
        machine: &Machine,
        session: &SessionId,
        app: App,
    ) -> SignIn {
        let mut event = self.interactive(at, spot, machine, session, app);
        by_claim(&mut event);
        event
    }

    /// Writes a sign-in down, unless its owner sat in an aeroplane.
    pub(super) fn tell(&mut self, habit: &'static str, event: SignIn) {
        if self.life.city_at(event.at).is_some() {
            self.tell_event(habit, Event::SignIn(Box::new(event)));
        }
    }

    pub(super) fn tell_event(&mut self, habit: &'static str, event: Event) {
        let delay = transport(&mut self.dice);
        self.tell_late(habit, event, delay);
    }

    pub(super) fn tell_late(&mut self, habit: &'static str, event: Event, delay: SignedDuration) {
        self.deliveries.push(Delivery {
            arrives: event.at() + delay,
            event,
            label: Label::Benign(habit),
        });
    }

    /// The user changes something of their own account.
    /// What people let applications do: most of it is their calendar. Mail is
    /// rare, since Entra lets no user give it away unless told otherwise.
    fn permissions(&mut self) -> Box<str> {
        if self.chance(0.01) {
            "Scope: User.Read Mail.Read offline_access".into()
        } else {
            "Scope: User.Read Calendars.ReadWrite offline_access".into()
        }
    }

    pub(super) fn change(
        &mut self,
        habit: &'static str,
        at: Timestamp,
        kind: AuditKind,
        activity: &str,
        from: Spot,
        target: Option<(&str, &str)>,
    ) {
        let key = format!("{} {activity} {at}", self.person.number);
        let user = Target {
            kind: Some("User".into()),
            id: Some(self.person.user.id.as_str().into()),
            name: None,
            principal_name: Some(self.person.user.principal_name.clone()),
        };
        let other = target.map(|(kind, name)| Target {
            kind: Some(kind.into()),
            id: Some(uuid_of(name)),
            name: Some(name.into()),
            principal_name: None,
        });
        let audit = DirectoryAudit {
            record: RecordId::new(uuid_of(&format!("audit {key}"))),
            at,
            kind,
            activity: activity.into(),
            succeeded: true,
            user: self.person.user.clone(),
            initiator: Initiator::User(self.person.user.clone()),
            // The audit log knows an address and no place.
            network: Network {
                address: Some(from.address),
                ..Network::default()
            },
            user_agent: None,
            targets: other.into_iter().chain([user]).collect(),
            correlation: Some(uuid_of(&format!("operation {key}"))),
            permissions: (kind == AuditKind::ConsentGranted).then(|| self.permissions()),
        };
        self.tell_event(habit, Event::DirectoryAudit(Box::new(audit)));
    }
}

fn by_claim(event: &mut SignIn) {
    event.mfa_by_claim = true;
    event.additional_details = Some(BY_CLAIM.into());
    event.steps = vec![step("Previously satisfied", true, BY_CLAIM)];
}

/// Only a password, of an account that no policy asks for more.
pub(super) fn single_factor(event: &mut SignIn) {
    event.requirement = Requirement::SingleFactor;
    event.conditional_access = ConditionalAccess::NotApplied;
    event.mfa_by_claim = false;
    event.additional_details = None;
    event.steps = vec![step("Password", true, "Correct password")];
}
