//! Why a call has no answer, and whose failure it is.

use access::{Exhausted, Refusal};
use adapter_sdk::SourceError;
use proto::query::v1::Receipt;

/// Something wrong in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the request field, for example `selections[0].field_mask`.
    pub field: String,
    /// What is wrong and what would be right, in English. Never the value.
    pub english: String,
    /// The same in Vietnamese.
    pub vietnamese: String,
}

/// Why a call ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request is wrong.
    #[error("the request is invalid in {} place(s)", .violations.len())]
    Invalid {
        /// What is wrong.
        violations: Vec<Violation>,
        /// Proof of recording.
        receipt: Option<Box<Receipt>>,
    },
    /// Policy refuses all of it.
    #[error("refused: {}", .refusal.reason)]
    Refused {
        /// The refusal.
        refusal: Box<Refusal>,
        /// Proof of recording.
        receipt: Option<Box<Receipt>>,
    },
    /// A quota is used up.
    #[error("a quota is used up")]
    QuotaUsedUp {
        /// Which, and until when.
        exhausted: Box<Exhausted>,
        /// Proof of recording.
        receipt: Option<Box<Receipt>>,
    },
    /// A source the caller cannot do without did not answer.
    #[error("required source {source_id} failed: {}", .failure.reason)]
    RequiredSource {
        /// Source id.
        source_id: String,
        /// What happened.
        failure: Failure,
        /// Proof of recording.
        receipt: Option<Box<Receipt>>,
    },
    /// The caller's deadline passed.
    #[error("the deadline passed before an answer could be given")]
    DeadlineExceeded {
        /// Proof of recording.
        receipt: Option<Box<Receipt>>,
    },
    /// The audit log could not record the call; nothing is released.
    #[error("the audit log cannot record the call: {0}")]
    NotRecorded(#[from] audit::AppendError),
}

impl CallError {
    /// Stable reason for the audit entry and the caller.
    pub fn reason(&self) -> &str {
        match self {
            Self::Invalid { .. } => "INVALID_REQUEST",
            Self::Refused { refusal, .. } => &refusal.reason,
            Self::QuotaUsedUp { .. } => "QUOTA_USED_UP",
            Self::RequiredSource { .. } => "REQUIRED_SOURCE_FAILED",
            Self::DeadlineExceeded { .. } => "DEADLINE_EXCEEDED",
            Self::NotRecorded(_) => "AUDIT_LOG_UNAVAILABLE",
        }
    }

    /// Proof of recording, when the log could record.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Invalid { receipt, .. }
            | Self::Refused { receipt, .. }
            | Self::QuotaUsedUp { receipt, .. }
            | Self::RequiredSource { receipt, .. }
            | Self::DeadlineExceeded { receipt } => receipt.as_deref(),
            Self::NotRecorded(_) => None,
        }
    }

    pub(crate) fn recorded(mut self, proof: Receipt) -> Self {
        match &mut self {
            Self::Invalid { receipt, .. }
            | Self::Refused { receipt, .. }
            | Self::QuotaUsedUp { receipt, .. }
            | Self::RequiredSource { receipt, .. }
            | Self::DeadlineExceeded { receipt } => *receipt = Some(Box::new(proof)),
            Self::NotRecorded(_) => {}
        }
        self
    }
}

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureOwner {
    /// The hub.
    Gateway,
    /// The adapter or its mapping.
    Adapter,
    /// The database.
    Source,
}

/// Why one source did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose it is.
    pub owner: FailureOwner,
    /// Stable reason.
    pub reason: &'static str,
    /// True when the source holds something that cannot be read, rather than being out of reach.
    pub invalid_at_source: bool,
    /// The other source whose identity link was needed and failed.
    pub link_source: Option<String>,
}

const AMBIGUOUS_IDENTITY_LINK: &str = "AMBIGUOUS_IDENTITY_LINK";

impl Failure {
    /// The hub's own bound on calls under way to the source was reached and no slot came free in time.
    pub(crate) const BUSY: Self = Self::new(FailureOwner::Gateway, "SOURCE_BUSY");
    /// The source has failed again and again and is left alone for a while.
    pub(crate) const SUSPENDED: Self = Self::new(FailureOwner::Source, "SOURCE_SUSPENDED");
    /// More candidates fit a search than may be shown.
    pub(crate) const TOO_BROAD: Self = Self::new(FailureOwner::Gateway, "SEARCH_TOO_BROAD");
    /// No source holds the record type.
    pub(crate) const NO_SOURCE: Self = Self::new(FailureOwner::Gateway, "NO_SOURCE");
    /// Nothing the source holds may be released to this caller, so it was not asked.
    pub(crate) const NOT_ASKED: Self = Self::new(FailureOwner::Gateway, "SOURCE_NOT_ASKED");
    /// A number of the subject is also somebody else's.
    pub(crate) const AMBIGUOUS_LINK: Self = Self {
        owner: FailureOwner::Source,
        reason: AMBIGUOUS_IDENTITY_LINK,
        invalid_at_source: true,
        link_source: None,
    };

