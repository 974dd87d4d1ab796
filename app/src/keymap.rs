//! Keys that a person chose in place of ours. They live with the other preferences: in a cookie for the first paint, and as an
//! attribute of `<html>` for the listener.

use std::collections::BTreeMap;

use domain::Problems;
use serde::{Deserialize, Serialize};

use crate::keyboard::{CONTROLS, places};

/// Keys that cannot be given away: they begin a sequence, move among rows, open the help.
const FIXED: [&str; 4] = ["g", "j", "k", "?"];

/// Which of our keys stand elsewhere. A control is known by its own key (`n`), a page by `g` and its key (`gw`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap(BTreeMap<String, String>);

impl Keymap {
    /// The key of the control that is `key` with us.
    pub fn control(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_else(|| key.to_owned())
    }

    /// The key after `g` of the page that is `key` with us.
    pub fn place(&self, key: &str) -> String {
        self.0.get(&format!("g{key}")).cloned().unwrap_or_else(|| key.to_owned())
    }

    /// Out of `n-y.gw-b`; what makes no sense is left out.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('.').filter_map(|word| word.split_once('-'));
        let pairs = pairs.filter(|(ours, own)| names().any(|(name, _)| name == *ours) && is_key(own));
        Self(pairs.map(|(ours, own)| (ours.to_owned(), own.to_owned())).collect())
    }

    /// As it is parsed.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|(ours, own)| format!("{ours}-{own}")).collect::<Vec<_>>().join(".")
    }

    /// From a form: a key for each of [`names`]; what is left empty stays ours.
    ///
    /// # Errors
    /// At the field, which has the name of the key: it is no key, or two things would have it.
    pub fn chosen(typed: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut map = Self::default();
        let mut taken: BTreeMap<(bool, String), &str> = BTreeMap::new();
        for (name, title) in names() {
            let (ours, is_place) =
                name.strip_prefix('g').filter(|key| !key.is_empty()).map_or((&*name, false), |key| (key, true));
            let own = typed.get(&name).map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty());
            let own = own.unwrap_or_else(|| ours.to_owned());
            if !is_key(&own) {
                problems.add(&name, "A letter, a digit or /");
            } else if !is_place && FIXED.contains(&&*own) {
                problems.add(&name, format!("{own} cannot be changed"));
            } else if let Some(other) = taken.insert((is_place, own.clone()), title) {
                problems.add(&name, format!("{own} is {other} already"));
            } else if own != ours {
                map.0.insert(name, own);
            }
        }
        problems.or(map)
    }
}

/// Everything that has a key of its own, and what it is called: controls first, then pages.
pub fn names() -> impl Iterator<Item = (String, &'static str)> {
    let controls = CONTROLS.iter().map(|(key, title)| ((*key).to_owned(), *title));
    controls.chain(places().map(|place| (format!("g{}", place.key), place.title)))
}

fn is_key(key: &str) -> bool {
    matches!(key.as_bytes(), [b'a'..=b'z' | b'0'..=b'9' | b'/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, key)| ((*name).to_owned(), (*key).to_owned())).collect()
    }

    #[test]
    fn text_and_back() {
        let map = Keymap::chosen(&typed(&[("n", "Y"), ("gw", "b"), ("e", "e")])).unwrap();
        assert_eq!(map.to_text(), "gw-b.n-y");
        assert_eq!(Keymap::parse(&map.to_text()), map);
        assert_eq!(
            (map.control("n"), map.control("e"), map.place("w"), map.place("e")),
            ("y".into(), "e".into(), "b".into(), "e".into())
        );
        assert_eq!(Keymap::parse("n-<.zz-a.light"), Keymap::default());
    }

    #[test]
    fn no_key_does_two_things() {
        let fields = |pairs: &[(&str, &str)]| {
            let problems = Keymap::chosen(&typed(pairs)).unwrap_err().into_vec();
            problems.into_iter().map(|problem| (problem.field, problem.message)).collect::<Vec<_>>()
        };
        assert_eq!(fields(&[("e", "n")]), [("e".to_owned(), "n is New already".to_owned())]);
        assert_eq!(fields(&[("n", "g")]), [("n".to_owned(), "g cannot be changed".to_owned())]);
        assert_eq!(fields(&[("n", "é")]), [("n".to_owned(), "A letter, a digit or /".to_owned())]);
        assert_eq!(fields(&[("gw", "d")]), [("gd".to_owned(), "d is Webhooks already".to_owned())]);
        // The two kinds do not get in each other's way, and two can change places.
        assert!(Keymap::chosen(&typed(&[("n", "e"), ("e", "n"), ("gw", "d"), ("gd", "w")])).is_ok());
    }
}
