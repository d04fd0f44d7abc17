//! The shapes of `properties`, private to the decoder.
//!
//! Every field is optional and lenient about what real tenants send (numbers
//! as text, text as numbers, nulls); what is not read here is skipped. A field
//! that a record can do without is a [`Word`] or a [`Raw`], which never fail.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::loose::{Raw, Word};

/// `properties` of sign-ins, risk events and risky users together.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Properties<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) created_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) activity_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) detected_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) last_updated_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_last_updated_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_principal_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_type: Option<Text<'a>>,
    pub(super) is_guest: Option<Flag>,
    #[serde(borrow)]
    pub(super) app_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) app_display_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) resource_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) resource_display_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) ip_address: Option<Text<'a>>,
    pub(super) autonomous_system_number: Option<Number>,
    #[serde(borrow)]
    pub(super) location: Option<Location<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Status<'a>>,
    #[serde(borrow)]
    pub(super) user_agent: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) device_detail: Option<DeviceDetail<'a>>,
    #[serde(borrow)]
    pub(super) session_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) correlation_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) request_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_event_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_state: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_level: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) original_request_id: Word<'a>,
    #[serde(borrow)]
    pub(super) home_tenant_id: Word<'a>,
    #[serde(borrow)]
    pub(super) resource_tenant_id: Word<'a>,
    #[serde(borrow)]
    pub(super) client_app_used: Word<'a>,
    #[serde(borrow)]
    pub(super) incoming_token_type: Word<'a>,
    #[serde(borrow)]
    pub(super) authentication_protocol: Word<'a>,
    #[serde(borrow)]
    pub(super) original_transfer_method: Word<'a>,
    #[serde(borrow)]
    pub(super) unique_token_identifier: Word<'a>,
    #[serde(borrow)]
    pub(super) token_protection_status_details: Raw<'a>,
    #[serde(borrow)]
    pub(super) sign_in_token_protection_status: Word<'a>,
    #[serde(borrow)]
    pub(super) authentication_requirement: Word<'a>,
    #[serde(borrow)]
    pub(super) conditional_access_status: Word<'a>,
    #[serde(borrow)]
    pub(super) authentication_details: Raw<'a>,
    #[serde(borrow)]
    pub(super) network_location_details: Raw<'a>,
    #[serde(borrow)]
    pub(super) is_through_global_secure_access: Word<'a>,
    #[serde(borrow)]
    pub(super) global_secure_access_ip_address: Word<'a>,
    #[serde(borrow, rename = "riskEventTypes_v2")]
    pub(super) risk_event_types_v2: Raw<'a>,
    #[serde(borrow)]
    pub(super) risk_level_during_sign_in: Word<'a>,
    #[serde(borrow)]
    pub(super) risk_level_aggregated: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Status<'a> {
    pub(super) error_code: Option<Number>,
    #[serde(borrow)]
    pub(super) additional_details: Word<'a>,
}

/// An element of `authenticationDetails`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Step<'a> {
    #[serde(borrow)]
    pub(super) authentication_method: Word<'a>,
    #[serde(borrow)]
    pub(super) succeeded: Word<'a>,
    #[serde(borrow)]
    pub(super) authentication_step_result_detail: Word<'a>,
}

/// An element of `networkLocationDetails`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct NetworkLocation<'a> {
    #[serde(borrow)]
    pub(super) network_type: Word<'a>,
}

/// `tokenProtectionStatusDetails`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct ProtectionStatus<'a> {
    #[serde(borrow)]
    pub(super) sign_in_session_status: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Location<'a> {
    #[serde(borrow)]
    pub(super) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country_or_region: Option<Text<'a>>,
    pub(super) geo_coordinates: Option<GeoCoordinates>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub(super) struct GeoCoordinates {
    pub(super) latitude: Option<Number>,
    pub(super) longitude: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct DeviceDetail<'a> {
    #[serde(borrow)]
    pub(super) device_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) operating_system: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) browser: Option<Text<'a>>,
    pub(super) is_compliant: Option<Flag>,
    pub(super) is_managed: Option<Flag>,
}

/// `properties` of `AuditLogs`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Audit<'a> {
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) activity_date_time: Word<'a>,
    #[serde(borrow)]
    pub(super) activity_display_name: Word<'a>,
    #[serde(borrow)]
    pub(super) operation_name: Word<'a>,
    #[serde(borrow)]
    pub(super) result: Word<'a>,
    #[serde(borrow)]
    pub(super) correlation_id: Word<'a>,
    #[serde(borrow)]
    pub(super) user_agent: Word<'a>,
    #[serde(borrow)]
    pub(super) initiated_by: Raw<'a>,
    #[serde(borrow)]
    pub(super) target_resources: Raw<'a>,
    #[serde(borrow)]
    pub(super) additional_details: Raw<'a>,
}

