//! Families and the people in them. The people of a block are a function of the seed and the block's index; nobody has
//! a relative outside the block except elders who are in no register.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Plan,
    chance::{Domain, happens, key, mix, stream, weighted},
    date::{Date, PRESENT_YEAR},
    name::{self, Name},
    number::{self, Region},
    place::Place,
};

/// People in a block.
pub(crate) const BLOCK: u64 = 20;

/// A place in the block's list of people.
pub(crate) type Local = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marital {
    Single,
    Married,
    Divorced,
    Widowed,
}

/// A person, as true as it gets.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Number in the whole population.
    pub(crate) index: u64,
    pub(crate) personal_id: Option<String>,
    pub(crate) legacy_id: Option<String>,
    /// Another old card of a person who is in the registers twice.
    pub(crate) second_legacy_id: Option<String>,
    pub(crate) insurance_number: Option<String>,
    pub(crate) name: Name,
    pub(crate) male: bool,
    pub(crate) birth: Date,
    pub(crate) ethnicity: &'static str,
    pub(crate) religion: &'static str,
    pub(crate) blood: &'static str,
    pub(crate) marital: Marital,
    pub(crate) father: Option<Relative>,
    pub(crate) mother: Option<Relative>,
    pub(crate) spouse: Option<Local>,
    pub(crate) household: usize,
    pub(crate) relation: Relation,
    pub(crate) birth_place: Place,
    pub(crate) hometown: Place,
    pub(crate) permanent: Place,
    pub(crate) current: Place,
    pub(crate) death: Option<Date>,
    /// Chosen to be in every register: heads a unit, represents a firm, has a spent conviction.
    pub(crate) is_everywhere: bool,
    /// Chosen for registers that disagree on the birth date.
    pub(crate) is_disputed: bool,
    /// Chosen to be found by the old card number.
    pub(crate) is_known_by_card: bool,
}

impl Person {
    pub(crate) fn age(&self) -> u16 {
        PRESENT_YEAR - self.birth.year
    }

    pub(crate) fn is_living_adult(&self) -> bool {
        self.age() >= 18 && self.death.is_none()
    }

    pub(crate) fn gender(&self) -> &'static str {
        if self.male { "M" } else { "F" }
    }

    pub(crate) fn as_relative(&self) -> Relative {
        Relative {
            name: self.name.full(),
            personal_id: self.personal_id.clone(),
            legacy_id: self.legacy_id.clone(),
            birth: self.birth,
            ethnicity: self.ethnicity,
            home: self.permanent.clone(),
        }
    }
}

/// What a register knows of somebody's relative.
#[derive(Clone, Debug)]
pub(crate) struct Relative {
    pub(crate) name: String,
    pub(crate) personal_id: Option<String>,
    pub(crate) legacy_id: Option<String>,
    pub(crate) birth: Date,
    pub(crate) ethnicity: &'static str,
    pub(crate) home: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Head,
    Spouse,
    Child,
    Parent,
}

#[derive(Clone, Debug)]
pub(crate) struct Household {
    pub(crate) head: Local,
    pub(crate) number: String,
    pub(crate) code: String,
}

/// A marriage between two people of the block, in force or not.
#[derive(Clone, Debug)]
pub(crate) struct Marriage {
    pub(crate) husband: Local,
    pub(crate) wife: Local,
    pub(crate) date: Date,
    pub(crate) is_divorced: bool,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) index: u64,
    pub(crate) region: Region,
    pub(crate) people: Vec<Person>,
    pub(crate) households: Vec<Household>,
    pub(crate) marriages: Vec<Marriage>,
}

