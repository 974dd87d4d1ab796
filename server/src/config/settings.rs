//! Where settings come from: the embedded defaults, a file, the environment, the command line, each winning over the one
//! before.
//!
//! Every setting is a text until all sources have spoken. Only the winner is parsed, so an error names the place to mend.
//! Unknown settings are refused: a typo must not silently mean the default.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;

/// All settings with their defaults, commented: the reference manual.
pub(super) const DEFAULTS: &str = include_str!("../../config.default.toml");
/// Read when no other file is named and it exists.
const DEFAULT_FILE: &str = "signalbox.toml";
/// What the names of environment variables begin with.
const ENVIRONMENT_PREFIX: &str = "SIGNALBOX_";

/// Every setting there is.
pub(super) const KEYS: [&str; 16] = [
    "listen",
    "data_dir",
    "database_url",
    "public_url",
    "allow_networks",
    "proxy",
    "master_key",
    "secret_folders",
    "storage_folder",
    "uplink_hosts",
    "header_prefix",
    "bootstrap_email",
    "bootstrap_password",
    "bootstrap_api_key",
    "log",
    "log_format",
];
/// Those that are lists of texts.
const LISTS: [&str; 3] = ["allow_networks", "secret_folders", "uplink_hosts"];
/// Those that are never printed. URLs are printed without their password.
const SECRETS: [&str; 3] = ["master_key", "bootstrap_password", "bootstrap_api_key"];

/// Settings on the command line. Secrets have no flag: every user of the machine can read a command line.
#[derive(Debug, Default, Clone, Args)]
pub struct Flags {
    /// Configuration file instead of ./signalbox.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Folder for the SQLite file and the master key.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Database: sqlite://… or postgres://….
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// What people and programs reach this server by.
    #[arg(long, global = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// Networks that webhooks may reach although they are not public, separated by commas.
    #[arg(long, global = true, value_name = "CIDRS")]
    pub allow_networks: Option<String>,
    /// Beginning of the product's own delivery headers.
    #[arg(long, global = true, value_name = "PREFIX")]
    pub header_prefix: Option<String>,
    /// What is logged, such as info or info,server=debug.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// text or json.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl Flags {
    fn settings(&self) -> [(&'static str, Option<&String>); 8] {
        [
            ("listen", self.listen.as_ref()),
            ("data_dir", self.data_dir.as_ref()),
            ("database_url", self.database_url.as_ref()),
            ("public_url", self.public_url.as_ref()),
            ("allow_networks", self.allow_networks.as_ref()),
            ("header_prefix", self.header_prefix.as_ref()),
            ("log", self.log.as_ref()),
            ("log_format", self.log_format.as_ref()),
        ]
    }
}

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: the embedded default.
    Default,
    /// A file.
    File(PathBuf),
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

/// A setting as it is called in the place where it was given, so that the reader knows what to mend.
struct Named<'a>(&'a Place, &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(place, key) = self;
        match place {
            Place::Default => write!(f, "{key}"),
            Place::File(path) => write!(f, "{key} in {}", path.display()),
            Place::Environment => write!(f, "{ENVIRONMENT_PREFIX}{}", key.to_uppercase()),
            Place::Flag => write!(f, "--{}", key.replace('_', "-")),
        }
    }
}

/// Why the settings cannot be used. Complete sentences: the process prints them and ends.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("Cannot read the configuration file {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {error}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// There is no such setting.
    #[error("There is no setting {given}. {hint}")]
    Unknown {
        /// As it was given.
        given: String,
        /// What may have been meant.
        hint: String,
    },
    /// The value cannot be used.
    #[error("{setting} cannot be {value:?}: {reason}")]
    Invalid {
        /// The setting as it is called where it was given.
        setting: String,
        /// The value; `…` for secrets.
        value: String,
        /// What is expected.
        reason: String,
    },
}

