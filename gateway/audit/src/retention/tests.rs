use proptest::prelude::*;
use proto::audit::v1::{Access, Detail, Purpose};

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn entry(time: &str) -> Entry {
    let time = at(time);
    Entry {
        version: 1,
        time: Some(prost_types::Timestamp { seconds: time.timestamp(), nanos: 5 }),
        kind: Kind::Query.into(),
        ..Entry::default()
    }
}

fn rules() -> Rules {
    Rules {
        default_months: 24,
        classes: vec![
            Class { name: "sensitive".to_owned(), months: 60, sensitive: true, ..Class::default() },
            Class { name: "checks".to_owned(), months: 6, kinds: vec![Kind::Verify], ..Class::default() },
            Class {
                name: "secret".to_owned(),
                months: 120,
                purposes: vec!["investigation".to_owned()],
                disclosures: vec![Disclosure::Never],
                ..Class::default()
            },
        ],
        schema: Arc::new(Schema::builtin().unwrap()),
    }
}

/// The class an entry is due in, if it is.
fn due(entry: &Entry, holds: &[Hold]) -> Option<String> {
    let (rules, mut survey) = (rules(), Survey::default());
    let judge = Judge { rules: &rules, holds, now: at("2026-08-31T00:00:00Z") };
    judge.judge(entry, &mut survey).then(|| survey.due.into_keys().next().unwrap())
}

#[test]
fn the_longest_period_of_an_entrys_classes_decides() {
    let rules = rules();
    let record_type = rules.schema.record_types().next().unwrap();
    let released = |sensitivity: Sensitivity| {
        let record_types = rules.schema.record_types();
        let of = |record_type: &Arc<proto::RecordType>| {
            let field = record_type.fields.iter().find(|field| field.sensitivity == sensitivity)?;
            Some((record_type.name.clone(), field.path.clone()))
        };
        let (record_type, path) = record_types.filter_map(of).next().unwrap();
        vec![Access { record_type, fields_released: vec![path], ..Access::default() }]
    };
    let plain = |time| entry(time);
    // 24 months before 31 August 2026 is 31 August 2024.
    assert_eq!(due(&plain("2024-08-30T23:59:59Z"), &[]), Some(String::new()));
    assert_eq!(due(&plain("2024-08-31T00:00:00Z"), &[]), None);
    let sensitive = |time| Entry { accesses: released(Sensitivity::Sensitive), ..entry(time) };
    assert_eq!(due(&sensitive("2022-01-01T00:00:00Z"), &[]), None);
    assert_eq!(due(&sensitive("2021-08-30T00:00:00Z"), &[]), Some("sensitive".to_owned()));
    let basic = Entry { accesses: released(Sensitivity::Basic), ..entry("2022-01-01T00:00:00Z") };
    assert_eq!(due(&basic, &[]), Some(String::new()));
    // 6 months before 31 August is the last day of February.
    let check = |time| Entry { kind: Kind::Verify.into(), ..entry(time) };
    assert_eq!(due(&check("2026-02-27T23:00:00Z"), &[]), Some("checks".to_owned()));
    assert_eq!(due(&check("2026-02-28T00:00:00Z"), &[]), None);
    // In two classes: the longer period.
    let both = Entry { accesses: released(Sensitivity::Sensitive), ..check("2024-01-01T00:00:00Z") };
    assert_eq!(due(&both, &[]), None);
    // All conditions of a class must hold.
    let purpose = Some(Purpose { code: "investigation".to_owned(), ..Purpose::default() });
    let secret = Entry { purpose, disclosure: Disclosure::Never.into(), ..entry("2020-01-01T00:00:00Z") };
    assert_eq!(due(&secret, &[]), None);
    assert_eq!(due(&Entry { disclosure: Disclosure::Immediate.into(), ..secret }, &[]), Some(String::new()));
    // What cannot be told stays: no time; a field that is not known counts as sensitive.
    assert_eq!(due(&Entry { time: None, ..plain("2000-01-01T00:00:00Z") }, &[]), None);
    let unknown = Access {
        record_type: record_type.name.clone(),
        fields_released: vec!["no_such_field".to_owned()],
        ..Access::default()
    };
    assert_eq!(due(&Entry { accesses: vec![unknown], ..plain("2022-01-01T00:00:00Z") }, &[]), None);
    assert_eq!(due(&Entry { kind: Kind::HubEvent.into(), ..plain("2000-01-01T00:00:00Z") }, &[]), None);
}

