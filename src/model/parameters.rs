//! The detectors' parameters: one table of names, units, bounds, defaults and
//! their sources, from which the YAML is read and the documents are checked.
//!
//! Invariant: a value is always within its bounds; what is not set is the
//! default, which cites where it comes from.

/// What a parameter is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, written as a duration: `15m`, `24h`.
    Seconds,
    /// Whole days, written `14d`.
    Days,
    /// Kilometres, written `500 km`.
    Kilometres,
    /// Kilometres an hour, written `900 km/h`.
    KilometresPerHour,
    /// A plain number.
    Count,
    /// Percent, written `50%`.
    Percent,
}

/// What is known of a parameter before it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The group it stands in: a signal's name, or `learning`.
    pub group: &'static str,
    /// Its key in the group.
    pub name: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// Used where nothing is set.
    pub default: i64,
    /// The least it may be.
    pub min: i64,
    /// The most it may be.
    pub max: i64,
    /// Where the default comes from.
    pub source: &'static str,
    /// One line for the policy author.
    pub summary: &'static str,
}

macro_rules! parameters {
    ($($variant:ident = $group:literal . $name:literal, $unit:ident,
       $default:literal in $min:literal ..= $max:literal, $source:literal, $summary:literal;)+) => {
        /// A parameter by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Parameter {
            $( #[doc = $summary] $variant, )+
        }

        impl Parameter {
            /// All of them, by group.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// What is known of it.
            pub const fn spec(self) -> ParameterSpec {
                match self {
                    $( Self::$variant => ParameterSpec {
                        group: $group,
                        name: $name,
                        unit: Unit::$unit,
                        default: $default,
                        min: $min,
                        max: $max,
                        source: $source,
                        summary: $summary,
                    }, )+
                }
            }
        }
    };
}

parameters! {
    LearningPeriod = "learning"."period", Days, 14 in 1..=60,
        "signals.md #30 (learned 14 d)",
        "How long ago the first sign-in must be for a rare user to be known";
    LearningActiveDays = "learning"."active_days", Count, 5 in 1..=60,
        "own: a working week (signals.md #30 counts 10 logins, which a phone makes in an hour)",
        "On how many days a user must have signed in to be known sooner";
    LearningExpiry = "learning"."expiry", Days, 60 in 1..=63,
        "own: two months, as long as a set of days reaches",
        "After how many days without use a habit is forgotten";
    LearningTenantUsers = "learning"."tenant_users", Count, 5 in 2..=8,
        "own: more than one household",
        "How many users make a country or a network common in the tenant";
    TravelDistance = "impossible_travel"."distance", Kilometres, 500 in 50..=20000,
        "signals.md #29",
        "Nearer than this is a commute or a wrong database";
    TravelSpeed = "impossible_travel"."speed", KilometresPerHour, 900 in 100..=100000,
        "signals.md #29: faster than an airliner",
        "Faster than this is impossible";
    TravelWindow = "impossible_travel"."window", Seconds, 86400 in 60..=259200,
        "signals.md #29 (24 h)",
        "How far apart two sign-ins may be to be compared";
    TravelCityError = "impossible_travel"."city_error", Kilometres, 50 in 0..=1000,
        "signals.md, \"Impossible travel, done well\"",
        "How wrong a city's coordinates may be";
    TravelMobileError = "impossible_travel"."mobile_error", Kilometres, 250 in 0..=2000,
        "signals.md, \"Impossible travel, done well\"",
        "How wrong the place of a phone may be: its carrier's gateway";
    SessionWindow = "session_two_asns"."window", Seconds, 86400 in 60..=259200,
        "signals.md #1-#3 (24 h)",
        "How far apart two uses of a session may be to be compared";
    CountriesWindow = "session_two_countries"."window", Seconds, 3600 in 60..=86400,
        "signals.md #4 (60 min)",
        "How far apart two countries of one session may be";
    BirthWindow = "birth_elsewhere"."window", Seconds, 3600 in 60..=86400,
        "signals.md #15 (60 min)",
        "How near the user's own session must have been active";
    InterruptsWindow = "login_relayed"."window", Seconds, 900 in 60..=86400,
        "signals.md #14 (15 min)",
        "How long one login may take with its interrupts";
    CodeWindow = "code_confirmed"."window", Seconds, 960 in 60..=86400,
        "signals.md #25 (16 min)",
        "How long a confirmed code may take to be redeemed";
    RedemptionMin = "cli_redeemed_elsewhere"."from", Seconds, 5 in 0..=3600,
        "signals.md #27 (5-720 s)",
        "The least time to a second redemption";
    RedemptionMax = "cli_redeemed_elsewhere"."to", Seconds, 720 in 10..=86400,
        "signals.md #27 (5-720 s)",
        "The most time to a second redemption";
    FatigueDenials = "mfa_fatigue"."denials", Count, 2 in 1..=20,
        "signals.md #35",
        "How many denials before a success";
    FatigueWindow = "mfa_fatigue"."window", Seconds, 600 in 60..=86400,
        "signals.md #35 (10 min)",
        "How far the denials may reach before the success";
    SprayUsers = "password_spray_success"."users", Count, 30 in 5..=60,
        "signals.md #34 (more than 30)",
        "More failing users than this from one address are a spray";
    SprayWindow = "password_spray_success"."window", Seconds, 300 in 60..=86400,
        "signals.md #34 (5 min)",
        "Within which the users fail";
    SprayReach = "password_spray_success"."reach", Seconds, 86400 in 60..=259200,
        "own: a day, as for #33",
        "How long after a spray a success from its address counts";
    SpraySlowUsers = "password_spray_success"."slow_users", Count, 10 in 5..=60,
        "own: a third of a fast spray, and hardly anybody gets in",
        "So many users failing within the reach, with few who get in, are a slow spray";
    ProbeRatio = "address_probes_disabled"."ratio", Percent, 50 in 1..=100,
        "signals.md #33 (ratio 0.5)",
        "The least share of disabled accounts among those tried";
    ProbeGoodUsers = "address_probes_disabled"."good_users", Count, 50 in 1..=60,
        "signals.md #33 (fewer than 50)",
        "As many good users from the address make it a shared network";
    ProbeWindow = "address_probes_disabled"."window", Seconds, 86400 in 60..=259200,
        "signals.md #33 (24 h)",
        "How far back the address is judged";
    SecurityInfoBefore = "security_info_changed"."before", Seconds, 1800 in 0..=86400,
        "signals.md #16 (-30 min)",
        "How long before the sign-in a change counts";
    SecurityInfoAfter = "security_info_changed"."after", Seconds, 3600 in 60..=86400,
        "signals.md #16 (+60 min)",
        "How long after the sign-in a change counts";
    DeviceAfterRisk = "device_after_risk"."window", Seconds, 300 in 60..=86400,
        "signals.md #17 (5 min)",
        "How soon after a risk a device is registered";
    DeviceByCode = "prt_by_device_code"."window", Seconds, 180 in 60..=86400,
        "signals.md #19 (3 min)",
        "How far apart the registration and the primary refresh token may be";
    DeviceAfterCode = "device_after_code"."window", Seconds, 3600 in 60..=86400,
        "own: the hour a device code session is fresh (signals.md #26)",
        "How soon after a device code a device is registered";
    RiskTypesWindow = "risk_types_agree"."window", Seconds, 600 in 60..=86400,
        "signals.md #39 (10 min)",
        "How far apart two types of risk may be";
    EvasionGrace = "containment_evaded"."grace", Seconds, 300 in 0..=3600,
        "Graph, revokeSignInSessions: a small delay of a few minutes",
        "How long after Graph's acknowledgement a success is still the old token's";
}

