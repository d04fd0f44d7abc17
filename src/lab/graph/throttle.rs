//! How much Graph lets through: the documented windows, really enforced.
//!
//! Invariant: pure; the caller brings the time, which must not run backwards.
//! A request that is turned away still counts, as Graph documents, so a client
//! that hammers stays out. Windows roll: a cost leaves one window after it came.
//!
//! Kept: per app and tenant, and per tenant. The limits per app over all its
//! tenants (150,000 resource units per 20 s, 130,000 requests per 10 s) cannot
//! be reached in one tenant before the others bind, so they are left out.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Costs are kept in this many slices per window, so memory is bounded
/// whatever the load; a cost may leave up to one slice late.
const SLICES_PER_WINDOW: i64 = 1000;

/// From this share of a limit on, answers carry `x-ms-throttle-limit-percentage`.
const PRESSURE_SHOWN_FROM: f64 = 0.8;

/// The largest value Graph sends in `x-ms-throttle-limit-percentage`.
const PRESSURE_MAX: f64 = 1.8;

/// The size class of a tenant, which sets its resource units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantSize {
    /// Fewer than 50 users.
    Small,
    /// 50 to 500 users.
    Medium,
    /// More than 500 users.
    Large,
}

/// So much within any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The most that is let through, in the quota's own unit.
    pub limit: u32,
    /// How long a cost counts.
    pub window: SignedDuration,
}

impl Quota {
    /// `limit` in any `seconds`.
    pub const fn per_seconds(limit: u32, seconds: i64) -> Self {
        Self {
            limit,
            window: SignedDuration::from_secs(seconds),
        }
    }
}

/// The quotas of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Identity and access: resource units, per app and tenant.
    pub resource_units: Quota,
    /// Identity and access: writes, per app and tenant.
    pub app_writes: Quota,
    /// Identity and access: writes, per tenant, all apps together.
    pub tenant_writes: Quota,
    /// Identity protection: requests, per tenant, all apps together.
    pub protection: Quota,
}

impl Quotas {
    /// Microsoft's published numbers ("Microsoft Graph service-specific
    /// throttling limits").
    pub const fn documented(size: TenantSize) -> Self {
        let resource_units = match size {
            TenantSize::Small => 3_500,
            TenantSize::Medium => 5_000,
            TenantSize::Large => 8_000,
        };
        Self {
            resource_units: Quota::per_seconds(resource_units, 10),
            app_writes: Quota::per_seconds(3_000, 150),
            tenant_writes: Quota::per_seconds(18_000, 300),
            protection: Quota::per_seconds(1, 1),
        }
    }

    /// The same quotas in a time that runs `factor` times as fast: windows,
    /// and so the waits asked for, are that much shorter.
    #[must_use]
    pub fn time_scale(mut self, factor: f64) -> Self {
        for quota in [
            &mut self.resource_units,
            &mut self.app_writes,
            &mut self.tenant_writes,
            &mut self.protection,
        ] {
            let scaled = quota.window.as_secs_f64() / factor;
            quota.window = SignedDuration::try_from_secs_f64(scaled).unwrap_or(quota.window);
        }
        self
    }
}

/// Which quotas a request is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Users and groups.
    Directory {
        /// Resource units it costs.
        resource_units: u32,
        /// Whether it also costs one write.
        write: bool,
    },
    /// Risky users.
    Protection,
}

/// What became of a request at the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Admitted {
        /// Resource units charged; `None` outside the directory's lane.
        resource_units: Option<u32>,
        /// The fullest quota's share, where Graph would say it.
        pressure: Option<f64>,
    },
    Refused(Refused),
}

/// A 429: which limit, and how long until it would let the request through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Refused {
    Directory {
        /// The scope and limit part of `x-ms-throttle-scope`.
        scope: &'static str,
        /// `x-ms-throttle-information`.
        information: &'static str,
        retry_after: SignedDuration,
    },
    /// Identity protection says nothing of why or how long.
    Protection,
}