impl Block {
    /// The people of a block.
    pub(crate) fn new(plan: &Plan, index: u64) -> Self {
        let first = index * BLOCK;
        let size = BLOCK.min(plan.people.saturating_sub(first)) as usize;
        // The window of equal serials, not the block, decides which half of the regions a block is in.
        let region = Region::of(mix(plan.seed, mix(key("region"), index % 50_000)), first);
        let block = Self { index, region, people: Vec::new(), households: Vec::new(), marriages: Vec::new() };
        let rng = stream(plan.seed, Domain::Block, index);
        let mut builder = Builder { plan, block, rng };
        while builder.block.people.len() < size {
            builder.family(size - builder.block.people.len());
        }
        builder.cast();
        builder.block
    }

    pub(crate) fn spouse(&self, person: &Person) -> Option<&Person> {
        person.spouse.map(|spouse| &self.people[spouse])
    }

    pub(crate) fn living_adults(&self) -> impl Iterator<Item = (Local, &Person)> {
        self.people.iter().enumerate().filter(|(_, person)| person.is_living_adult() && person.personal_id.is_some())
    }

    /// The living adult a hash falls on; a block of children only has none.
    pub(crate) fn adult(&self, hash: u64) -> Option<&Person> {
        let count = self.living_adults().count() as u64;
        let at = hash.checked_rem(count)?;
        self.living_adults().nth(at as usize).map(|(_, person)| person)
    }

    pub(crate) fn everywhere(&self) -> Option<&Person> {
        self.people.iter().find(|person| person.is_everywhere)
    }
}

/// What the members of a family have in common.
struct Kin {
    ethnicity: &'static str,
    family: Option<String>,
    household: usize,
    home: Place,
}

struct Builder<'a> {
    plan: &'a Plan,
    block: Block,
    rng: ChaCha8Rng,
}

