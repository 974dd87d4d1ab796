//! Settings: what they mean and what is wrong with them. Where they come from is in [`settings`].
//!
//! Nothing else in the product reads the environment.

mod settings;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use engine::{UplinkHost, http::Proxy};
use http::{HeaderName, Uri};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

pub use settings::{ConfigError, Flags, Place, Settings, without_password};

/// Most hosts that are asked whether there is a connection.
const MAX_UPLINK_HOSTS: usize = 8;
/// Shortest bootstrap API key, in characters.
const MIN_API_KEY: usize = 32;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The settings, ready to use.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder for what must survive a restart.
    pub data_dir: PathBuf,
    /// Where everything is stored.
    pub database_url: String,
    /// What the server is reached by, without a slash at the end; by default the address listened on.
    pub public_url: Option<String>,
    /// Networks open to deliveries although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// What deliveries leave through, when they do not leave directly.
    pub proxy: Option<Proxy>,
    /// Base64 of the key that encrypts stored secrets; by default kept in the data folder.
    pub master_key: Option<String>,
    /// Folders whose files integrations may refer to for their secrets.
    pub secret_folders: Vec<PathBuf>,
    /// Folder below which integrations may keep files.
    pub storage_folder: Option<PathBuf>,
    /// What this server is expected to reach, asked when a provider is not reached.
    pub uplink_hosts: Vec<UplinkHost>,
    /// Beginning of the product's own delivery headers.
    pub header_prefix: String,
    /// The first owner's e-mail address and password.
    pub bootstrap_owner: Option<(String, String)>,
    /// An API key that exists from the first start on.
    pub bootstrap_api_key: Option<String>,
    /// What is logged: directives of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

impl TryFrom<&Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: &Settings) -> Result<Self, ConfigError> {
        let text = |value: &str| Ok(value.to_owned());
        let data_dir = settings.parse("data_dir", |value| Ok(PathBuf::from(value)))?;
        let database_url = settings.parse_optional("database_url", |value| {
            if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| value.starts_with(scheme)) {
                Ok(value.to_owned())
            } else {
                Err("expected sqlite://… or postgres://…".to_owned())
            }
        })?;
        let bootstrap_email = settings.parse_optional("bootstrap_email", text)?;
        let bootstrap_password = settings.parse_optional("bootstrap_password", text)?;
        let bootstrap_owner = match (bootstrap_email, bootstrap_password) {
            (Some(email), Some(password)) => Some((email, password)),
            (None, None) => None,
            (Some(_), None) => return Err(alone("bootstrap_email", "bootstrap_password")),
            (None, Some(_)) => return Err(alone("bootstrap_password", "bootstrap_email")),
        };
        Ok(Self {
            listen: settings.parse("listen", |value| {
                value.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:3000".to_owned())
            })?,
            database_url: database_url
                .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("signalbox.db").display())),
            data_dir,
            public_url: settings.parse_optional("public_url", parse_public_url)?,
            allow_networks: settings.parse_optional("allow_networks", parse_networks)?.unwrap_or_default(),
            proxy: settings.parse_optional("proxy", |value| Proxy::parse(value).map_err(|error| error.to_string()))?,
            master_key: settings.parse_optional("master_key", text)?,
            secret_folders: settings.parse("secret_folders", parse_folders)?,
            storage_folder: settings.parse_optional("storage_folder", |value| Ok(PathBuf::from(value)))?,
            uplink_hosts: settings.parse_optional("uplink_hosts", parse_uplink_hosts)?.unwrap_or_default(),
            header_prefix: settings.parse("header_prefix", parse_header_prefix)?,
            bootstrap_owner,
            bootstrap_api_key: settings.parse_optional("bootstrap_api_key", |value| {
                if value.chars().count() < MIN_API_KEY {
                    return Err(format!("expected at least {MIN_API_KEY} characters"));
                }
                Ok(value.to_owned())
            })?,
            log: settings.parse("log", |value| match EnvFilter::try_new(value) {
                Ok(_) => Ok(value.to_owned()),
                Err(error) => Err(error.to_string()),
            })?,
            log_format: settings.parse("log_format", |value| match value {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("expected text or json".to_owned()),
            })?,
        })
    }
}

fn parse_public_url(value: &str) -> Result<String, String> {
    let expected = || "expected http(s)://host, without a path, such as https://signalbox.example.com".to_owned();
    let uri: Uri = value.parse().map_err(|_| expected())?;
    let (Some("http" | "https"), Some(authority), "/") =
        (uri.scheme_str(), uri.authority(), uri.path_and_query().map_or("/", |path| path.as_str()))
    else {
        return Err(expected());
    };
    if authority.as_str().contains('@') {
        return Err(expected());
    }
    Ok(value.trim_end_matches('/').to_owned())
}

