//! The command line: what can be asked of the binary.

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, BufRead as _, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use domain::{
    Problems, Role, Scope,
    api::{ApiError, ApiKeyDraft, ErrorCode, EventDraft, MemberDraft},
};
use engine::{
    Engine, Origin, Rekeyed, Setup, SystemClock, SystemEntropy,
    http::{Client, ClientConfig, Guard, Request},
    secrets::Secret,
};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    bench,
    config::{Config, Flags, Settings},
    http::document,
    lifecycle::{GRACE, Server, engine_config, open_store},
    telemetry,
};

/// How long `events send` waits for the answer, in milliseconds.
const SEND_TIMEOUT_MS: u32 = 30_000;

/// A self-hosted webhook control plane: one binary that accepts events and delivers them, signed, to webhooks.
#[derive(Debug, Parser)]
#[command(name = "signalbox", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve,
    /// Bring the database to this version and end. `serve` does it too.
    Migrate,
    /// Members, for whoever cannot sign in yet.
    #[command(subcommand)]
    Admin(Admin),
    /// API keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Events.
    #[command(subcommand)]
    Events(Events),
    /// Measure what this machine does.
    #[command(subcommand)]
    Bench(bench::Scenario),
    /// Print the OpenAPI document.
    Openapi,
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Add a member; the first one becomes the owner of a new organization. On SQLite the server must not run meanwhile.
    Create(AdminCreate),
}

#[derive(Debug, Args)]
struct AdminCreate {
    /// What they sign in with.
    #[arg(long)]
    email: String,
    /// Their name.
    #[arg(long)]
    name: String,
    /// owner, admin, operator or viewer.
    #[arg(long, default_value = "owner", value_parser = parse_role)]
    role: Role,
    /// At least 12 characters. Without it, the first line of standard input: other users can read a command line.
    #[arg(long)]
    password: Option<String>,
    /// Name of the organization, if there is none yet.
    #[arg(long, default_value = "My organization")]
    organization: String,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Create an API key and print it, this once. On SQLite the server must not run meanwhile.
    Create(KeysCreate),
    /// Seal everything with the first of several master keys, and make sure of it. On PostgreSQL the servers go on; on SQLite
    /// the server does it by itself when it is started with both keys.
    RotateMaster,
}

#[derive(Debug, Args)]
struct KeysCreate {
    /// For people.
    #[arg(long)]
    name: String,
    /// events:write, webhooks:read, webhooks:write or admin; may be given several times.
    #[arg(long = "scope", required = true, value_parser = parse_scope)]
    scopes: Vec<Scope>,
}

#[derive(Debug, Subcommand)]
enum Events {
    /// Publish an event to a running server and print its answer.
    Send(EventsSend),
}

#[derive(Debug, Args)]
struct EventsSend {
    /// Its type, such as job.created.
    #[arg(long)]
    event: String,
    /// Its data: JSON, or - to read standard input.
    #[arg(long, default_value = "{}")]
    data: String,
    /// The server; without it, the one that this configuration describes.
    #[arg(long)]
    url: Option<String>,
    /// An API key with scope events:write; without it, the configured bootstrap key.
    #[arg(long, env = "SIGNALBOX_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The same key within 24 hours publishes the event once.
    #[arg(long)]
    idempotency_key: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its meaning, its value, and where the value comes from. Secrets are left out.
    Print,
}

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|()| format!("expected one of {}", Role::ALL.map(Role::as_str).join(", ")))
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|()| format!("expected one of {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

/// Does what was asked. The error is for the person who asked.
pub async fn run(Cli { flags, command }: Cli) -> Result<(), Box<dyn Error>> {
    if let Command::Openapi = command {
        return print(&document().to_pretty_json()?);
    }
    if let Command::Bench(scenario) = command {
        return Ok(bench::run(scenario).await?);
    }
    let settings = Settings::gather(&flags, std::env::vars())?;
    if let Command::Config(ConfigCommand::Print) = command {
        return print(settings.print().trim_end());
    }
    let config = Config::try_from(&settings)?;
    telemetry::start(&config);
    match command {
        Command::Serve => serve(&config).await,
        Command::Migrate => {
            open_store(&config).await?;
            print("The database is at this version")
        }
        Command::Admin(Admin::Create(create)) => create_admin(&config, create).await,
        Command::Keys(Keys::Create(create)) => create_key(&config, create).await,
        Command::Keys(Keys::RotateMaster) => rotate_master(&config).await,
        Command::Events(Events::Send(send)) => send_event(&config, send).await,
        Command::Openapi | Command::Bench(_) | Command::Config(_) => {
            unreachable!("answered above, without a valid configuration")
        }
    }
}

/// Prints in one piece, so that whoever reads along never sees half of it.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{text}\n").as_bytes())?;
    Ok(out.flush()?)
}

