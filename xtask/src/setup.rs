//! Installs what is missing for building (`setup`), for `make test` (`--tests`) and for `make check` (`--check`), says what it
//! does and how long that takes, and costs a moment when nothing is missing. System packages are installed with apt and only
//! as root; everyone else is told exactly what to type. It refuses to install rustup and Node.js: how those arrive is the
//! person's choice. (The C compiler that links this very program is the Makefile's business.)

use crate::{
    Outcome,
    folders::{root, target},
    postgres,
    process::{find, is_root, quietly, run},
};
use std::{fs, path::Path, process::Command};

const WASM: &str = "wasm32-unknown-unknown";
const NODE_MAJOR: u32 = 20;
const CARGO_DENY: &str = "0.20.2";
/// What verifies our signatures, and an S3 that verifies them too.
const PYTHON_PACKAGES: [&str; 3] = ["standardwebhooks==1.1.0", "svix==2.9.1", "moto[iam,s3,server]==5.2.5"];

/// What Debian's package `fonts-liberation` brings.
const LIBERATION_SANS: &str = "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf";

/// Brings everything that is needed, or says what a person has to do.
pub fn install(tests: bool, check: bool) -> Outcome<()> {
    node()?;
    wasm_target()?;
    npm(&root())?;
    if tests {
        apt(&[
            ("postgresql", postgres::is_installed()),
            (
                "python3-venv",
                find("python3").is_some() && quietly(Command::new("python3").args(["-c", "import ensurepip"])).is_ok(),
            ),
        ])?;
        postfix()?;
        npm(&root().join("end2end"))?;
        chromium()?;
        python_packages()?;
    }
    if check {
        cargo_deny()?;
    }
    Ok(())
}

/// Installs the packages that are not there yet: (package, is there).
fn apt(packages: &[(&str, bool)]) -> Outcome<()> {
    let missing: Vec<&str> = packages.iter().filter(|(_, installed)| !installed).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() || find("apt-get").is_none() {
        return Err(format!(
            "missing: {names}. On Debian and Ubuntu type:\n  sudo apt-get update && sudo apt-get install -y {names}"
        )
        .into());
    }
    say(&format!("installing {names} with apt, a minute or two"));
    quietly(Command::new("apt-get").args(["-q", "update"]))?;
    quietly(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "install", "-y", "--no-install-recommends"])
            .args(missing),
    )?;
    Ok(())
}

/// A mail server that tests start with settings of their own. The package is told to configure and to start none.
fn postfix() -> Outcome<()> {
    let is_there = find("postfix").is_some() || Path::new("/usr/sbin/postfix").exists();
    if !is_there && is_root() && find("debconf-set-selections").is_some() {
        let answer = "echo postfix postfix/main_mailer_type select No configuration | debconf-set-selections";
        quietly(Command::new("sh").args(["-c", answer]))?;
    }
    apt(&[("postfix", is_there)])
}

fn node() -> Outcome<()> {
    let version = quietly(Command::new("node").arg("--version")).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MAJOR) && find("npm").is_some() {
        return Ok(());
    }
    let found = if version.is_empty() { "none".to_owned() } else { version };
    Err(format!(
        "Node.js {NODE_MAJOR} or newer with npm is needed to build the stylesheet and to shrink the WASM (found: {found}).\n\
         Install it from https://nodejs.org/en/download (Debian 12's own package is too old), then run this again."
    )
    .into())
}

fn wasm_target() -> Outcome<()> {
    let sysroot = quietly(Command::new("rustc").current_dir(root()).args(["--print", "sysroot"]))?;
    if Path::new(&sysroot).join("lib/rustlib").join(WASM).is_dir() {
        return Ok(());
    }
    if find("rustup").is_none() {
        return Err(format!(
            "the Rust target {WASM} is missing and there is no rustup to install it: https://rustup.rs"
        )
        .into());
    }
    say(&format!("installing the Rust target {WASM}, up to a minute"));
    run(Command::new("rustup").current_dir(root()).args(["target", "add", WASM]))
}

/// Installs exactly what the lockfile of a folder names.
fn npm(folder: &Path) -> Outcome<()> {
    let lockfile = fs::read(folder.join("package-lock.json"))?;
    let installed = folder.join("node_modules/.signalbox-lock.json");
    if fs::read(&installed).is_ok_and(|bytes| bytes == lockfile) {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().display();
    say(&format!("installing the npm packages of {name}, up to a minute"));
    // Not `npm ci`: it refuses a lockfile that was written where some platform's optional packages cannot be had. With
    // --no-save the lockfile decides what is installed and is left as it is.
    quietly(Command::new("npm").current_dir(folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").args([
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]))?;
    Ok(fs::write(installed, lockfile)?)
}

/// Debian's browser; where the package is only a pointer to a snap (Ubuntu), Playwright's own build.
fn chromium() -> Outcome<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if release.lines().any(|line| line == "ID=debian") {
        return apt(&[
            ("chromium", find("chromium").is_some()),
            // The pictures that screens are compared with have its letters; the browser only recommends it.
            ("fonts-liberation", Path::new(LIBERATION_SANS).exists()),
        ]);
    }
    let own = target().join("browsers");
    let installed = own.join("installed");
    if find("chromium").is_some() || installed.exists() {
        return Ok(());
    }
    if !is_root() {
        return Err(
            "missing: a Chromium for the browser tests. Put one on PATH as `chromium`, or type once:\n  sudo make test"
                .into(),
        );
    }
    say("installing Chromium and its libraries, some minutes");
    let folder = root().join("end2end");
    run(Command::new(folder.join("node_modules/.bin/playwright"))
        .current_dir(&folder)
        .env("PLAYWRIGHT_BROWSERS_PATH", &own)
        .args(["install", "--with-deps", "--only-shell", "chromium"]))?;
    Ok(fs::write(installed, "")?)
}

/// Published Python packages that tests stand on, in an environment of their own: Debian's Python refuses packages from elsewhere.
fn python_packages() -> Outcome<()> {
    let folder = target().join("python");
    let installed = folder.join(PYTHON_PACKAGES.join("-").replace("==", "-").replace(['[', ']', ','], "-"));
    if installed.exists() {
        return Ok(());
    }
    let packages = PYTHON_PACKAGES.join(", ");
    say(&format!("installing the Python packages {packages} into {}, some seconds", folder.display()));
    quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    quietly(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(PYTHON_PACKAGES),
    )?;
    Ok(fs::write(installed, "")?)
}

fn cargo_deny() -> Outcome<()> {
    let version = quietly(Command::new("cargo").args(["deny", "--version"])).unwrap_or_default();
    if version.ends_with(CARGO_DENY) {
        return Ok(());
    }
    say(&format!("installing cargo-deny {CARGO_DENY}, five minutes or more"));
    run(Command::new("cargo").args(["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--quiet"]))
}

fn say(what: &str) {
    eprintln!("setup: {what}");
}