/// The settings as texts, each with the place it came from.
#[derive(Debug)]
pub struct Settings(BTreeMap<&'static str, (String, Place)>);

impl Settings {
    /// Asks all sources. `environment`: all variables of the process; those of other programs are passed over.
    pub fn gather(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut settings = Self(BTreeMap::new());
        settings.add_toml(DEFAULTS, &Place::Default)?;

        let mut from_environment = Vec::new();
        let mut file = flags.config.clone();
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            match key {
                "CONFIG" => file = file.or(Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty())),
                // What clients of a server use: `events send`, and the examples for curl.
                "API_KEY" => {}
                // Tests of this repository speak to each other through these.
                "BIN" => {}
                _ if key.starts_with("TEST_") => {}
                _ => from_environment
                    .push((known(key, &name, |key| format!("{ENVIRONMENT_PREFIX}{}", key.to_uppercase()))?, value)),
            }
        }
        match file {
            Some(path) => settings.add_file(path)?,
            None if Path::new(DEFAULT_FILE).is_file() => settings.add_file(PathBuf::from(DEFAULT_FILE))?,
            None => {}
        }
        for (key, value) in from_environment {
            settings.add(key, value, Place::Environment);
        }
        for (key, value) in flags.settings() {
            if let Some(value) = value {
                settings.add(key, value.clone(), Place::Flag);
            }
        }
        Ok(settings)
    }

    fn add(&mut self, key: &'static str, value: String, place: Place) {
        if !value.is_empty() {
            self.0.insert(key, (value, place));
        }
    }

    fn add_file(&mut self, path: PathBuf) -> Result<(), ConfigError> {
        match fs::read_to_string(&path) {
            Ok(text) => self.add_toml(&text, &Place::File(path)),
            Err(error) => Err(ConfigError::Unreadable { path, error }),
        }
    }

    pub(super) fn add_toml(&mut self, text: &str, place: &Place) -> Result<(), ConfigError> {
        let path = || if let Place::File(path) = place { path.clone() } else { PathBuf::from("config.default.toml") };
        let table: toml::Table =
            text.parse().map_err(|error| ConfigError::NotToml { path: path(), error: Box::new(error) })?;
        for (name, value) in table {
            let key = known(&name, &format!("{name} in {}", path().display()), str::to_owned)?;
            let text = match &value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Array(items) if LISTS.contains(&key) => {
                    items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>().map(|items| items.join(","))
                }
                _ => None,
            };
            let Some(text) = text else {
                let expected = if LISTS.contains(&key) { "a list of texts" } else { "a text in quotation marks" };
                return Err(invalid(place, key, &value.to_string(), format!("expected {expected}")));
            };
            self.add(key, text, place.clone());
        }
        Ok(())
    }

    /// The commented defaults with the values that are in force: what `config print` prints.
    pub fn print(&self) -> String {
        let mut out = String::with_capacity(DEFAULTS.len());
        for line in DEFAULTS.lines() {
            let name = line.trim_start_matches("# ").split_once(" = ").map(|(name, _)| name);
            match name.and_then(|name| KEYS.into_iter().find(|key| *key == name)) {
                Some(key) => self.print_setting(&mut out, key, line),
                None => out.push_str(line),
            }
            out.push('\n');
        }
        out
    }

    fn print_setting(&self, out: &mut String, key: &'static str, default: &str) {
        let Some((value, place)) = self.0.get(key) else { return out.push_str(default) };
        let shown = match key {
            key if LISTS.contains(&key) => {
                toml::Value::Array(value.split(',').map(|item| toml::Value::from(item.trim())).collect())
            }
            "database_url" | "proxy" => toml::Value::from(without_password(value)),
            _ if SECRETS.contains(&key) => toml::Value::from("…"),
            _ => toml::Value::from(value.as_str()),
        };
        match place {
            Place::Default => out.push_str(default),
            Place::File(path) => write!(out, "{key} = {shown} # {}", path.display()).expect("a String takes it"),
            Place::Environment | Place::Flag => {
                write!(out, "{key} = {shown} # {}", Named(place, key)).expect("a String takes it");
            }
        }
    }

    /// Parses the value of `key`, which has a default; `read` says what is expected when it cannot.
    pub(super) fn parse<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.parse_optional(key, read).map(|value| value.expect("config.default.toml has a value"))
    }

    pub(super) fn parse_optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((value, place)) = self.0.get(key) else { return Ok(None) };
        read(value).map(Some).map_err(|reason| invalid(place, key, value, reason))
    }
}

fn invalid(place: &Place, key: &'static str, value: &str, reason: String) -> ConfigError {
    let value = match key {
        "database_url" | "proxy" => without_password(value),
        _ if SECRETS.contains(&key) => "…".to_owned(),
        _ => value.to_owned(),
    };
    ConfigError::Invalid { setting: Named(place, key).to_string(), value, reason }
}

/// A URL as it may be shown and logged.
pub fn without_password(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let start = before.find("://").map_or(0, |at| at + 3);
    match before[start..].split_once(':') {
        Some((user, _)) => format!("{}{user}:…@{host}", &before[..start]),
        None => url.to_owned(),
    }
}

/// The known key that `name` is, in any case; else an error that proposes the nearest one, written by `spell`.
fn known(name: &str, given: &str, spell: impl Fn(&str) -> String) -> Result<&'static str, ConfigError> {
    let name = name.to_lowercase();
    if let Some(key) = KEYS.into_iter().find(|key| *key == name) {
        return Ok(key);
    }
    let nearest = KEYS.into_iter().min_by_key(|key| distance(key, &name)).expect("there are keys");
    let hint = if distance(nearest, &name) <= name.len().div_ceil(3) {
        format!("Did you mean {}?", spell(nearest))
    } else {
        format!("There are: {}", KEYS.map(spell).join(", "))
    };
    Err(ConfigError::Unknown { given: given.to_owned(), hint })
}

/// Edits that turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
