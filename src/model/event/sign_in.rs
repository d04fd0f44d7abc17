//! A sign-in, field by field.
//!
//! Invariant: what the record does not say is `None`, `Unknown` or empty,
//! never a guess; lists are bounded by [`SignIn::STEPS_MAX`] and
//! [`SignIn::RISK_TYPES_MAX`], texts by the decoder. Each field names the
//! wire's, so that a reader can look it up in a record.

use std::net::IpAddr;

use jiff::Timestamp;

use super::words::{
    ClientApp, ConditionalAccess, IncomingToken, Protocol, Requirement, TokenProtection,
    TransferMethod,
};
use super::{Network, RiskLevel, RiskType, UserRef};
use crate::model::{RecordId, SessionId};

/// One sign-in, interactive or not, successful or not.
#[derive(Debug, Clone, PartialEq)]
pub struct SignIn {
    /// `properties.id`.
    pub record: RecordId,
    /// `properties.createdDateTime`.
    pub at: Timestamp,
    /// Who signed in.
    pub user: UserRef,
    /// `properties.sessionId`.
    pub session: Option<SessionId>,
    /// `properties.correlationId`: one client request across retries.
    pub correlation: Option<Box<str>>,
    /// `originalRequestId`: the first request of the same authentication.
    pub original_request: Option<RecordId>,
    /// Whether a human was present (`SignInLogs`).
    pub interactive: bool,
    /// The client application.
    pub app: AppRef,
    /// The resource it asked a token for.
    pub resource: AppRef,
    /// `homeTenantId`: whose account it is.
    pub home_tenant: Option<Box<str>>,
    /// `resourceTenantId`: whose resource it is.
    pub resource_tenant: Option<Box<str>>,
    /// From where.
    pub network: Network,
    /// Whether `networkLocationDetails` names a location that the tenant
    /// declared trusted (`networkType` `trustedNamedLocation`).
    pub trusted_location: bool,
    /// `isThroughGlobalSecureAccess`: `network` is then the client's address
    /// as Microsoft's proxy restored it.
    pub through_gsa: bool,
    /// `globalSecureAccessIpAddress`: the proxy's own address.
    pub gsa_address: Option<IpAddr>,
    /// `status.errorCode`; 0 is success.
    pub error_code: i64,
    /// `status.additionalDetails`.
    pub additional_details: Option<Box<str>>,
    /// `userAgent`.
    pub user_agent: Option<Box<str>>,
    /// `clientAppUsed`.
    pub client_app: ClientApp,
    /// `deviceDetail`.
    pub device: Device,
    /// `incomingTokenType`.
    pub incoming_token: IncomingToken,
    /// `authenticationProtocol`.
    pub protocol: Protocol,
    /// `originalTransferMethod`.
    pub transfer_method: TransferMethod,
    /// `uniqueTokenIdentifier`: names the token that was issued.
    pub unique_token: Option<Box<str>>,
    /// `tokenProtectionStatusDetails.signInSessionStatus`, or the older
    /// `signInTokenProtectionStatus`.
    pub token_protection: TokenProtection,
    /// `authenticationRequirement`.
    pub requirement: Requirement,
    /// `conditionalAccessStatus`.
    pub conditional_access: ConditionalAccess,
    /// `authenticationDetails`, in order, at most [`Self::STEPS_MAX`].
    pub steps: Vec<AuthenticationStep>,
    /// Whether the second factor was not asked for, because the token that
    /// was shown already carried it.
    pub mfa_by_claim: bool,
    /// How often the second factor was denied (`MFA denied; …`).
    pub mfa_denials: u8,
    /// `riskEventTypes_v2` without `none`, at most [`Self::RISK_TYPES_MAX`].
    pub risk_types: Vec<RiskType>,
    /// `riskLevelDuringSignIn`, or `riskLevelAggregated` where that is
    /// missing or hidden.
    pub risk_level: RiskLevel,
}

impl SignIn {
    /// The most authentication steps that are kept; real records have 1–4.
    pub const STEPS_MAX: usize = 16;
    /// The most risk types that are kept; real records have 0–3.
    pub const RISK_TYPES_MAX: usize = 8;

    /// An interactive success of which nothing else is known: what a record
    /// is filled into.
    pub fn new(record: RecordId, at: Timestamp, user: UserRef) -> Self {
        Self {
            record,
            at,
            user,
            session: None,
            correlation: None,
            original_request: None,
            interactive: true,
            app: AppRef::default(),
            resource: AppRef::default(),
            home_tenant: None,
            resource_tenant: None,
            network: Network::default(),
            trusted_location: false,
            through_gsa: false,
            gsa_address: None,
            error_code: 0,
            additional_details: None,
            user_agent: None,
            client_app: ClientApp::Unknown,
            device: Device::default(),
            incoming_token: IncomingToken::Unknown,
            protocol: Protocol::Unknown,
            transfer_method: TransferMethod::Unknown,
            unique_token: None,
            token_protection: TokenProtection::Unknown,
            requirement: Requirement::Unknown,
            conditional_access: ConditionalAccess::Unknown,
            steps: Vec::new(),
            mfa_by_claim: false,
            mfa_denials: 0,
            risk_types: Vec::new(),
            risk_level: RiskLevel::Unknown,
        }
    }

    /// Whether a token was issued (`status.errorCode == 0`).
    pub fn succeeded(&self) -> bool {
        self.error_code == 0
    }
}

/// One entry of `authenticationDetails`: a method that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthenticationStep {
    /// `authenticationMethod`, e.g. `Password`, `Previously satisfied`.
    pub method: Option<Box<str>>,
    /// `succeeded`.
    pub succeeded: Option<bool>,
    /// `authenticationStepResultDetail`, e.g. `MFA denied; user declined the
    /// authentication`.
    pub outcome: Option<Box<str>>,
}

/// An application or resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppRef {
    /// The application id.
    pub id: Option<Box<str>>,
    /// The display name.
    pub name: Option<Box<str>>,
}

/// `deviceDetail`; unknown values are `None`, never empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// The directory's device id.
    pub id: Option<Box<str>>,
    /// E.g. `Windows 10`, `MacOs`.
    pub operating_system: Option<Box<str>>,
    /// E.g. `Chrome 128.0.0`.
    pub browser: Option<Box<str>>,
    /// `isCompliant`.
    pub compliant: Option<bool>,
    /// `isManaged`.
    pub managed: Option<bool>,
}