#[test]
fn what_is_held_stays() {
    let dossier = |number: &str| {
        let purpose = Some(Purpose { dossier_number: number.to_owned(), ..Purpose::default() });
        Entry { purpose, ..entry("2020-01-01T00:00:00Z") }
    };
    let covers = Filter { dossier_number: Some("H21.65-200101-0001".to_owned()), ..Filter::default() };
    let hold = [Hold { number: "17/QĐ".to_owned(), covers, ..Hold::default() }];
    assert_eq!(due(&dossier("H21.65-200101-0001"), &hold), None);
    assert_eq!(due(&dossier("H21.65-200101-0002"), &hold), Some(String::new()));
}

proptest! {
    #[test]
    fn an_entry_states_exactly_what_was_removed(
        start in 0..1_000_000u64,
        offsets in proptest::collection::btree_set(0..removal::SLICE, 1..300),
        dense in any::<bool>(),
    ) {
        let indices: Vec<u64> = match dense {
            true => (start..start + offsets.len() as u64).collect(),
            false => offsets.iter().map(|offset| start + offset).collect(),
        };
        let removal = Removal::new(&indices).unwrap();
        let stated = Entry { kind: Kind::HubEvent.into(), details: removal.details(), ..entry("2026-01-01T00:00:00Z") };
        prop_assert!(stated.encoded_len() < crate::ENTRY_LENGTH_MAX / 4);
        prop_assert_eq!(Removal::of(&stated), Some(removal.clone()));
        prop_assert_eq!(Removal::of_bytes(&stated.encode_to_vec()), Some(removal.clone()));
        prop_assert_eq!(removal.indices().collect::<Vec<_>>(), indices.clone());

        let mut missing = Missing::default();
        indices.iter().for_each(|index| missing.insert(*index));
        missing.insert(indices[0]);
        missing.insert(start + removal::SLICE);
        missing.account(&entry("2026-01-01T00:00:00Z").encode_to_vec());
        prop_assert_eq!(missing.first(), Some(indices[0]));
        missing.account(&stated.encode_to_vec());
        prop_assert_eq!(missing.first(), Some(start + removal::SLICE));
        prop_assert_eq!(missing.accounted(), indices.len() as u64);
    }
}

#[test]
fn only_an_event_of_the_hub_states_a_removal() {
    let details = Removal::new(&[3, 4, 9]).unwrap().details();
    let stated = Entry { kind: Kind::HubEvent.into(), details, ..entry("2026-01-01T00:00:00Z") };
    assert!(Removal::of(&stated).is_some());
    assert_eq!(Removal::of(&Entry { kind: Kind::Query.into(), ..stated.clone() }), None);
    for (name, value) in [("event", "reload"), ("last_index", "2"), ("last_index", "70000"), ("removed", "AA==")] {
        let mut wrong = stated.clone();
        if name == "removed" {
            wrong.details[2].value = "20".to_owned();
        }
        wrong
            .details
            .iter_mut()
            .filter(|detail| detail.name == name)
            .for_each(|detail| detail.value = value.to_owned());
        assert_eq!(Removal::of(&wrong), None, "{name} {value}");
    }
    let without = Entry { details: vec![Detail { name: "event".to_owned(), value: "retention".to_owned() }], ..stated };
    assert_eq!(Removal::of(&without), None);
}
