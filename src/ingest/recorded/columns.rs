//! The columns of Log Analytics' tables, and what field of Entra's record each
//! was (learn.microsoft.com/azure/azure-monitor/reference/tables).
//!
//! Columns that no decoder reads are not listed. A table is in one place: here.

/// How the text of a cell is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Time,
    /// JSON, which some tables hold as such and others as text.
    Json,
}
use Kind::{Json, Text, Time};

/// (column, field of the record, kind).
pub(super) type Field = (&'static str, &'static str, Kind);

/// A table of Log Analytics.
#[derive(Debug)]
pub(super) struct Table {
    /// The row's `Type`.
    pub(super) name: &'static str,
    /// The category of the records that it holds.
    pub(super) category: &'static str,
    /// Columns that no other of these tables has, all of them; none for a
    /// table that can be told by `Type` or `Category` only.
    pub(super) marks: &'static [&'static str],
    /// Where `properties` come from.
    pub(super) properties: &'static [Field],
}

/// Fields of the envelope, the same in all tables.
pub(super) const ENVELOPE: &[Field] = &[
    ("TimeGenerated", "time", Time),
    ("OperationName", "operationName", Text),
    ("ResultType", "resultType", Text),
    ("CorrelationId", "correlationId", Text),
];

const SIGN_IN: &[Field] = &[
    ("Id", "id", Text),
    ("CreatedDateTime", "createdDateTime", Time),
    ("UserId", "userId", Text),
    ("UserPrincipalName", "userPrincipalName", Text),
    ("UserType", "userType", Text),
    ("AppId", "appId", Text),
    ("AppDisplayName", "appDisplayName", Text),
    // `ResourceId` is the envelope's: the tenant.
    ("ResourceIdentity", "resourceId", Text),
    ("ResourceDisplayName", "resourceDisplayName", Text),
    ("IPAddress", "ipAddress", Text),
    ("AutonomousSystemNumber", "autonomousSystemNumber", Text),
    ("LocationDetails", "location", Json),
    ("Status", "status", Json),
    ("UserAgent", "userAgent", Text),
    ("DeviceDetail", "deviceDetail", Json),
    ("SessionId", "sessionId", Text),
    ("CorrelationId", "correlationId", Text),
    ("OriginalRequestId", "originalRequestId", Text),
    ("HomeTenantId", "homeTenantId", Text),
    ("ResourceTenantId", "resourceTenantId", Text),
    ("ClientAppUsed", "clientAppUsed", Text),
    ("IncomingTokenType", "incomingTokenType", Text),
    ("AuthenticationProtocol", "authenticationProtocol", Text),
    ("OriginalTransferMethod", "originalTransferMethod", Text),
    ("UniqueTokenIdentifier", "uniqueTokenIdentifier", Text),
    (
        "TokenProtectionStatusDetails",
        "tokenProtectionStatusDetails",
        Json,
    ),
    (
        "SignInTokenProtectionStatus",
        "signInTokenProtectionStatus",
        Text,
    ),
    (
        "AuthenticationRequirement",
        "authenticationRequirement",
        Text,
    ),
    ("ConditionalAccessStatus", "conditionalAccessStatus", Text),
    ("AuthenticationDetails", "authenticationDetails", Json),
    ("NetworkLocationDetails", "networkLocationDetails", Json),
    (
        "IsThroughGlobalSecureAccess",
        "isThroughGlobalSecureAccess",
        Text,
    ),
    (
        "GlobalSecureAccessIpAddress",
        "globalSecureAccessIpAddress",
        Text,
    ),
    ("RiskEventTypes_V2", "riskEventTypes_v2", Json),
    ("RiskLevelDuringSignIn", "riskLevelDuringSignIn", Text),
    ("RiskLevelAggregated", "riskLevelAggregated", Text),
];

const RISK_EVENT: &[Field] = &[
    ("Id", "id", Text),
    ("RequestId", "requestId", Text),
    ("CorrelationId", "correlationId", Text),
    ("RiskType", "riskType", Text),
    ("RiskEventType", "riskEventType", Text),
    ("RiskState", "riskState", Text),
    ("RiskLevel", "riskLevel", Text),
    ("IpAddress", "ipAddress", Text),
    ("Location", "location", Json),
    ("ActivityDateTime", "activityDateTime", Time),
    ("DetectedDateTime", "detectedDateTime", Time),
    ("LastUpdatedDateTime", "lastUpdatedDateTime", Time),
    ("UserId", "userId", Text),
    ("UserPrincipalName", "userPrincipalName", Text),
    ("UserType", "userType", Text),
];