/// `initiatedBy`: one of both is null.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct InitiatedBy<'a> {
    #[serde(borrow)]
    pub(super) user: Raw<'a>,
    #[serde(borrow)]
    pub(super) app: Raw<'a>,
}

/// `initiatedBy.user`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Actor<'a> {
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) user_principal_name: Word<'a>,
    #[serde(borrow)]
    pub(super) ip_address: Word<'a>,
}

/// `initiatedBy.app`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct ActorApp<'a> {
    #[serde(borrow)]
    pub(super) app_id: Word<'a>,
    #[serde(borrow)]
    pub(super) display_name: Word<'a>,
}

/// An element of `targetResources`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct TargetResource<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Word<'a>,
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) display_name: Word<'a>,
    #[serde(borrow)]
    pub(super) user_principal_name: Word<'a>,
    #[serde(borrow)]
    pub(super) modified_properties: Raw<'a>,
}

/// An element of `modifiedProperties`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct ModifiedProperty<'a> {
    #[serde(borrow)]
    pub(super) display_name: Word<'a>,
    #[serde(borrow)]
    pub(super) new_value: Word<'a>,
}

/// An element of `additionalDetails`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct KeyValue<'a> {
    #[serde(borrow)]
    pub(super) key: Word<'a>,
    #[serde(borrow)]
    pub(super) value: Word<'a>,
}

/// `properties` of `MicrosoftGraphActivityLogs`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct GraphCall<'a> {
    #[serde(borrow)]
    pub(super) request_id: Word<'a>,
    #[serde(borrow)]
    pub(super) time_generated: Word<'a>,
    #[serde(borrow)]
    pub(super) user_id: Word<'a>,
    #[serde(borrow)]
    pub(super) session_id: Word<'a>,
    #[serde(borrow, rename = "C_Sid")]
    pub(super) claimed_session_id: Word<'a>,
    #[serde(borrow)]
    pub(super) sign_in_activity_id: Word<'a>,
    #[serde(borrow)]
    pub(super) app_id: Word<'a>,
    #[serde(borrow)]
    pub(super) ip_address: Word<'a>,
    #[serde(borrow)]
    pub(super) user_agent: Word<'a>,
    #[serde(borrow)]
    pub(super) request_method: Word<'a>,
    #[serde(borrow)]
    pub(super) request_uri: Word<'a>,
    #[serde(borrow)]
    pub(super) response_status_code: Word<'a>,
}

/// `properties` of `ServicePrincipalRiskEvents`, `ServicePrincipalSignInLogs`
/// and `ManagedIdentitySignInLogs`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Workload<'a> {
    #[serde(borrow)]
    pub(super) id: Word<'a>,
    #[serde(borrow)]
    pub(super) request_id: Word<'a>,
    #[serde(borrow)]
    pub(super) service_principal_id: Word<'a>,
    #[serde(borrow)]
    pub(super) service_principal_display_name: Word<'a>,
    #[serde(borrow)]
    pub(super) service_principal_name: Word<'a>,
    #[serde(borrow)]
    pub(super) app_id: Word<'a>,
    #[serde(borrow)]
    pub(super) app_display_name: Word<'a>,
    #[serde(borrow)]
    pub(super) created_date_time: Word<'a>,
    #[serde(borrow)]
    pub(super) activity_date_time: Word<'a>,
    #[serde(borrow)]
    pub(super) detected_date_time: Word<'a>,
    #[serde(borrow)]
    pub(super) last_updated_date_time: Word<'a>,
    #[serde(borrow)]
    pub(super) risk_event_type: Word<'a>,
    #[serde(borrow)]
    pub(super) risk_type: Word<'a>,
    #[serde(borrow)]
    pub(super) risk_level: Word<'a>,
    #[serde(borrow)]
    pub(super) risk_state: Word<'a>,
    #[serde(borrow)]
    pub(super) ip_address: Word<'a>,
    #[serde(borrow)]
    pub(super) location: Raw<'a>,
}

/// Text, borrowed where it holds no escape; a number or a flag counts as its
/// text (`"Level": 4` and `"4"`). `Option<Cow<str>>` would not borrow.
#[derive(Debug)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(if flag { "true" } else { "false" })))
            }
        }

        deserializer.deserialize_any(AnyText)
    }
}

/// A number, or text that is one; other text is no number, and no error: a
/// sign-in without a readable latitude is still a sign-in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl Visitor<'_> for AnyNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.trim().parse().ok()))
            }
        }

        deserializer.deserialize_any(AnyNumber)
    }
}

/// `true`, `"true"`, `"True"`; other text is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyFlag;

        impl Visitor<'_> for AnyFlag {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(Some(flag)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Flag, E> {
                Ok(Flag(match text {
                    _ if text.eq_ignore_ascii_case("true") => Some(true),
                    _ if text.eq_ignore_ascii_case("false") => Some(false),
                    _ => None,
                }))
            }
        }

        deserializer.deserialize_any(AnyFlag)
    }
}