    const fn new(owner: FailureOwner, reason: &'static str) -> Self {
        Self { owner, reason, invalid_at_source: false, link_source: None }
    }

    pub(crate) fn is_ambiguous(&self) -> bool {
        self.reason == AMBIGUOUS_IDENTITY_LINK
    }

    /// The failure of a source that was asked for an identity link, as it stands for the source that needed the link.
    pub(crate) fn of_link(self, source: &str) -> Self {
        if self.is_ambiguous() {
            return self;
        }
        Self { link_source: Some(source.to_owned()), ..Self::new(self.owner, "IDENTITY_LINK_FAILED") }
    }

    /// What the failure says, in Vietnamese and English.
    pub fn messages(&self) -> (String, String) {
        if let Some(source) = &self.link_source {
            return (
                format!("Không tra được số định danh khác của người này tại nguồn {source}, nên kết quả có thể thiếu."),
                format!("Source {source}, which links the subject's numbers, did not answer; there may be more."),
            );
        }
        let (vietnamese, english) = match self.reason {
            "SOURCE_BUSY" => (
                "Nguồn dữ liệu đang xử lý quá nhiều yêu cầu, xin thử lại sau.",
                "The source has too many calls under way; try again later.",
            ),
            "SOURCE_SUSPENDED" => (
                "Nguồn dữ liệu nhiều lần không trả lời nên tạm ngừng được hỏi; trục sẽ tự hỏi lại khi nguồn hoạt động.",
                "The source has failed repeatedly and is left alone for a while; it is asked again by itself.",
            ),
            AMBIGUOUS_IDENTITY_LINK => (
                "Một số giấy tờ của người này gắn với nhiều người, cần cơ quan quản lý dữ liệu rà soát.",
                "A number of the subject belongs to several people; the owner of the data must clear it up.",
            ),
            "SEARCH_TOO_BROAD" => (
                "Quá nhiều kết quả phù hợp; xin nêu thêm ngày sinh đầy đủ hoặc xã, phường.",
                "Too many candidates fit; give the whole birth date or the commune as well.",
            ),
            "SEARCH_UNINDEXED" => (
                "Nguồn dữ liệu không có chỉ mục để tìm theo các thông tin này.",
                "The source has no index to search by these criteria.",
            ),
            "NO_SOURCE" => (
                "Trục chưa kết nối nguồn dữ liệu nào có loại bản ghi này.",
                "No source connected to this hub holds the record type.",
            ),
            "SOURCE_NOT_ASKED" => (
                "Không trường nào của nguồn dữ liệu này được phép cung cấp.",
                "Nothing this source holds may be released to this caller.",
            ),
            "SOURCE_UNREACHABLE" => ("Không kết nối được tới nguồn dữ liệu.", "The source cannot be reached."),
            "SOURCE_TIMEOUT" => (
                "Nguồn dữ liệu không trả lời trong thời gian cho phép.",
                "The source did not answer in the time allowed.",
            ),
            "SOURCE_TOO_MANY_RECORDS" => (
                "Nguồn dữ liệu có quá nhiều bản ghi cho một số định danh, cần cơ quan quản lý rà soát.",
                "The source holds too many records under one number; its owner must clear it up.",
            ),
            "SOURCE_SCHEMA_CHANGED" => (
                "Cấu trúc cơ sở dữ liệu nguồn đã thay đổi so với bản ánh xạ đã ký.",
                "The structure of the source no longer fits its mapping.",
            ),
            "SOURCE_NO_DATABASE" => (
                "Máy chủ của nguồn không có cơ sở dữ liệu đã khai báo.",
                "The source's server does not have the database it should.",
            ),
            "SOURCE_CREDENTIALS" => {
                ("Nguồn dữ liệu từ chối tài khoản kết nối.", "The source refuses the hub's account.")
            }
            "SOURCE_REFUSED" => (
                "Cơ quan quản lý dữ liệu không cho trục lấy dữ liệu này.",
                "The owner of the source does not let the hub have this.",
            ),
            "SOURCE_NOT_RECORDED" => (
                "Nơi quản lý dữ liệu không ghi được nhật ký cung cấp nên không trả lời.",
                "The source cannot record what would leave, so it does not answer.",
            ),
            _ => ("Nguồn dữ liệu gặp lỗi khi trả lời.", "The source failed while answering."),
        };
        (vietnamese.to_owned(), english.to_owned())
    }
}

impl From<&SourceError> for Failure {
    fn from(error: &SourceError) -> Self {
        let owner = match error {
            SourceError::UnknownRecordType { .. }
            | SourceError::UnsupportedKey { .. }
            | SourceError::SchemaChanged { .. }
            | SourceError::SearchNotOffered { .. }
            | SourceError::SearchUnindexed { .. }
            | SourceError::Internal(_) => FailureOwner::Adapter,
            _ => FailureOwner::Source,
        };
        let invalid_at_source = matches!(error, SourceError::TooManyRecords { .. });
        Self { invalid_at_source, ..Self::new(owner, error.reason()) }
    }
}