/// The windows of one tenant.
#[derive(Debug)]
pub(super) struct Throttle {
    quotas: Quotas,
    apps: HashMap<Uuid, AppWindows>,
    tenant_writes: Window,
    protection: Window,
}

#[derive(Debug)]
struct AppWindows {
    resource_units: Window,
    writes: Window,
}

impl Throttle {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            apps: HashMap::new(),
            tenant_writes: Window::new(quotas.tenant_writes),
            protection: Window::new(quotas.protection),
        }
    }

    /// Charges a request of `app` and says whether it gets through. Apps are
    /// as many as Entra has registered, which bounds the map.
    pub(super) fn charge(&mut self, app: Uuid, lane: Lane, now: Timestamp) -> Verdict {
        let (resource_units, write) = match lane {
            Lane::Protection => return self.charge_protection(now),
            Lane::Directory {
                resource_units,
                write,
            } => (resource_units, write),
        };
        let windows = self.apps.entry(app).or_insert_with(|| AppWindows {
            resource_units: Window::new(self.quotas.resource_units),
            writes: Window::new(self.quotas.app_writes),
        });
        let mut refused: Option<Refused> = None;
        let mut pressure: f64 = 0.0;
        let mut weigh = |window: &mut Window, cost, scope, information| {
            let wait = window.charge(cost, now);
            pressure = pressure.max(window.pressure());
            // The longest wait wins: after it, every limit lets the request by.
            if let Some(retry_after) = wait
                && refused.is_none_or(|so_far| so_far.retry_after() < Some(retry_after))
            {
                refused = Some(Refused::Directory {
                    scope,
                    information,
                    retry_after,
                });
            }
        };
        weigh(
            &mut windows.resource_units,
            resource_units,
            "Tenant_Application/ReadWrite",
            "ResourceUnitLimitExceeded",
        );
        if write {
            weigh(
                &mut windows.writes,
                1,
                "Tenant_Application/Write",
                "WriteLimitExceeded",
            );
            weigh(
                &mut self.tenant_writes,
                1,
                "Tenant/Write",
                "WriteLimitExceeded",
            );
        }
        match refused {
            Some(refused) => Verdict::Refused(refused),
            None => Verdict::Admitted {
                resource_units: Some(resource_units),
                pressure: (pressure > PRESSURE_SHOWN_FROM).then_some(pressure.min(PRESSURE_MAX)),
            },
        }
    }

    fn charge_protection(&mut self, now: Timestamp) -> Verdict {
        match self.protection.charge(1, now) {
            Some(_) => Verdict::Refused(Refused::Protection),
            None => Verdict::Admitted {
                resource_units: None,
                pressure: None,
            },
        }
    }

    /// Another app of the tenant spends `writes` and `protection` requests of
    /// what all apps share.
    pub(super) fn spend_elsewhere(&mut self, writes: u32, protection: u32, now: Timestamp) {
        self.tenant_writes.charge(writes, now);
        self.protection.charge(protection, now);
    }
}

impl Refused {
    fn retry_after(self) -> Option<SignedDuration> {
        match self {
            Self::Directory { retry_after, .. } => Some(retry_after),
            Self::Protection => None,
        }
    }
}

/// A rolling window: the costs of the last `quota.window`, in slices.
#[derive(Debug)]
struct Window {
    quota: Quota,
    slice: SignedDuration,
    /// Oldest first; a slice's time is that of the last cost in it.
    slices: VecDeque<Slice>,
    used: u64,
}

#[derive(Debug)]
struct Slice {
    opened: Timestamp,
    latest: Timestamp,
    cost: u64,
}

impl Window {
    fn new(quota: Quota) -> Self {
        let nanos = quota.window.as_nanos() / i128::from(SLICES_PER_WINDOW);
        Self {
            quota,
            slice: SignedDuration::from_nanos_i128(nanos),
            slices: VecDeque::new(),
            used: 0,
        }
    }

