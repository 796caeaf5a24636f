//! What is in a judicial file beside the person: convictions, bans, residence and work since the age of 14.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    chance::{pick, weighted},
    date::{Date, PRESENT_YEAR},
    people::Person,
    place::Style,
};

pub(super) struct Conviction {
    pub(super) court: String,
    pub(super) number: String,
    pub(super) date: Date,
    pub(super) offence: &'static str,
    pub(super) main_penalty: String,
    pub(super) additional_penalty: Option<String>,
    pub(super) civil_duty: Option<String>,
    /// Đồng.
    pub(super) court_fee: i64,
    /// The register's number and the canonical code.
    pub(super) state: (i64, &'static str),
    pub(super) spent: Option<Date>,
}

pub(super) struct Ban {
    pub(super) post: &'static str,
    pub(super) until: Date,
}

pub(super) struct Period {
    pub(super) from: Date,
    pub(super) until: Option<Date>,
    pub(super) residence: String,
    pub(super) job: Option<&'static str>,
    pub(super) work_place: Option<String>,
}

const OFFENCES: [&str; 6] = [
    "Trộm cắp tài sản (Điều 173 Bộ luật Hình sự)",
    "Cố ý gây thương tích (Điều 134 Bộ luật Hình sự)",
    "Đánh bạc (Điều 321 Bộ luật Hình sự)",
    "Vi phạm quy định về tham gia giao thông đường bộ (Điều 260 Bộ luật Hình sự)",
    "Lừa đảo chiếm đoạt tài sản (Điều 174 Bộ luật Hình sự)",
    "Hủy hoại rừng (Điều 243 Bộ luật Hình sự)",
];
const COURTS: [&str; 4] = [
    "Tòa án nhân dân thành phố Quy Nhơn",
    "Tòa án nhân dân thành phố Pleiku",
    "Tòa án nhân dân huyện Phù Cát",
    "Tòa án nhân dân tỉnh Bình Định",
];
const POSTS: [&str; 3] =
    ["Thành lập, quản lý doanh nghiệp", "Đảm nhiệm chức vụ quản lý tài chính", "Hành nghề kế toán"];
const JOBS: [&str; 6] = ["Công nhân", "Nông dân", "Giáo viên", "Lái xe", "Kế toán", "Buôn bán"];

/// One to three judgments. Whoever was chosen to be everywhere has one, long spent.
pub(super) fn convictions(rng: &mut ChaCha8Rng, person: &Person) -> Vec<Conviction> {
    let adult = person.birth.year + 18;
    let count = if person.is_everywhere { 1 } else { weighted(rng, &[(1, 80), (2, 16), (3, 4)]) };
    (0..count)
        .map(|_| {
            let latest = if person.is_everywhere { adult.max(2008) } else { PRESENT_YEAR - 1 };
            let date = Date::between(rng, adult.max(1995).min(latest), latest);
            let months = rng.random_range(3..72);
            let old = date.year + 8 < PRESENT_YEAR;
            let is_spent = person.is_everywhere || (old && rng.random_bool(0.75));
            let state = match (is_spent || old, rng.random_range(0..10)) {
                (true, _) => (2, "SERVED"),
                (false, 0) => (3, "SUSPENDED"),
                (false, 1) => (4, "EXEMPTED"),
                (false, _) => (1, "SERVING"),
            };
            Conviction {
                court: pick(rng, &COURTS).to_owned(),
                number: format!("{}/{}/HSST", rng.random_range(1..180), date.year),
                date,
                offence: pick(rng, &OFFENCES),
                main_penalty: format!("{months} tháng tù"),
                additional_penalty: rng.random_bool(0.2).then(|| "Phạt tiền 10.000.000 đồng".to_owned()),
                civil_duty: rng.random_bool(0.3).then(|| "Bồi thường thiệt hại cho bị hại".to_owned()),
                court_fee: 200_000,
                state,
                spent: is_spent.then(|| date.plus_years(8.min(PRESENT_YEAR - date.year))),
            }
        })
        .collect()
}

pub(super) fn bans(rng: &mut ChaCha8Rng, convictions: &[Conviction]) -> Vec<Ban> {
    let mut bans = Vec::new();
    for conviction in convictions {
        if conviction.spent.is_none() && rng.random_bool(0.25) {
            bans.push(Ban { post: pick(rng, &POSTS), until: conviction.date.plus_years(6) });
        }
    }
    bans
}

/// Periods that follow each other without a gap.
pub(super) fn history(rng: &mut ChaCha8Rng, person: &Person) -> Vec<Period> {
    let mut from = person.birth.year + 14;
    let mut periods = Vec::new();
    for nth in 0..rng.random_range(1..4) {
        let years = rng.random_range(4..12);
        let place = if nth == 0 { &person.hometown } else { &person.permanent };
        let is_last = from + years >= PRESENT_YEAR || nth == 2;
        let school = nth == 0;
        periods.push(Period {
            from: Date { year: from, month: 9, day: 0 },
            until: (!is_last).then(|| Date { year: from + years, month: 8, day: 0 }),
            residence: place.text(Style::Old),
            job: if school { Some("Học sinh") } else { rng.random_bool(0.9).then(|| pick(rng, &JOBS)) },
            work_place: rng.random_bool(0.5).then(|| place.link.old_district.to_owned()),
        });
        if is_last {
            break;
        }
        from += years;
    }
    periods
}
