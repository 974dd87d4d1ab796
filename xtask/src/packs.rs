//! Which parts of the module travel together. A part for every set of pages that share something is a hundred files, most of a
//! few hundred bytes: going to a page would wait for fifty answers. Merging two parts makes some page fetch what it does not need,
//! and saves every page that needs both a request. A first visit gets the packs of its page in one file (`bundle`).

use std::collections::BTreeMap;

/// How many bytes, not optimized and not compressed, cost as much as one more request, one more module to start, and what is
/// compressed alone instead of together.
const REQUEST_BYTES: u64 = 10_000;

/// Parts that are merged, with the pages that need any of them.
#[derive(Debug)]
pub struct Pack {
    /// A bit for each page, in the order of the map.
    pages: u64,
    bytes: u64,
    pub parts: Vec<String>,
}

impl Pack {
    /// The pages that need it, of those that were packed.
    pub fn pages<'a>(&self, pages: &'a BTreeMap<String, Vec<String>>) -> impl Iterator<Item = &'a String> {
        let needing = self.pages;
        pages.keys().enumerate().filter(move |(number, _)| needing >> number & 1 == 1).map(|(_, page)| page)
    }
}

/// Packs parts: as long as there are two packs that are cheaper as one, the two that save most become one. `pages`: page → its
/// parts, of at most 64 pages. `bytes`: part → its size.
pub fn packed(pages: &BTreeMap<String, Vec<String>>, bytes: &BTreeMap<String, u64>) -> Vec<Pack> {
    assert!(pages.len() <= 64, "each page is a bit");
    let mut packs: Vec<Pack> = bytes
        .iter()
        .map(|(part, &bytes)| {
            let needing = pages.values().map(|parts| u64::from(parts.contains(part)));
            let pages = needing.enumerate().fold(0, |all, (number, bit)| all | bit << number);
            Pack { pages, bytes, parts: vec![part.clone()] }
        })
        .collect();
    while let Some((_, one, other)) = (0..packs.len())
        .flat_map(|one| (0..one).map(move |other| (one, other)))
        .filter_map(|(one, other)| Some((saved(&packs[one], &packs[other])?, one, other)))
        .max()
    {
        let Pack { pages, bytes, parts } = packs.remove(one);
        packs[other].pages |= pages;
        packs[other].bytes += bytes;
        packs[other].parts.extend(parts);
    }
    packs
}

/// What merging two packs saves all pages together, in bytes; none if it costs.
fn saved(one: &Pack, other: &Pack) -> Option<u64> {
    let count = |pages: u64| u64::from(pages.count_ones());
    let requests = count(one.pages & other.pages) * REQUEST_BYTES;
    let more = one.bytes * count(other.pages & !one.pages) + other.bytes * count(one.pages & !other.pages);
    requests.checked_sub(more).filter(|saved| *saved > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed_parts(parts: &[(&str, u64, &[&str])]) -> Vec<Vec<String>> {
        let mut pages = BTreeMap::<String, Vec<String>>::new();
        for (part, _, needing) in parts {
            for page in *needing {
                pages.entry((*page).to_owned()).or_default().push((*part).to_owned());
            }
        }
        let bytes = parts.iter().map(|(part, bytes, _)| ((*part).to_owned(), *bytes)).collect();
        packed(&pages, &bytes).into_iter().map(|pack| pack.parts).collect()
    }

    #[test]
    fn what_the_same_pages_need_is_one() {
        assert_eq!(packed_parts(&[("a", 90_000, &["x", "y"]), ("b", 10, &["x", "y"])]), [["a", "b"]]);
    }

    #[test]
    fn small_parts_join_those_that_most_of_their_pages_need() {
        let parts: [(&str, u64, &[&str]); 3] =
            [("all", 9_000, &["x", "y", "z"]), ("two", 2_000, &["x", "y"]), ("z", 50_000, &["z"])];
        assert_eq!(packed_parts(&parts), [vec!["all", "two"], vec!["z"]]);
    }

    #[test]
    fn large_parts_stay_with_the_pages_that_need_them() {
        let parts: [(&str, u64, &[&str]); 3] =
            [("both", 100_000, &["x", "y"]), ("x", 70_000, &["x"]), ("y", 70_000, &["y"])];
        assert_eq!(packed_parts(&parts), [["both"], ["x"], ["y"]]);
    }
}