    /// Adds `cost` and returns how long to wait for room for the same cost
    /// again, or `None` when there was room.
    fn charge(&mut self, cost: u32, now: Timestamp) -> Option<SignedDuration> {
        if cost == 0 {
            return None;
        }
        self.expire(now);
        self.used += u64::from(cost);
        match self.slices.back_mut() {
            Some(last) if now.duration_since(last.opened) < self.slice => {
                last.latest = now;
                last.cost += u64::from(cost);
            }
            _ => self.slices.push_back(Slice {
                opened: now,
                latest: now,
                cost: u64::from(cost),
            }),
        }
        (self.used > u64::from(self.quota.limit)).then(|| self.wait(cost, now))
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(first) = self.slices.front() {
            if now.duration_since(first.latest) < self.quota.window {
                break;
            }
            self.used -= first.cost;
            self.slices.pop_front();
        }
    }

    /// Until when enough has left that `cost` fits, if nothing more comes.
    fn wait(&self, cost: u32, now: Timestamp) -> SignedDuration {
        let room = u64::from(self.quota.limit).saturating_sub(u64::from(cost));
        let mut left = self.used;
        for slice in &self.slices {
            left -= slice.cost;
            if left <= room {
                return self.quota.window - now.duration_since(slice.latest);
            }
        }
        self.quota.window
    }

