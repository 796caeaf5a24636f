//! The one place where errors become gRPC statuses, with reason, Vietnamese message and what to do about it.

use std::time::Duration;

use audit::AppendError;
use query::{CallError, Violation};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::identity::IdentityError;

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
        CallError::RequiredSource { .. } | CallError::NotRecorded(_) if told.code == Code::Unavailable => {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        _ => {}
    }
    details.set_localized_message("vi", told.vietnamese);
    let status = Status::with_error_details(told.code, told.english, details);
    match error.receipt() {
        Some(receipt) => with_log_index(status, receipt.log_index),
        None => status,
    }
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
fn identity_reason(error: IdentityError) -> &'static str {
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
