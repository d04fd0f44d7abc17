//! Benign habits: what ordinary people and machines of Contoso do all month.
//!
//! Invariant: a habit is written as people live it and knows nothing of the
//! detectors; where it looks like theft, that is what is to be measured. It
//! follows from the seed, the person and the day alone.

mod diary;
mod life;
mod machines;
mod mishaps;
mod noise;
mod work;

pub(super) use self::life::{Calendar, Life, Role};

use self::diary::Diary;
use super::people::Delivery;
use super::world::World;

/// Every label a benign event can have, but for [`REDELIVERED`].
pub(super) const HABITS: [&str; 40] = [
    "office_day",
    "corporate_egress",
    "home_day",
    "split_vpn",
    "dual_stack",
    "commercial_vpn",
    "phone",
    "phone_roaming",
    "private_relay",
    "weekend",
    "travel_airport",
    "travel_hotel",
    "travel_full_tunnel",
    "travel_phone",
    "cloud_desktop",
    "cloud_desktop_rollout",
    "conference",
    "new_phone",
    "new_laptop",
    "browser_upgrade",
    "onboarding",
    "private_machine",
    "blocked_at_home",
    "interrupt",
    "mistyped_password",
    "mfa_misclick",
    "consent",
    "azure_cli",
    "device_code_cli",
    "vs_code_remote",
    "python_script",
    "microsoft_egress",
    "identity_protection",
    "offline_risk",
    "guest",
    "shared_mailbox",
    "meeting_room",
    "kiosk",
    "service_account",
    "scanner",
];
/// A record that is delivered again.
pub(super) const REDELIVERED: &str = "redelivered";
/// The tester, who is reported apart.
pub(super) const RED_TEAM: &str = "red_team";

/// Writes down one day of one account, in no order.
pub(super) fn day(world: &World, calendar: &Calendar, life: &Life, day: u32) -> Vec<Delivery> {
    if day < life.joins {
        return Vec::new();
    }
    let mut diary = Diary::open(world, calendar, life, day);
    match life.role {
        Role::Employee => work::employee(&mut diary),
        Role::Guest => work::guest(&mut diary),
        Role::SharedMailbox => machines::shared_mailbox(&mut diary),
        Role::MeetingRoom => machines::meeting_room(&mut diary),
        Role::Kiosk => machines::kiosk(&mut diary),
        Role::ServiceAccount => machines::service_account(&mut diary),
        Role::Scanner => machines::scanner(&mut diary),
        Role::RedTeam => work::red_team(&mut diary),
    }
    let mut deliveries = diary.deliveries;
    if let Some(attacked) = life.attacked {
        deliveries.retain(|delivery| delivery.event.at() < attacked);
    }
    deliveries
}