fn parse_folders(value: &str) -> Result<Vec<PathBuf>, String> {
    let folders = value.split(',').map(str::trim).filter(|folder| !folder.is_empty());
    folders
        .map(
            |folder| {
                if folder.starts_with('/') {
                    Ok(folder.into())
                } else {
                    Err(format!("{folder} is not an absolute path"))
                }
            },
        )
        .collect()
}

fn parse_uplink_hosts(value: &str) -> Result<Vec<UplinkHost>, String> {
    let expected = |item: &str| format!("{item:?} is not a host and a port; expected such as gateway.example.com:443");
    let host = |item: &str| {
        let (host, port) = item.rsplit_once(':').ok_or_else(|| expected(item))?;
        // An IPv6 address stands in brackets, as in a URL.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| expected(item))?;
        if host.is_empty() { Err(expected(item)) } else { Ok(UplinkHost { host: host.to_owned(), port }) }
    };
    let hosts = value.split(',').map(str::trim).map(host).collect::<Result<Vec<_>, _>>()?;
    if hosts.len() > MAX_UPLINK_HOSTS {
        return Err(format!("expected at most {MAX_UPLINK_HOSTS} hosts"));
    }
    Ok(hosts)
}

fn parse_networks(value: &str) -> Result<Vec<IpNet>, String> {
    value
        .split(',')
        .map(str::trim)
        .map(|item| {
            item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                format!("{item:?} is not a network; expected an address and a prefix length, such as 10.20.0.0/16")
            })
        })
        .collect()
}

fn parse_header_prefix(value: &str) -> Result<String, String> {
    match HeaderName::try_from(format!("{value}-Signature")) {
        Ok(_) if !value.to_ascii_lowercase().starts_with("webhook") => Ok(value.to_owned()),
        _ => Err("expected the beginning of a header name, such as X-InTime, other than Webhook".to_owned()),
    }
}

