//! How the user proved who they are: a second factor taken from the token
//! (#10), worn down (#35) or not asked of a device that should have shown a
//! token (#8); credentials that were right and did not get in (insight 5); and
//! a user agent that is not the device's (#37).

use super::{Ground, Seen, catalogue, client, raise};
use crate::model::{
    Attempt, ConditionalAccess, IncomingToken, NetworkClass, Parameter, Signal, Traits, hash_of,
};

/// Outcomes whose place in a sequence matters: strong authentication is asked
/// for, "keep me signed in?", the device is not compliant, blocked by
/// Conditional Access, "is it wanted?", the second factor denied.
const SEQUENCED: [i64; 6] = [50074, 50140, 53000, 53003, 50199, 500_121];
/// The second factor was denied, or not given in time.
const DENIED: i64 = 500_121;
/// Blocked by Conditional Access after the credentials were right: the device
/// is not compliant, not joined, the application not approved, blocked
/// (signals.md, insight 5).
const BLOCKED_AFTER_CREDENTIALS: [i64; 4] = [53000, 53001, 53002, 53003];

/// What is kept of a sign-in whose place in a sequence matters.
pub(super) fn attempt(seen: &Seen<'_>) -> Option<Attempt> {
    let sign_in = seen.sign_in;
    let success = sign_in.succeeded() && sign_in.interactive;
    if !success && !SEQUENCED.contains(&sign_in.error_code) && sign_in.mfa_denials == 0 {
        return None;
    }
    Some(Attempt {
        at: sign_in.at,
        code: if sign_in.mfa_denials > 0 && !success {
            DENIED
        } else {
            sign_in.error_code
        },
        correlation: sign_in.correlation.as_deref().map(hash_of),
        record: sign_in.record.clone(),
        sighting: seen.sighting(),
    })
}

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    fatigue(seen, ground, signals);
    if !seen.sign_in.succeeded() {
        return credentials_stolen(seen, ground, signals);
    }
    by_claim(seen, ground, signals);
    without_prt(seen, ground, signals);
    if let Some((device, agent)) = client::two_systems(seen.sign_in, seen.agent) {
        let what = format!(
            "the device runs {}, the user agent says {}",
            device.as_str(),
            agent.as_str()
        );
        signals.push(seen.method(&catalogue::SYSTEM_MISMATCH, &what));
    }
}

/// #10.
fn by_claim(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if seen.sign_in.mfa_by_claim
        && seen.device.is_none()
        && !seen.is_service()
        && !seen.traits.has(Traits::DEVICE_CODE)
        && !seen.traits.has(Traits::CLI)
        && ground.is_new_network(&seen.sighting())
    {
        let what = "the second factor was satisfied by a claim in the token";
        signals.push(seen.method(&catalogue::MFA_BY_CLAIM, what));
    }
}

/// #8: everything a stolen device key gives, and no primary refresh token.
fn without_prt(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let sign_in = seen.sign_in;
    let bound = seen.traits.has(Traits::BOUND) && seen.traits.has(Traits::MANAGED);
    let nothing_shown = sign_in.incoming_token == IncomingToken::None;
    if !bound || !nothing_shown || sign_in.conditional_access != ConditionalAccess::Success {
        return;
    }
    let Some(session) = sign_in.session.as_ref() else {
        return;
    };
    let seen_before = ground.memory.session(session);
    let used_prt = seen_before.is_some_and(|session| session.traits.has(Traits::PRT));
    if !used_prt && ground.is_new_network(&seen.sighting()) {
        let what = "bound and compliant, with no token shown and no primary refresh token before";
        signals.push(seen.method(&catalogue::NO_PRT, what));
    }
}

/// #35: denials and then a success, whichever record comes first.
fn fatigue(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let part = |attempt: &&Attempt| attempt.code == 0 || attempt.code == DENIED;
    let Some(this) = seen.attempt.as_ref().filter(part) else {
        return;
    };
    let denied = |attempt: &Attempt| attempt.code == DENIED;
    if !denied(this) && !ground.memory.attempts.iter().any(denied) {
        return;
    }
    let window = ground.get(Parameter::FatigueWindow);
    let attempts = || ground.memory.sequence().chain([this]);
    for success in attempts().filter(|attempt| attempt.code == 0) {
        let before = |attempt: &&Attempt| {
            let apart = success.at.duration_since(attempt.at).as_secs();
            attempt.code == DENIED
                && attempt.record != success.record
                && (0..=window).contains(&apart)
        };
        let mut denials: Vec<&str> = attempts()
            .filter(before)
            .map(|a| a.record.as_str())
            .collect();
        denials.sort_unstable();
        denials.dedup();
        let count = i64::try_from(denials.len()).unwrap_or(i64::MAX);
        // Only sequences that this record is part of: the others were judged.
        let ours = success.record == this.record || denials.contains(&this.record.as_str());
        if !ours || count < ground.get(Parameter::FatigueDenials) {
            continue;
        }
        let what = format!("the second factor was denied {count} times, then granted");
        raise(signals, catalogue::MFA_FATIGUE.of_login(success, &what));
    }
}

/// Insight 5: whoever it was knows the password, and nothing is to be revoked.
fn credentials_stolen(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if !BLOCKED_AFTER_CREDENTIALS.contains(&seen.sign_in.error_code)
        || ground.is_managed_device_known(seen)
    {
        return;
    }
    let sighting = seen.sighting();
    let at = seen.sign_in.at;
    let rented = matches!(seen.class, NetworkClass::Hosting | NetworkClass::Tor);
    let abroad = seen.network.place.country.is_some_and(|country| {
        seen.class == NetworkClass::Ordinary && ground.is_new_country(country, at)
    });
    let new = ground.is_new_network(&sighting) || seen.class == NetworkClass::Tor;
    if new && (rented || abroad) {
        let what = format!(
            "right credentials, stopped by Conditional Access ({})",
            seen.sign_in.error_code
        );
        signals.push(seen.method(&catalogue::CREDENTIALS_STOLEN, &what));
    }
}