    #[expect(clippy::cast_precision_loss, reason = "a share shown to two digits")]
    fn pressure(&self) -> f64 {
        self.used as f64 / f64::from(self.quota.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Lane = Lane::Directory {
        resource_units: 1,
        write: true,
    };
    const READ: Lane = Lane::Directory {
        resource_units: 1,
        write: false,
    };
    const APP: Uuid = Uuid::from_u128(1);
    const OTHER_APP: Uuid = Uuid::from_u128(2);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn large() -> Throttle {
        Throttle::new(Quotas::documented(TenantSize::Large))
    }

    fn is_admitted(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Admitted { .. })
    }

    fn spend(throttle: &mut Throttle, lane: Lane, times: u32, millis: i64) -> u32 {
        let through = |_: &u32| is_admitted(throttle.charge(APP, lane, at(millis)));
        u32::try_from((0..times).filter(through).count()).unwrap()
    }

    #[test]
    fn resource_units_follow_the_size_of_the_tenant() {
        for (size, limit) in [
            (TenantSize::Small, 3_500),
            (TenantSize::Medium, 5_000),
            (TenantSize::Large, 8_000),
        ] {
            let mut throttle = Throttle::new(Quotas::documented(size));
            assert_eq!(spend(&mut throttle, READ, limit + 1, 0), limit, "{size:?}");
        }
    }

    #[test]
    fn a_dear_request_costs_its_resource_units() {
        let mut throttle = large();
        let dear = Lane::Directory {
            resource_units: 8_000,
            write: false,
        };
        assert!(is_admitted(throttle.charge(APP, dear, at(0))));
        assert!(!is_admitted(throttle.charge(APP, READ, at(1))));
    }

    #[test]
    fn writes_are_three_thousand_in_any_150_seconds() {
        let mut throttle = large();
        assert_eq!(spend(&mut throttle, WRITE, 3_000, 0), 3_000);
        let Verdict::Refused(Refused::Directory {
            scope,
            information,
            retry_after,
        }) = throttle.charge(APP, WRITE, at(1_000))
        else {
            panic!("the 3,001st write got through");
        };
        assert_eq!(scope, "Tenant_Application/Write");
        assert_eq!(information, "WriteLimitExceeded");
        assert_eq!(retry_after, SignedDuration::from_secs(149));
        assert_eq!(spend(&mut throttle, WRITE, 1, 149_999), 0);
        assert_eq!(spend(&mut throttle, WRITE, 1, 150_000), 1);
    }

    #[test]
    fn the_wait_asked_for_is_the_wait_that_helps() {
        let mut throttle = large();
        for step in 0..3_000 {
            throttle.charge(APP, WRITE, at(step * 10));
        }
        let Verdict::Refused(refused) = throttle.charge(APP, WRITE, at(30_000)) else {
            panic!("no limit met");
        };
        let wait = i64::try_from(refused.retry_after().unwrap().as_millis()).unwrap();
        assert!(wait > 100_000, "{wait}");
        assert!(is_admitted(throttle.charge(APP, WRITE, at(30_000 + wait))));
    }

    #[test]
    fn a_client_that_hammers_stays_out() {
        let mut throttle = large();
        assert_eq!(spend(&mut throttle, Lane::Protection, 1, 0), 1);
        for tries in 1..=20 {
            assert_eq!(spend(&mut throttle, Lane::Protection, 1, tries * 900), 0);
        }
        assert_eq!(
            spend(&mut throttle, Lane::Protection, 1, 20 * 900 + 1_000),
            1
        );
    }

    #[test]
    fn identity_protection_is_one_a_second_for_all_apps_together() {
        let mut throttle = large();
        assert!(is_admitted(throttle.charge(APP, Lane::Protection, at(0))));
        let refused = throttle.charge(OTHER_APP, Lane::Protection, at(999));
        assert_eq!(refused, Verdict::Refused(Refused::Protection));
        assert!(is_admitted(throttle.charge(
            APP,
            Lane::Protection,
            at(2_000)
        )));
    }

    #[test]
    fn apps_have_their_own_writes_but_share_the_tenants() {
        let mut throttle = large();
        assert_eq!(spend(&mut throttle, WRITE, 3_001, 0), 3_000);
        assert!(is_admitted(throttle.charge(OTHER_APP, WRITE, at(0))));
        throttle.spend_elsewhere(18_000, 0, at(1));
        let Verdict::Refused(Refused::Directory { scope, .. }) =
            throttle.charge(OTHER_APP, WRITE, at(2))
        else {
            panic!("the tenant's writes were not shared");
        };
        assert_eq!(scope, "Tenant/Write");
    }

    #[test]
    fn lanes_do_not_touch_each_other() {
        let mut throttle = large();
        assert_eq!(spend(&mut throttle, WRITE, 3_001, 0), 3_000);
        assert!(is_admitted(throttle.charge(APP, Lane::Protection, at(0))));
        assert!(is_admitted(throttle.charge(APP, READ, at(0))));
    }

    #[test]
    fn pressure_is_told_only_above_four_fifths() {
        let mut throttle = large();
        let mut told = |times| {
            let mut last = None;
            for _ in 0..times {
                if let Verdict::Admitted { pressure, .. } = throttle.charge(APP, WRITE, at(0)) {
                    last = pressure;
                }
            }
            last
        };
        assert_eq!(told(2_400), None);
        assert_eq!(told(300), Some(0.9));
    }

    #[test]
    fn compressed_time_shortens_windows_and_waits() {
        let quotas = Quotas::documented(TenantSize::Large).time_scale(10.0);
        let mut throttle = Throttle::new(quotas);
        assert_eq!(spend(&mut throttle, WRITE, 3_001, 0), 3_000);
        assert_eq!(spend(&mut throttle, WRITE, 1, 15_000), 1);
        assert_eq!(spend(&mut throttle, Lane::Protection, 1, 0), 1);
        assert_eq!(spend(&mut throttle, Lane::Protection, 1, 100), 1);
    }

    #[test]
    fn memory_is_bounded_under_a_flood() {
        let mut window = Window::new(Quota::per_seconds(1, 10));
        for millis in 0..100_000 {
            window.charge(1, at(millis));
        }
        let slices = i64::try_from(window.slices.len()).unwrap();
        assert!(slices <= SLICES_PER_WINDOW + 1, "{slices}");
    }
}
