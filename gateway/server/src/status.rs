//! The one place where errors become gRPC statuses, with reason, Vietnamese message and what to do about it.

use std::time::Duration;

use access::Allowance;
use audit::AppendError;
use query::{CallError, Violation};
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{identity::IdentityError, tokens::TokenError};

/// Domain of `ErrorInfo` reasons.
pub(crate) const DOMAIN: &str = "lienthong";
/// Metadata key with the index of the log entry that records a refusal or failure.
pub(crate) const LOG_INDEX_KEY: &str = "lienthong-log-index";
/// How long to wait before trying again when the log or a source is in trouble.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a caller is told of an error.
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) english: String,
    pub(crate) vietnamese: String,
}

/// Code and messages of a call's error.
pub(crate) fn told(error: &CallError) -> Told {
    let (code, english, vietnamese) = match error {
        CallError::Invalid { violations, .. } => (
            Code::InvalidArgument,
            violations.first().map_or_else(
                || "the request is invalid".to_owned(),
                |first| format!("{}: {}", first.field, first.english),
            ),
            violations.first().map_or_else(
                || "Yêu cầu không hợp lệ.".to_owned(),
                |first| format!("Yêu cầu không hợp lệ. {}: {}", first.field, first.vietnamese),
            ),
        ),
        CallError::Refused { refusal, .. } => {
            (Code::PermissionDenied, refusal.message_en.clone(), refusal.message_vi.clone())
        }
        CallError::QuotaUsedUp { exhausted, .. } => {
            let seconds = exhausted.retry_after.as_secs() + 1;
            let (english, vietnamese) = match &exhausted.agreement {
                Some(number) => {
                    (format!("the quota of agreement {number}"), format!("Hạn mức của thỏa thuận {number}"))
                }
                None => ("a quota of the hub".to_owned(), "Hạn mức truy vấn của trục liên thông".to_owned()),
            };
            (
                Code::ResourceExhausted,
                format!("{english} is used up; try again in {seconds} s"),
                format!("{vietnamese} đã hết, xin thử lại sau {seconds} giây."),
            )
        }
        CallError::RequiredSource { source_id, failure, .. } => {
            let (vietnamese, english) = failure.messages();
            (
                Code::Unavailable,
                format!("required source {source_id} did not answer: {english}"),
                format!("Nguồn dữ liệu bắt buộc {source_id} không trả lời. {vietnamese}"),
            )
        }
        CallError::DeadlineExceeded { .. } => (
            Code::DeadlineExceeded,
            "the deadline passed before an answer could be given".to_owned(),
            "Hết thời gian cho phép trước khi có câu trả lời.".to_owned(),
        ),
        CallError::NotRecorded(error) => match error {
            AppendError::TooLarge { .. } => (
                Code::InvalidArgument,
                "the call is too large to be recorded; ask for less at a time".to_owned(),
                "Yêu cầu quá lớn để ghi nhật ký, xin chia nhỏ yêu cầu.".to_owned(),
            ),
            AppendError::QueueFull | AppendError::Store(_) | AppendError::Closed => (
                Code::Unavailable,
                "the audit log cannot record the call; nothing is released".to_owned(),
                "Không ghi được nhật ký truy cập nên không cung cấp dữ liệu, xin thử lại sau.".to_owned(),
            ),
        },
    };
    Told { code, english, vietnamese }
}

/// The status of a call's error.
pub(crate) fn from_call(error: &CallError) -> Status {
    let told = told(error);
    let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, std::collections::HashMap::new());
    match error {
        CallError::Invalid { violations, .. } => add_violations(&mut details, violations),
        CallError::QuotaUsedUp { exhausted, .. } => {
            details.set_retry_info(Some(exhausted.retry_after));
        }
        CallError::RequiredSource { .. } | CallError::NotRecorded(_) if told.code == Code::Unavailable => {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        _ => {}
    }
    details.set_localized_message("vi", told.vietnamese);
    let mut status = Status::with_error_details(told.code, told.english, details);
    if let CallError::QuotaUsedUp { exhausted, .. } = error {
        add_allowance(status.metadata_mut(), &exhausted.allowance);
    }
    match error.receipt() {
        Some(receipt) => with_log_index(status, receipt.log_index),
        None => status,
    }
}

/// Says what is left of a quota, in the words of draft-ietf-httpapi-ratelimit-headers.
pub(crate) fn add_allowance(metadata: &mut MetadataMap, allowance: &Allowance) {
    for (name, value) in [
        ("ratelimit-limit", allowance.limit.to_string()),
        ("ratelimit-remaining", allowance.remaining.to_string()),
        ("ratelimit-reset", allowance.reset_s.to_string()),
        ("ratelimit-policy", format!("{};w={}", allowance.limit, allowance.period_s)),
    ] {
        if let Ok(value) = value.parse() {
            metadata.insert(name, value);
        }
    }
}