/// How many parameters there are.
const COUNT: usize = Parameter::ALL.len();

/// The values that serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    values: [i64; COUNT],
}

impl Default for Parameters {
    fn default() -> Self {
        let mut values = [0; COUNT];
        for parameter in Parameter::ALL {
            values[*parameter as usize] = parameter.spec().default;
        }
        Self { values }
    }
}

impl Parameters {
    /// The value, in the parameter's unit.
    pub fn get(&self, parameter: Parameter) -> i64 {
        self.values[parameter as usize]
    }

    /// Sets a value; one out of bounds is brought within them.
    pub fn set(&mut self, parameter: Parameter, value: i64) {
        let spec = parameter.spec();
        self.values[parameter as usize] = value.clamp(spec.min, spec.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_within_their_bounds_and_cited() {
        for (i, parameter) in Parameter::ALL.iter().enumerate() {
            let spec = parameter.spec();
            assert!((spec.min..=spec.max).contains(&spec.default), "{spec:?}");
            assert!(
                !spec.source.is_empty() && !spec.summary.is_empty(),
                "{spec:?}"
            );
            assert!(
                Parameter::ALL[i + 1..].iter().all(|other| {
                    (other.spec().group, other.spec().name) != (spec.group, spec.name)
                }),
                "{spec:?}"
            );
            assert_eq!(Parameters::default().get(*parameter), spec.default);
        }
    }

    #[test]
    fn a_value_stays_within_its_bounds() {
        let mut parameters = Parameters::default();
        parameters.set(Parameter::SprayUsers, 1_000);
        assert_eq!(parameters.get(Parameter::SprayUsers), 60);
        parameters.set(Parameter::SprayUsers, 10);
        assert_eq!(parameters.get(Parameter::SprayUsers), 10);
    }
}