const RISKY_USER: &[Field] = &[
    ("Id", "id", Text),
    ("UserPrincipalName", "userPrincipalName", Text),
    ("RiskLastUpdatedDateTime", "riskLastUpdatedDateTime", Time),
    ("RiskState", "riskState", Text),
    ("RiskLevel", "riskLevel", Text),
    ("IsGuest", "isGuest", Text),
];

/// Service principals and managed identities: risk and sign-ins.
const WORKLOAD: &[Field] = &[
    ("Id", "id", Text),
    ("RequestId", "requestId", Text),
    ("ServicePrincipalId", "servicePrincipalId", Text),
    (
        "ServicePrincipalDisplayName",
        "servicePrincipalDisplayName",
        Text,
    ),
    ("ServicePrincipalName", "servicePrincipalName", Text),
    ("AppId", "appId", Text),
    ("AppDisplayName", "appDisplayName", Text),
    ("CreatedDateTime", "createdDateTime", Time),
    ("ActivityDateTime", "activityDateTime", Time),
    ("DetectedDateTime", "detectedDateTime", Time),
    ("LastUpdatedDateTime", "lastUpdatedDateTime", Time),
    ("RiskEventType", "riskEventType", Text),
    ("RiskType", "riskType", Text),
    ("RiskLevel", "riskLevel", Text),
    ("RiskState", "riskState", Text),
    ("IpAddress", "ipAddress", Text),
    ("Location", "location", Json),
];

const AUDIT: &[Field] = &[
    ("Id", "id", Text),
    ("ActivityDateTime", "activityDateTime", Time),
    ("ActivityDisplayName", "activityDisplayName", Text),
    ("OperationName", "operationName", Text),
    ("Result", "result", Text),
    ("CorrelationId", "correlationId", Text),
    ("UserAgent", "userAgent", Text),
    ("InitiatedBy", "initiatedBy", Json),
    ("TargetResources", "targetResources", Json),
    ("AdditionalDetails", "additionalDetails", Json),
];

const GRAPH_CALL: &[Field] = &[
    ("RequestId", "requestId", Text),
    ("TimeGenerated", "timeGenerated", Time),
    ("UserId", "userId", Text),
    ("SessionId", "sessionId", Text),
    ("C_Sid", "C_Sid", Text),
    ("SignInActivityId", "signInActivityId", Text),
    ("AppId", "appId", Text),
    ("IPAddress", "ipAddress", Text),
    ("UserAgent", "userAgent", Text),
    ("RequestMethod", "requestMethod", Text),
    ("RequestUri", "requestUri", Text),
    ("ResponseStatusCode", "responseStatusCode", Text),
];

pub(super) const TABLES: [Table; 9] = [
    Table {
        name: "SigninLogs",
        category: "SignInLogs",
        marks: &[
            "UserPrincipalName",
            "ConditionalAccessStatus",
            "IsInteractive",
        ],
        properties: SIGN_IN,
    },
    Table {
        name: "AADNonInteractiveUserSignInLogs",
        category: "NonInteractiveUserSignInLogs",
        marks: &[],
        properties: SIGN_IN,
    },
    Table {
        name: "AADUserRiskEvents",
        category: "UserRiskEvents",
        marks: &["RiskEventType", "DetectedDateTime", "UserId"],
        properties: RISK_EVENT,
    },
    Table {
        name: "AADServicePrincipalRiskEvents",
        category: "ServicePrincipalRiskEvents",
        marks: &["RiskEventType", "DetectedDateTime", "ServicePrincipalId"],
        properties: WORKLOAD,
    },
    Table {
        name: "AADRiskyUsers",
        category: "RiskyUsers",
        marks: &["RiskLastUpdatedDateTime", "UserPrincipalName"],
        properties: RISKY_USER,
    },
    Table {
        name: "AuditLogs",
        category: "AuditLogs",
        marks: &["ActivityDisplayName", "TargetResources", "InitiatedBy"],
        properties: AUDIT,
    },
    Table {
        name: "MicrosoftGraphActivityLogs",
        category: "MicrosoftGraphActivityLogs",
        marks: &["RequestUri", "ResponseStatusCode", "SignInActivityId"],
        properties: GRAPH_CALL,
    },
    Table {
        name: "AADServicePrincipalSignInLogs",
        category: "ServicePrincipalSignInLogs",
        marks: &[],
        properties: WORKLOAD,
    },
    Table {
        name: "AADManagedIdentitySignInLogs",
        category: "ManagedIdentitySignInLogs",
        marks: &[],
        properties: WORKLOAD,
    },
];