/// The status of a call whose token proves nothing, or not what the call needs.
pub(crate) fn from_token(error: TokenError) -> Status {
    let (code, reason) = match error {
        TokenError::Unreadable => (Code::Unauthenticated, "TOKEN_UNREADABLE"),
        TokenError::Malformed => (Code::Unauthenticated, "TOKEN_MALFORMED"),
        TokenError::UnknownIssuer => (Code::Unauthenticated, "TOKEN_OF_UNKNOWN_ISSUER"),
        TokenError::UnknownKey => (Code::Unauthenticated, "TOKEN_OF_UNKNOWN_KEY"),
        TokenError::WrongAlgorithm => (Code::Unauthenticated, "TOKEN_OF_WRONG_ALGORITHM"),
        TokenError::WrongSignature => (Code::Unauthenticated, "TOKEN_WITH_WRONG_SIGNATURE"),
        TokenError::WrongAudience => (Code::Unauthenticated, "TOKEN_FOR_OTHER_AUDIENCE"),
        TokenError::Expired => (Code::Unauthenticated, "TOKEN_EXPIRED"),
        TokenError::FromTheFuture => (Code::Unauthenticated, "TOKEN_FROM_THE_FUTURE"),
        TokenError::OtherAgency => (Code::Unauthenticated, "TOKEN_OF_OTHER_AGENCY"),
        TokenError::AssuranceTooLow => (Code::Unauthenticated, "TOKEN_ASSURANCE_TOO_LOW"),
        TokenError::WithoutHolder => (Code::Unauthenticated, "TOKEN_WITHOUT_HOLDER"),
        TokenError::OfCitizen => (Code::PermissionDenied, "TOKEN_OF_CITIZEN"),
        TokenError::ProviderUnavailable => (Code::Unavailable, "IDENTITY_PROVIDER_UNAVAILABLE"),
    };
    let vietnamese = match error {
        TokenError::OfCitizen => "Mã xác thực của công dân chỉ dùng để xem nhật ký truy cập về chính mình.",
        TokenError::ProviderUnavailable => "Không liên hệ được hệ thống xác thực, xin thử lại sau.",
        _ => "Mã xác thực của người thực hiện không hợp lệ.",
    };
    plain(code, reason, &error.to_string(), vietnamese)
}

/// Stable reason of a status made here; empty for one made by the transport.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// Adds the index of the entry that records a refusal or failure.
pub(crate) fn with_log_index(mut status: Status, log_index: u64) -> Status {
    if let Ok(index) = log_index.to_string().parse() {
        status.metadata_mut().insert(LOG_INDEX_KEY, index);
    }
    status
}

/// The status of a connection without a caller.
pub(crate) fn from_identity(error: IdentityError) -> Status {
    plain(
        Code::Unauthenticated,
        identity_reason(error),
        &error.to_string(),
        "Không xác thực được hệ thống gọi: chứng thư số thiếu hoặc không hợp lệ.",
    )
}

/// Stable reason of a connection without a caller.
pub(crate) fn identity_reason(error: IdentityError) -> &'static str {
    match error {
        IdentityError::NoCertificate => "NO_CLIENT_CERTIFICATE",
        IdentityError::Unreadable => "CERTIFICATE_UNREADABLE",
        IdentityError::NoSpiffeId => "CERTIFICATE_WITHOUT_SPIFFE_ID",
        IdentityError::SeveralSpiffeIds => "CERTIFICATE_WITH_SEVERAL_SPIFFE_IDS",
        IdentityError::OtherTrustDomain => "CERTIFICATE_OF_OTHER_TRUST_DOMAIN",
        IdentityError::MalformedSpiffeId => "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID",
        IdentityError::Revoked => "CERTIFICATE_REVOKED",
        IdentityError::Expired => "CERTIFICATE_EXPIRED",
        IdentityError::NotTrusted => "CERTIFICATE_NOT_TRUSTED",
        IdentityError::OtherUsage => "CERTIFICATE_FOR_OTHER_USAGE",
    }
}

/// A status with reason and both messages, for errors outside a recorded call.
pub(crate) fn plain(code: Code, reason: &str, english: &str, vietnamese: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, std::collections::HashMap::new());
    details.set_localized_message("vi", vietnamese);
    Status::with_error_details(code, english, details)
}

/// A status for wrong request fields, for errors outside a recorded call.
pub(crate) fn invalid(violations: Vec<Violation>) -> Status {
    from_call(&CallError::Invalid { violations, receipt: None })
}

fn add_violations(details: &mut ErrorDetails, violations: &[Violation]) {
    for violation in violations {
        details
            .add_bad_request_violation(&violation.field, format!("{} ({})", violation.english, violation.vietnamese));
    }
}
