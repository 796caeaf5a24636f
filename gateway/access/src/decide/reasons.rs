//! Why something is withheld when no guardrail says so: no agreement goes that far. The texts tell the caller about its
//! own agreements and nothing about those of others.

use std::sync::{Arc, LazyLock};

use super::Outcome;
use crate::{Reason, policy::Verdict};

/// Reasons for want of an agreement rank below all guardrails, the less specific the lower.
const RANKS: usize = 4;

static NO_AGREEMENT: LazyLock<Arc<Reason>> = LazyLock::new(|| {
    reason(
        "NO_AGREEMENT",
        "Hệ thống này chưa có thỏa thuận chia sẻ dữ liệu với trung tâm liên thông \
         (Nghị định 278/2025/NĐ-CP, Nghị định 194/2025/NĐ-CP).",
        "This system is party to no data-sharing agreement (Decree 278/2025/NĐ-CP, Decree 194/2025/NĐ-CP).",
    )
});
static ACTION_NOT_IN_AGREEMENT: LazyLock<Arc<Reason>> = LazyLock::new(|| {
    reason(
        "ACTION_NOT_IN_AGREEMENT",
        "Không thỏa thuận chia sẻ dữ liệu nào của hệ thống này cho phép thao tác được yêu cầu \
         (Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15, Điều 17).",
        "No agreement of this system covers the action asked for (Law on Personal Data Protection 91/2025/QH15, Article 17).",
    )
});
static PURPOSE_NOT_IN_AGREEMENT: LazyLock<Arc<Reason>> = LazyLock::new(|| {
    reason(
        "PURPOSE_NOT_IN_AGREEMENT",
        "Mục đích nêu ra không thuộc thỏa thuận chia sẻ dữ liệu nào của hệ thống này \
         (Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15, Điều 17).",
        "No agreement of this system covers the purpose stated (Law on Personal Data Protection 91/2025/QH15, Article 17).",
    )
});
static FIELD_NOT_IN_AGREEMENT: LazyLock<Arc<Reason>> = LazyLock::new(|| {
    reason(
        "FIELD_NOT_IN_AGREEMENT",
        "Thỏa thuận chia sẻ dữ liệu cho mục đích này không bao gồm trường dữ liệu được yêu cầu \
         (Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15, Điều 17).",
        "The agreement for this purpose does not cover the field (Law on Personal Data Protection 91/2025/QH15, Article 17).",
    )
});

fn reason(code: &str, message_vi: &str, message_en: &str) -> Arc<Reason> {
    Arc::new(Reason {
        code: code.to_owned(),
        message_vi: message_vi.to_owned(),
        message_en: message_en.to_owned(),
        policy_id: None,
    })
}

/// What a verdict that does not permit comes to; `missing` says what is wanting when no guardrail forbids.
pub(super) fn of(verdict: Verdict, missing: impl FnOnce() -> Outcome) -> Outcome {
    match verdict {
        Verdict::Forbidden(rank, reason) => Outcome::Withheld { rank: rank.saturating_add(RANKS), reason },
        Verdict::Permitted(_) | Verdict::Unpermitted => missing(),
    }
}

pub(crate) fn no_agreement() -> Outcome {
    Outcome::Withheld { rank: 0, reason: NO_AGREEMENT.clone() }
}

pub(super) fn action_not_in_agreement() -> Outcome {
    Outcome::Withheld { rank: 1, reason: ACTION_NOT_IN_AGREEMENT.clone() }
}

pub(super) fn purpose_not_in_agreement() -> Outcome {
    Outcome::Withheld { rank: 2, reason: PURPOSE_NOT_IN_AGREEMENT.clone() }
}

pub(super) fn field_not_in_agreement() -> Outcome {
    Outcome::Withheld { rank: 3, reason: FIELD_NOT_IN_AGREEMENT.clone() }
}

pub(super) fn nothing_asked() -> Reason {
    Reason {
        code: "NOTHING_ASKED".to_owned(),
        message_vi: "Yêu cầu không nêu trường dữ liệu nào.".to_owned(),
        message_en: "The request names no field.".to_owned(),
        policy_id: None,
    }
}

impl Reason {
    /// A policy could not be evaluated; nothing is released.
    pub(crate) fn policy_failure() -> Self {
        Self {
            code: "POLICY_FAILURE".to_owned(),
            message_vi: "Chính sách truy cập không đánh giá được yêu cầu; dữ liệu không được cung cấp.".to_owned(),
            message_en: "An access policy could not be evaluated; nothing is released.".to_owned(),
            policy_id: None,
        }
    }
}
