//! Views that members keep of lists.

use serde::{Deserialize, Serialize};

use crate::Problems;

/// Most views of one member.
pub const MAX_SAVED_VIEWS: usize = 100;
/// Lists of which views can be kept.
const LISTS: [&str; 3] = ["/deliveries", "/events", "/dead-letters"];
/// Most characters of a name.
const MAX_NAME: usize = 60;
/// Most bytes of the filters.
const MAX_QUERY_BYTES: usize = 2_000;

/// Filters of a list under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    /// Path of the list: `/deliveries`.
    pub list: String,
    /// How its owner calls it; one of a list, at most 60 characters.
    pub name: String,
    /// The filters as they stand in the address, without the question mark.
    pub query: String,
}

impl SavedView {
    /// Where it is looked at.
    pub fn href(&self) -> String {
        format!("{}?{}", self.list, self.query)
    }

    /// As it can be kept, without spaces around its name.
    ///
    /// # Errors
    /// A precise message at the field.
    pub fn checked(self) -> Result<Self, Problems> {
        let view = Self { name: self.name.trim().to_owned(), ..self };
        let mut problems = Problems::default();
        if view.name.is_empty() {
            problems.add("name", "Name is required");
        } else if view.name.chars().count() > MAX_NAME || view.name.contains(char::is_control) {
            problems.add("name", format!("Name must be at most {MAX_NAME} characters"));
        }
        if !LISTS.contains(&&*view.list) {
            problems.add("list", "Views are kept of deliveries, events and dead letters");
        }
        let is_address = |c: char| c.is_ascii_graphic() && !"#?<>\"\\".contains(c);
        if view.query.is_empty() || view.query.len() > MAX_QUERY_BYTES || !view.query.chars().all(is_address) {
            problems.add("query", "Choose filters first");
        }
        problems.or(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(list: &str, name: &str, query: &str) -> SavedView {
        SavedView { list: list.to_owned(), name: name.to_owned(), query: query.to_owned() }
    }

    #[test]
    fn only_filters_of_lists_are_kept() {
        let kept = view("/deliveries", " Mine ", "status=failed&text=a%20b").checked().unwrap();
        assert_eq!((&*kept.name, &*kept.href()), ("Mine", "/deliveries?status=failed&text=a%20b"));
        for (wrong, field) in [
            (view("/deliveries", "  ", "a=b"), "name"),
            (view("/deliveries", &"x".repeat(61), "a=b"), "name"),
            (view("//evil.example", "Mine", "a=b"), "list"),
            (view("/events", "Mine", ""), "query"),
            (view("/events", "Mine", "a=b#c"), "query"),
            (view("/events", "Mine", "a=b\r\nc"), "query"),
        ] {
            let problems = wrong.checked().unwrap_err().into_vec();
            assert_eq!(problems.iter().map(|problem| &*problem.field).collect::<Vec<_>>(), [field]);
        }
    }
}