fn alone(given: &'static str, missing: &'static str) -> ConfigError {
    ConfigError::Invalid {
        setting: given.to_owned(),
        value: "…".to_owned(),
        reason: format!("it needs {missing} beside it"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        settings::{DEFAULTS, KEYS},
        *,
    };

    fn from_env(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::gather(&Flags::default(), variables).and_then(|settings| Config::try_from(&settings))
    }

    fn from_toml(text: &str) -> Result<Config, ConfigError> {
        let mut settings = Settings::gather(&Flags::default(), [])?;
        settings.add_toml(text, &Place::File("signalbox.toml".into()))?;
        Config::try_from(&settings)
    }

    #[test]
    fn the_defaults() {
        let config = from_env(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database_url, "sqlite://./data/signalbox.db");
        assert_eq!(config.header_prefix, "X-InTime");
        assert!(
            config.public_url.is_none()
                && config.allow_networks.is_empty()
                && config.master_key.is_none()
                && config.proxy.is_none()
        );
    }

    #[test]
    fn the_defaults_explain_every_setting() {
        for key in KEYS {
            let line = DEFAULTS
                .lines()
                .position(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")))
                .unwrap_or_else(|| panic!("{key} is not in config.default.toml"));
            assert!(DEFAULTS.lines().nth(line - 1).unwrap().ends_with('.'), "{key} has no sentence");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.toml");
        std::fs::write(
            &file,
            "listen = '127.0.0.1:1'\nlog = 'debug'\nheader_prefix = 'X-A'\nallow_networks = ['::1', '10.0.0.0/8']",
        )
        .unwrap();
        let flags = Flags { config: Some(file), listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let environment = [
            ("SIGNALBOX_LISTEN", "127.0.0.1:2"),
            ("SIGNALBOX_LOG", "warn"),
            ("SIGNALBOX_PUBLIC_URL", ""),
            ("SIGNALBOX_TEST_POSTGRES_URL", "x"),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::gather(&flags, environment).unwrap();
        let config = Config::try_from(&settings).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.log, "warn");
        assert_eq!(config.header_prefix, "X-A");
        assert_eq!(
            config.allow_networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["::1/128", "10.0.0.0/8"]
        );
        let printed = settings.print();
        assert!(printed.contains("listen = \"127.0.0.1:3\" # --listen\n"), "{printed}");
        assert!(printed.contains("log = \"warn\" # SIGNALBOX_LOG\n"), "{printed}");
        printed.parse::<toml::Table>().unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        for (variables, message) in [
            (
                [("SIGNALBOX_LISTNE", "127.0.0.1:1")],
                "There is no setting SIGNALBOX_LISTNE. Did you mean SIGNALBOX_LISTEN?",
            ),
            (
                [("SIGNALBOX_LISTEN", "localhost")],
                "SIGNALBOX_LISTEN cannot be \"localhost\": expected an IP address and a port, such as 127.0.0.1:3000",
            ),
            (
                [("SIGNALBOX_ALLOW_NETWORKS", "127.0.0.0/8, 10.0.0/8")],
                "SIGNALBOX_ALLOW_NETWORKS cannot be \"127.0.0.0/8, 10.0.0/8\": \"10.0.0/8\" is not a network; expected \
                 an address and a prefix length, such as 10.20.0.0/16",
            ),
            (
                [("SIGNALBOX_BOOTSTRAP_API_KEY", "short")],
                "SIGNALBOX_BOOTSTRAP_API_KEY cannot be \"…\": expected at least 32 characters",
            ),
            (
                [("SIGNALBOX_BOOTSTRAP_EMAIL", "a@b.example")],
                "bootstrap_email cannot be \"…\": it needs bootstrap_password beside it",
            ),
            (
                [("SIGNALBOX_DATABASE_URL", "mysql://u:p@h/d")],
                "SIGNALBOX_DATABASE_URL cannot be \"mysql://u:…@h/d\": expected sqlite://… or postgres://…",
            ),
            (
                [("SIGNALBOX_PUBLIC_URL", "signalbox.example.com")],
                "SIGNALBOX_PUBLIC_URL cannot be \"signalbox.example.com\": expected http(s)://host, without a path, such \
                 as https://signalbox.example.com",
            ),
            (
                [("SIGNALBOX_PROXY", "http://me:hush@proxy.example.com")],
                "SIGNALBOX_PROXY cannot be \"http://me:…@proxy.example.com\": expected a port from 1 to 65535 behind the host, \
                 such as http://proxy.example.com:3128",
            ),
            (
                [("SIGNALBOX_PROXY", "socks5://proxy.example.com:1080")],
                "SIGNALBOX_PROXY cannot be \"socks5://proxy.example.com:1080\": expected a proxy that is spoken to over \
                 http://; other kinds are not supported",
            ),
            (
                [("SIGNALBOX_UPLINK_HOSTS", "gateway.example.com:443, nowhere")],
                "SIGNALBOX_UPLINK_HOSTS cannot be \"gateway.example.com:443, nowhere\": \"nowhere\" is not a host and a port; \
                 expected such as gateway.example.com:443",
            ),
            ([("SIGNALBOX_LOG_FORMAT", "xml")], "SIGNALBOX_LOG_FORMAT cannot be \"xml\": expected text or json"),
        ] {
            assert_eq!(from_env(&variables).unwrap_err().to_string(), message);
        }
        assert_eq!(
            from_toml("alow_networks = []").unwrap_err().to_string(),
            "There is no setting alow_networks in signalbox.toml. Did you mean allow_networks?"
        );
        assert_eq!(
            from_toml("listen = 3000").unwrap_err().to_string(),
            "listen in signalbox.toml cannot be \"3000\": expected a text in quotation marks"
        );
        assert!(from_toml("listen").unwrap_err().to_string().starts_with("signalbox.toml is not valid TOML: "));
        assert!(from_toml("nonsense = 1").unwrap_err().to_string().contains("There are: listen, data_dir"));
    }

    #[test]
    fn hosts_have_ports() {
        let config = from_toml("uplink_hosts = ['gateway.example.com:443', '[2001:db8::1]:53']").unwrap();
        let hosts: Vec<_> = config.uplink_hosts.iter().map(|at| (at.host.as_str(), at.port)).collect();
        assert_eq!(hosts, [("gateway.example.com", 443), ("2001:db8::1", 53)]);
        for wrong in ["host:0", ":443", "host:https"] {
            assert!(from_env(&[("SIGNALBOX_UPLINK_HOSTS", wrong)]).is_err(), "{wrong}");
        }
        assert!(from_env(&[]).unwrap().uplink_hosts.is_empty(), "nothing is asked unless somebody says so");
    }

    #[test]
    fn secrets_are_not_printed() {
        let variables = [
            ("SIGNALBOX_MASTER_KEY", "hush"),
            ("SIGNALBOX_DATABASE_URL", "postgres://me:hush@db/x"),
            ("SIGNALBOX_BOOTSTRAP_PASSWORD", "hush"),
            ("SIGNALBOX_PROXY", "http://me:hush@proxy:3128"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let printed = Settings::gather(&Flags::default(), variables).unwrap().print();
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains("http://me:…@proxy:3128"), "{printed}");
        let proxy = from_env(&[("SIGNALBOX_PROXY", "http://me:hush@proxy:3128")]).unwrap().proxy;
        assert!(proxy.is_some() && !format!("{proxy:?}").contains("hush"), "{proxy:?}");
        assert!(printed.contains("postgres://me:…@db/x"), "{printed}");
    }
}