async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    // Before anything can be interrupted.
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let server = Server::start(config).await?;
    let mut ready = format!("Signalbox is ready at {}", server.url);
    if server.engine.needs_setup().await? {
        write!(ready, "\nSet it up at {}/setup?token={}", server.url, server.engine.setup_token())?;
    }
    print(&ready)?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        _ = terminated.recv() => Err("stopped at once; deliveries in flight are tried again at the next start".into()),
        _ = interrupted.recv() => Err("stopped at once; deliveries in flight are tried again at the next start".into()),
    }
}

/// The use-cases, for a command that ends when it is done.
async fn open(config: &Config) -> Result<Engine, Box<dyn Error>> {
    let store = open_store(config).await?;
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let engine_config = engine_config(config, &url, nowhere, &SystemEntropy)?;
    Ok(Engine::open(store, engine_config, Arc::new(SystemClock), Arc::new(SystemEntropy)).await?)
}

async fn create_admin(config: &Config, create: AdminCreate) -> Result<(), Box<dyn Error>> {
    let AdminCreate { email, name, role, password, organization } = create;
    let password = match password {
        Some(password) => password,
        None => first_line()?,
    };
    let engine = open(config).await?;
    let outcome = match engine.operator().await? {
        _ if engine.needs_setup().await? && role != Role::Owner => {
            Err(Problems::one("role", "There is nobody yet, so the first member must be an owner").into())
        }
        Some(operator) => engine.create_member(&operator, MemberDraft { name, email, role, password }).await.map(drop),
        None => {
            let form = Setup { organization, name, email, password: Secret::new(password) };
            engine.setup(engine.setup_token(), form, &Origin::default()).await.map(drop)
        }
    };
    engine.stop(GRACE).await;
    outcome?;
    print("The member can sign in now")
}

/// The first line of standard input.
fn first_line() -> io::Result<String> {
    if io::IsTerminal::is_terminal(&io::stdin()) {
        write!(io::stderr(), "Password: ")?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn create_key(config: &Config, create: KeysCreate) -> Result<(), Box<dyn Error>> {
    let engine = open(config).await?;
    let outcome = if let Some(operator) = engine.operator().await? {
        let scopes = create.scopes.iter().map(ToString::to_string).collect();
        let draft = ApiKeyDraft { name: create.name, scopes, source_id: None, expires_at: None };
        engine.create_api_key(&operator, draft).await
    } else {
        let detail = "There is no organization yet: open the setup page, or use `signalbox admin create`";
        Err(ApiError::new(ErrorCode::Conflict, detail))
    };
    engine.stop(GRACE).await;
    print(&outcome?.key)
}

async fn rotate_master(config: &Config) -> Result<(), Box<dyn Error>> {
    let engine = open(config).await?;
    let told = |column: &str, count: u64| drop(writeln!(io::stderr(), "{column}: {count} sealed anew"));
    let outcome = engine.rotate_master(told).await;
    engine.stop(GRACE).await;
    let Rekeyed { key, resealed, verified } = outcome?;
    print(&format!(
        "{resealed} secrets were sealed anew. All {verified} are sealed with the key {key}; the other keys can be removed."
    ))
}

async fn send_event(config: &Config, send: EventsSend) -> Result<(), Box<dyn Error>> {
    let url = send.url.or_else(|| config.public_url.clone()).unwrap_or_else(|| format!("http://{}", config.listen));
    let key = send
        .key
        .or_else(|| config.bootstrap_api_key.clone())
        .ok_or("Give an API key with --key or SIGNALBOX_API_KEY")?;
    let data = if send.data == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        send.data
    };
    let data = RawValue::from_string(data).map_err(|error| format!("--data is not JSON: {error}"))?;
    let draft = EventDraft { event: send.event, data, source_id: None, idempotency_key: send.idempotency_key };

    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))?);
    let request = Request {
        url: format!("{}/api/v1/events", url.trim_end_matches('/')).parse()?,
        method: Method::POST,
        headers,
        body: Bytes::from(serde_json::to_vec(&draft)?),
        timeout_ms: SEND_TIMEOUT_MS,
        max_body_bytes: 64 * 1024,
        exempt: None,
    };
    // Whoever types the URL may go there: the guard is against those who may not choose.
    let guard = Guard::new(vec!["0.0.0.0/0".parse()?, "::/0".parse()?]);
    let user_agent = concat!("signalbox/", env!("CARGO_PKG_VERSION")).to_owned();
    let response = Client::new(ClientConfig { guard, proxy: None, user_agent }).send(request).await?;
    let answer = String::from_utf8_lossy(&response.body).into_owned();
    if response.status == 202 {
        return print(&answer);
    }
    Err(format!("{url} answered {}: {answer}", response.status).into())
}
