//! How one person likes the screens: theme, density, single-key shortcuts and which keys they are. Kept in a cookie, so that the first paint is right
//! without a script; never in the database, because it belongs to the browser and not to the account.

use serde::{Deserialize, Serialize};

use crate::keymap::Keymap;

/// The choices; the default follows the system, is comfortable, and has shortcuts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// `light` or `dark`; `None` follows the system.
    pub theme: Option<String>,
    /// Rows closer together.
    pub compact: bool,
    /// Single-letter shortcuts are off (WCAG 2.1.4).
    pub no_keys: bool,
    /// Keys in place of ours.
    pub keymap: Keymap,
}

impl Preferences {
    /// The attributes of `<html>` that the stylesheet and the key listener look at.
    pub fn attributes(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("data-theme", self.theme.clone()),
            ("data-density", self.compact.then(|| "compact".to_owned())),
            ("data-keys", self.no_keys.then(|| "off".to_owned())),
            ("data-keymap", Some(self.keymap.to_text()).filter(|text| !text.is_empty())),
        ]
    }

    /// The choices that the page has now.
    #[cfg(not(feature = "ssr"))]
    pub fn current() -> Self {
        let html = leptos::prelude::document().document_element();
        let attribute = |name: &str| html.as_ref().and_then(|html| html.get_attribute(name));
        Self {
            theme: attribute("data-theme"),
            compact: attribute("data-density").is_some(),
            no_keys: attribute("data-keys").is_some(),
            keymap: attribute("data-keymap").map(|text| Keymap::parse(&text)).unwrap_or_default(),
        }
    }

    /// Shows the choices at once.
    pub fn apply(&self) {
        let Some(html) = leptos::prelude::document().document_element() else { return };
        for (name, value) in self.attributes() {
            _ = match value {
                Some(value) => html.set_attribute(name, &value),
                None => html.remove_attribute(name),
            };
        }
    }
}

/// The cookie, which only the server reads and writes.
#[cfg(feature = "ssr")]
impl Preferences {
    /// Its name.
    pub const COOKIE: &str = "signalbox_ui";

    /// The choices of this request.
    pub fn current() -> Self {
        crate::ssr::cookie(Self::COOKIE).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Reads its value; words that it does not know it ignores.
    pub fn parse(text: &str) -> Self {
        let mut preferences = Self { keymap: Keymap::parse(text), ..Self::default() };
        for word in text.split('.') {
            match word {
                "light" | "dark" => preferences.theme = Some(word.to_owned()),
                "compact" => preferences.compact = true,
                "nokeys" => preferences.no_keys = true,
                _ => {}
            }
        }
        preferences
    }

    /// Its value.
    pub fn to_text(&self) -> String {
        let keymap = self.keymap.to_text();
        let mut words = vec![self.theme.as_deref().unwrap_or("system")];
        words.extend(self.compact.then_some("compact"));
        words.extend(self.no_keys.then_some("nokeys"));
        words.extend(Some(&*keymap).filter(|text| !text.is_empty()));
        words.join(".")
    }

    /// With the choices that were made; what is `None` stays.
    #[must_use]
    pub fn with(mut self, theme: Option<&str>, density: Option<&str>, keys: Option<&str>) -> Self {
        match theme {
            Some(theme @ ("light" | "dark")) => self.theme = Some(theme.to_owned()),
            Some(_) => self.theme = None,
            None => {}
        }
        self.compact = density.map_or(self.compact, |density| density == "compact");
        self.no_keys = keys.map_or(self.no_keys, |keys| keys == "off");
        self
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["system", "dark", "light.compact", "system.nokeys", "dark.compact.nokeys", "light.gw-b.n-y"] {
            assert_eq!(Preferences::parse(text).to_text(), text);
        }
        assert_eq!(Preferences::parse("\"><script>"), Preferences::default());
        let dark = Preferences::parse("dark.compact");
        assert_eq!(dark.clone().with(None, None, Some("off")).to_text(), "dark.compact.nokeys");
        assert_eq!(dark.with(Some("system"), Some("comfortable"), None).to_text(), "system");
    }
}
