//! What a converter costs beside copying the same bytes, and how often it allocates: `cargo run --release --bin throughput`.
//!
//! Each converter reads texts as its columns hold them, clean ones and ones that need repair apart. A copy is one `String`
//! a text.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use normalize::{
    DateFormat, Encoding, IndustryVintage, Vintage, birth_date, boolean, budget_unit_code, code_list, commune, communes,
    decode, decode_text, encode, fold_name, health_insurance_card, industry_code, old_communes, org_name, partial_date,
    person_name, personal_id, province, social_insurance_number, tax_code, tax_code_check_digit, text, vnd,
};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Texts of each kind.
const TEXTS: usize = 20_000;
/// The best of so many rounds counts.
const ROUNDS: usize = 7;

/// Nanoseconds a text at best, and allocations a text.
fn measure<T: AsRef<[u8]>>(texts: &[T], mut convert: impl FnMut(&T)) -> (f64, f64) {
    let mut best = f64::MAX;
    let mut allocations = 0;
    for _ in 0..ROUNDS {
        let (before, start) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
        texts.iter().for_each(&mut convert);
        best = best.min(start.elapsed().as_nanos() as f64);
        allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    (best / texts.len() as f64, allocations as f64 / texts.len() as f64)
}

/// Keeps the compiler from leaving out what nobody looks at.
fn used<T>(value: T) {
    drop(black_box(value));
}

fn row<T: AsRef<[u8]> + Clone>(name: &str, texts: &[T], convert: impl FnMut(&T)) {
    let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
    let mean = bytes as f64 / texts.len() as f64;
    let (copy, _) = measure(texts, |text| used(text.as_ref().to_vec()));
    let (cost, allocations) = measure(texts, convert);
    let rate = |nanoseconds: f64| mean / nanoseconds * 1e3;
    println!(
        "{name:<34}{mean:>8.1}{cost:>10.1}{:>10.0}{:>10.0}{:>8.1}{allocations:>8.2}",
        rate(cost),
        rate(copy),
        cost / copy
    );
}

/// As many texts as wanted, from a list.
fn cycle(list: &[String]) -> Vec<String> {
    list.iter().cycle().take(TEXTS).cloned().collect()
}

fn numbered(text: impl Fn(usize) -> String) -> Vec<String> {
    (0..TEXTS).map(text).collect()
}

fn main() {
    println!("{:<34}{:>8}{:>10}{:>10}{:>10}{:>8}{:>8}", "converter, input", "bytes", "ns", "MB/s", "copy MB/s", "ratio", "allocs");
    let names = ["Nguyễn Thị Hồng Nhung", "Đặng Quốc Khánh", "Trần Văn An", "Ksor H'Nguyệt", "Lê Thị Thủy", "Rơ Châm Bluk"];
    let names = cycle(&names.map(str::to_owned));
    let decomposed: Vec<String> = names.iter().map(|name| unmark(name)).collect();
    let capitals: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let addresses = cycle(&["Số 12 đường Nguyễn Huệ, Phường Quy Nhơn".to_owned(), "Thôn 9, Xã Phước Hòa".to_owned()]);
    let ascii = cycle(&["QD-125/2019".to_owned(), "Nha van hoa".to_owned()]);
    row("text, Vietnamese", &addresses, |input| used(text(input)));
    row("text, ASCII", &ascii, |input| used(text(input)));
    row("text, decomposed", &decomposed, |input| used(text(input)));
    row("org_name, Vietnamese", &addresses, |input| used(org_name(input)));
    row("person_name, clean", &names, |input| used(person_name(input)));
    row("person_name, capitals", &capitals, |input| used(person_name(input)));
    row("fold_name", &names, |input| used(fold_name(input)));
    for encoding in [Encoding::Tcvn3, Encoding::Vni, Encoding::Viqr, Encoding::Windows1258] {
        let bytes: Vec<Vec<u8>> = names.iter().map(|name| encode(name, encoding).0).collect();
        row(&format!("decode, {}", encoding.name()), &bytes, |input| used(decode(input, encoding)));
    }
    row("decode_text, utf-8", &names, |input| used(decode_text(input, Encoding::Utf8)));
    let personal_ids = numbered(|index| format!("052{:03}{:06}", 85 + index % 15, index));
    row("personal_id, clean", &personal_ids, |input| used(personal_id(input)));
    let short = numbered(|index| format!("52{:03}{:06}", 85 + index % 15, index));
    row("personal_id, zero lost", &short, |input| used(personal_id(input)));
    let stems = (1..).map(|index| format!("00{index:07}"));
    let codes: Vec<String> =
        stems.filter_map(|stem| Some(format!("{stem}{}", tax_code_check_digit(&stem)?))).take(TEXTS).collect();
    row("tax_code, clean", &codes, |input| used(tax_code(input)));
    let numbers = numbered(|index| format!("52{index:08}"));
    row("social_insurance_number", &numbers, |input| used(social_insurance_number(input)));
    let cards = numbered(|index| format!("GD45252{index:08}"));
    row("health_insurance_card, old", &cards, |input| used(health_insurance_card(input)));
    row("budget_unit_code", &numbered(|index| format!("10{index:05}")), |input| used(budget_unit_code(input)));
    let iso = numbered(|index| format!("19{:02}-0{}-1{}", index % 100, 1 + index % 9, index % 10));
    row("partial_date, yyyy-MM-dd", &iso, |input| used(partial_date(input, DateFormat::Iso)));
    let slashed = numbered(|index| format!("1{}/0{}/19{:02}", index % 10, 1 + index % 9, index % 100));
    row("birth_date, dd/MM/yyyy", &slashed, |input| used(birth_date(input, DateFormat::Slashed)));
    row("money", &numbered(|index| format!("{}000", 4_000 + index)), |input| used(vnd(input)));
    row("boolean", &cycle(&["1".to_owned(), "0".to_owned()]), |input| used(boolean(input)));
    for (scheme, input, label) in
        [("ethnicity", "10", "code"), ("ethnicity", "Gia-rai", "name"), ("gender", "M", "code"), ("nationality", "VN", "code")]
    {
        let list = code_list(scheme).expect("a list");
        let inputs = cycle(&[input.to_owned()]);
        row(&format!("{scheme}, {label}"), &inputs, |input| used(list.convert(input)));
    }
    let industries = numbered(|index| format!("{:04}", 1_000 + index % 500));
    row("industry_code", &industries, |input| used(industry_code(input, IndustryVintage::Vsic2018)));
    let old: Vec<String> = old_communes(None).map(|unit| unit.code.to_owned()).collect();
    row("commune, before July 2025", &cycle(&old), |input| used(commune(input, None, Vintage::Pre2025)));
    let today: Vec<String> = communes(None).map(|unit| unit.code.to_owned()).collect();
    row("commune, today", &cycle(&today), |input| used(commune(input, None, Vintage::Post2025)));
    row("province", &cycle(&["52".to_owned()]), |input| used(province(input, Vintage::Post2025)));
}

/// The same text with every mark as a character of its own, as far as tones go.
fn unmark(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        match letter {
            'ễ' => out.push_str("e\u{302}\u{303}"),
            'ị' => out.push_str("i\u{323}"),
            'ồ' => out.push_str("o\u{302}\u{300}"),
            'ặ' => out.push_str("a\u{323}\u{306}"),
            'ố' => out.push_str("o\u{302}\u{301}"),
            'á' => out.push_str("a\u{301}"),
            'ầ' => out.push_str("a\u{302}\u{300}"),
            'ệ' => out.push_str("e\u{323}\u{302}"),
            'ủ' => out.push_str("u\u{309}"),
            'ơ' => out.push_str("o\u{31b}"),
            other => out.push(other),
        }
    }
    out
}
