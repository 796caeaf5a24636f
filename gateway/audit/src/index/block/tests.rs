use proptest::prelude::*;

use super::*;

fn term(number: u64) -> Term {
    // Spread over buckets; some share one.
    Term((number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0x3fff) as i64)
}

fn terms(first: &[u64], others: &[u64]) -> Terms {
    Terms {
        first: first.iter().map(|number| term(*number)).collect(),
        others: others.iter().map(|number| term(*number)).collect(),
    }
}

proptest! {
    /// A block finds the same in memory and as it is stored: what a plain reading of all entries finds.
    #[test]
    fn stored_and_in_memory_agree_with_a_scan(
        entries in proptest::collection::vec(proptest::collection::btree_set(0..60u64, 0..8), 1..700),
        first in proptest::collection::vec(0..62u64, 1..3),
        others in proptest::collection::vec(0..62u64, 0..3),
    ) {
        let size = 700;
        let mut block = Block::new(3, size);
        for (place, numbers) in entries.iter().enumerate() {
            for number in numbers {
                block.postings.entry(term(*number)).or_default().push(place as u16);
            }
        }
        let expected: Vec<u16> = (0..entries.len())
            .filter(|place| first.iter().any(|number| entries[*place].contains(number)))
            .filter(|place| others.iter().all(|number| entries[*place].contains(number)))
            .map(|place| place as u16)
            .collect();
        let wanted = terms(&first, &others);
        prop_assert_eq!(&block.places(&wanted), &expected);
        let stored = block.buckets();
        let buckets = stored.iter().map(|(number, bytes)| (*number, bytes.as_slice())).collect();
        prop_assert_eq!(&places(&buckets, size, &wanted).unwrap(), &expected);
    }

    /// Bytes that nobody wrote give an answer or an error, never a panic.
    #[test]
    fn other_bytes_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), number in 0..9u64) {
        let wanted = terms(&[number], &[]);
        let buckets = [(bucket(term(number)), bytes.as_slice())].into();
        if let Ok(found) = places(&buckets, 512, &wanted) {
            prop_assert!(found.iter().all(|place| *place < 512));
        }
        let _ = Spans::from_bytes(&bytes);
    }
}

#[test]
fn dense_terms_take_a_bit_an_entry() {
    let mut block = Block::new(0, 32_768);
    block.postings.insert(term(1), (0..32_768u32).map(|place| place as u16).collect());
    let stored = block.buckets();
    assert_eq!(stored[0].1.len(), SUFFIX + 2 + 32_768 / 8);
    let buckets = stored.iter().map(|(number, bytes)| (*number, bytes.as_slice())).collect();
    assert_eq!(places(&buckets, 32_768, &terms(&[1], &[])).unwrap().len(), 32_768);
}

#[test]
fn spans_narrow_a_period_to_a_thousand_entries() {
    let mut spans = Spans::default();
    for place in 0..5000_u64 {
        if place / SPAN != 2 {
            spans.add(place, 10 * place as i64);
        }
    }
    assert_eq!(spans.bounds(), (0, 49_990));
    assert_eq!(spans.within(0, 5), Some(0..1024));
    assert_eq!(spans.within(10_300, 31_000), Some(1024..4096));
    // Nothing of the third span has a time.
    assert_eq!(spans.within(20_500, 30_000), None);
    assert_eq!(spans.within(50_000, i64::MAX), None);
    assert_eq!(Spans::from_bytes(&spans.to_bytes()).unwrap(), spans);
    assert!(Spans::from_bytes(&[0; 17]).is_err());
}