impl Builder<'_> {
    fn family(&mut self, room: usize) {
        let region = self.block.region;
        let ethnicity = name::ethnicity(&mut self.rng, region);
        let family = name::family(&mut self.rng, ethnicity, region);
        let home = Place::within(&mut self.rng, region);
        let kin = Kin { ethnicity, family, household: self.block.households.len(), home };
        self.open_household(self.block.people.len());

        let age =
            weighted(&mut self.rng, &[(25..35, 24), (35..45, 26), (45..60, 30), (60..75, 15), (75..92, 5)].map(range));
        let born = PRESENT_YEAR - self.rng.random_range(age.0..age.1);
        if room < 2 || self.rng.random_bool(0.12) {
            let male = self.rng.random_bool(0.5);
            let head = self.member(&kin, male, born, Relation::Head, None);
            self.block.people[head].marital = if born < 1960 { Marital::Widowed } else { Marital::Single };
            return;
        }
        let husband = self.member(&kin, true, born, Relation::Head, None);
        let bride_family = name::family(&mut self.rng, ethnicity, region);
        let bride = Kin { family: bride_family, home: kin.home.clone(), ..kin };
        let wife_born = (born + self.rng.random_range(0..8)).saturating_sub(2).min(PRESENT_YEAR - 20);
        let wife = self.member(&bride, false, wife_born, Relation::Spouse, None);
        let wedding = (born.max(wife_born) + 20 + self.rng.random_range(0..8)).min(PRESENT_YEAR);
        self.marry(husband, wife, wedding);

        let child_kin =
            Kin { family: if ethnicity == "10" { bride.family.clone() } else { kin.family.clone() }, ..kin };
        self.children(&child_kin, husband, wife, wedding, room - 2);
        let left = room.saturating_sub(self.block.people.len() - husband);
        if left > 0 && born > 1965 && self.rng.random_bool(0.1) {
            let elder_kin = Kin { family: bride.family.clone(), ..child_kin };
            let male = self.rng.random_bool(0.3);
            let elder_born = born - self.rng.random_range(22..34);
            let elder = self.member(&elder_kin, male, elder_born, Relation::Parent, None);
            self.block.people[elder].marital = Marital::Widowed;
        }
    }

    fn children(&mut self, kin: &Kin, father: Local, mother: Local, wedding: u16, room: usize) {
        let count = weighted(&mut self.rng, &[(0usize, 15), (1, 30), (2, 38), (3, 13), (4, 4)]).min(room);
        let mother_family = self.block.people[mother].name.family.clone();
        let last = self.block.people[mother].birth.year + 45;
        for nth in 0..count {
            let year = wedding + 1 + nth as u16 * 3 + self.rng.random_range(0..2);
            // A child too old to live with the parents, or not yet born, is not of this household.
            if year > last || year > PRESENT_YEAR || PRESENT_YEAR - year > 32 {
                continue;
            }
            let parents = (father, mother, mother_family.as_deref());
            let male = self.rng.random_bool(0.512);
            self.member(kin, male, year, Relation::Child, Some(parents));
        }
    }

    fn open_household(&mut self, head: Local) {
        let number = format!("{}{:07}", self.block.region.old_province(), self.block.index * BLOCK + head as u64);
        let code = format!("{}{:08}", self.block.region.old_province(), self.block.index * BLOCK + head as u64 + 1);
        self.block.households.push(Household { head, number, code });
    }

    fn marry(&mut self, husband: Local, wife: Local, year: u16) {
        let date = Date::within(&mut self.rng, year);
        let is_divorced = self.rng.random_bool(0.04);
        self.block.marriages.push(Marriage { husband, wife, date, is_divorced });
        let (widower, widow) = (self.block.people[wife].death.is_some(), self.block.people[husband].death.is_some());
        for (person, spouse, bereft) in [(husband, wife, widower), (wife, husband, widow)] {
            let person = &mut self.block.people[person];
            person.spouse = (!is_divorced).then_some(spouse);
            person.marital = match (is_divorced, bereft) {
                (true, _) => Marital::Divorced,
                (false, true) => Marital::Widowed,
                (false, false) => Marital::Married,
            };
        }
        if is_divorced {
            let household = self.block.households.len();
            self.open_household(wife);
            self.block.people[wife].household = household;
            self.block.people[wife].relation = Relation::Head;
        }
    }

    fn member(
        &mut self,
        kin: &Kin,
        male: bool,
        year: u16,
        relation: Relation,
        parents: Option<(Local, Local, Option<&str>)>,
    ) -> Local {
        let (plan, region) = (self.plan, self.block.region);
        let local = self.block.people.len();
        let index = self.block.index * BLOCK + local as u64;
        let rng = &mut self.rng;
        let birth = birth(rng, year);
        let mother_family = parents.and_then(|(_, _, family)| family);
        let name = name::person(rng, kin.ethnicity, kin.family.as_deref(), mother_family, male, year);
        let elsewhere = rng.random_bool(0.08).then(|| rng.random_range(0..30));
        let personal_id = number::personal_id(index, region, elsewhere, male, birth);
        let had_card = year <= 2001 && rng.random_bool(0.85);
        let card_only = had_card && year < 2000 && happens(plan.seed, "cmnd_only", index, plan.rates.cmnd_only);
        let doubled = had_card && happens(plan.seed, "duplicate_person", index, plan.rates.duplicate_person);
        let birth_place = match elsewhere {
            Some(_) => Place::elsewhere(rng),
            None => Place::within(rng, region),
        };
        let hometown = if rng.random_bool(0.7) { birth_place.clone() } else { Place::within(rng, region) };
        let current = if rng.random_bool(0.9) { kin.home.clone() } else { Place::within(rng, region) };
        let age = PRESENT_YEAR - year;
        // Nobody dies between 18 and 45: weddings and births of children lie there.
        let (death_rate, earliest) = match age {
            71.. => (0.08, year + 60),
            46.. => (0.01, year + 45),
            18.. => (0.0, year),
            _ => (0.002, year + 1),
        };
        let death = rng.random_bool(death_rate).then(|| Date::between(rng, earliest.max(2010), PRESENT_YEAR));
        let (father, mother) = match parents {
            Some((father, mother, _)) => {
                (Some(self.block.people[father].as_relative()), Some(self.block.people[mother].as_relative()))
            }
            None => self.elders(kin, year),
        };
        let rng = &mut self.rng;
        self.block.people.push(Person {
            index,
            personal_id: (!card_only).then_some(personal_id),
            legacy_id: had_card.then(|| number::legacy_id(index, region, false)),
            second_legacy_id: doubled.then(|| number::legacy_id(index, region, true)),
            insurance_number: rng.random_bool(0.94).then(|| number::insurance_number(index, region, false)),
            name,
            male,
            birth,
            ethnicity: kin.ethnicity,
            religion: weighted(rng, &[("99", 85), ("01", 8), ("02", 3), ("08", 3), ("05", 1)]),
            blood: weighted(rng, &[("00", 60), ("01", 8), ("02", 12), ("03", 3), ("04", 17)]),
            marital: Marital::Single,
            father,
            mother,
            spouse: None,
            household: kin.household,
            relation,
            birth_place,
            hometown,
            permanent: kin.home.clone(),
            current,
            death,
            is_everywhere: false,
            is_disputed: false,
            is_known_by_card: false,
        });
        local
    }

    /// Parents who are in no register: a name and a year.
    fn elders(&mut self, kin: &Kin, child_born: u16) -> (Option<Relative>, Option<Relative>) {
        let mut elder = |male: bool| {
            let rng = &mut self.rng;
            if rng.random_bool(0.1) {
                return None;
            }
            let year = child_born - rng.random_range(20..38);
            let family = match male == (kin.ethnicity != "10") {
                true => kin.family.clone(),
                false => name::family(rng, kin.ethnicity, self.block.region),
            };
            Some(Relative {
                name: name::person(rng, kin.ethnicity, family.as_deref(), None, male, year).full(),
                personal_id: None,
                legacy_id: None,
                birth: Date::year(year),
                ethnicity: kin.ethnicity,
                home: Place::within(rng, self.block.region),
            })
        };
        (elder(true), elder(false))
    }

    /// Chooses the people of the block who have a part to play in demonstrations.
    fn cast(&mut self) {
        let index = self.block.index;
        let first = index < 5;
        let employs = !self.plan.firms_of(index).is_empty() && !self.plan.units_of(index).is_empty();
        let everywhere = employs && (index == 0 || happens(self.plan.seed, "everywhere", index, 0.2));
        let mut adults = self.block.people.iter_mut().filter(|person| {
            person.is_living_adult()
                && (30..70).contains(&person.age())
                && person.birth.is_full()
                && person.personal_id.is_some()
                && person.second_legacy_id.is_none()
        });
        if everywhere && let Some(person) = adults.next() {
            person.is_everywhere = true;
            let index = person.index;
            let number = || number::insurance_number(index, self.block.region, false);
            person.insurance_number.get_or_insert_with(number);
        }
        if first && let Some(person) = adults.next() {
            person.is_disputed = true;
            let index = person.index;
            let number = || number::insurance_number(index, self.block.region, false);
            person.insurance_number.get_or_insert_with(number);
        }
        if first && let Some(person) = adults.next() {
            person.is_known_by_card = true;
            let index = person.index;
            let region = self.block.region;
            person.legacy_id.get_or_insert_with(|| number::legacy_id(index, region, false));
            person.insurance_number.get_or_insert_with(|| number::insurance_number(index, region, false));
        }
    }
}

fn range<T>((range, weight): (std::ops::Range<u16>, T)) -> ((u16, u16), T) {
    ((range.start, range.end), weight)
}

/// A birth date; for some only the year is known, more often for those born before 1960.
fn birth(rng: &mut ChaCha8Rng, year: u16) -> Date {
    let year_only = if year < 1960 { 0.06 } else { 0.01 };
    let date = Date::within(rng, year);
    match rng.random_range(0.0..1.0) {
        draw if draw < year_only => Date::year(year),
        draw if draw > 0.996 => date.month_only(),
        _ => date,
    }
}
