//! Text of people: what is released is read back as it is, unrepaired.
#![no_main]

use libfuzzer_sys::fuzz_target;
use normalize::{Grade, Notes, fold_name, marked_key, org_name, person_name, text};

fn settled(what: &str, notes: Notes) {
    assert!(notes.iter().all(|note| note.grade() == Grade::Suspect), "{what} repairs its own answer");
}

fuzz_target!(|input: &str| {
    if let Ok(first) = text(input) {
        let again = text(&first.value).expect("text is text");
        assert_eq!(again.value, first.value);
        settled("text", again.notes);
    }
    if let Ok(first) = org_name(input) {
        let again = org_name(&first.value).expect("a name is a name");
        assert_eq!(again.value, first.value);
        settled("org_name", again.notes);
    }
    if let Ok(first) = person_name(input) {
        let again = person_name(&first.value.full).expect("a name is a name");
        assert_eq!(again.value.full, first.value.full);
        assert_eq!((first.value.folded, first.value.marked_key), (fold_name(&first.value.full), marked_key(&first.value.full)));
        settled("person_name", again.notes);
    }
    let folded = fold_name(input);
    assert_eq!(fold_name(&folded), folded);
    let _ = marked_key(input);
});
