//! Secrets that are kept elsewhere: read whenever they are used, so that a rotation there needs nothing here.
//!
//! Who may configure integrations is not thereby entitled to read the server. A file must lie in one of the folders that
//! the operator opened, and Signalbox's own variables are never read.

use std::path::{Path, PathBuf};

use domain::SecretSource;

use crate::secrets::Secret;

/// Longest secret that is read from a file, in bytes.
const MAX_BYTES: u64 = 8_192;

/// The value of a secret, or why there is none.
pub(super) async fn resolve(secret: &Secret, folders: &[PathBuf]) -> Result<Secret, String> {
    match SecretSource::parse(secret.expose()) {
        Ok(SecretSource::Stored) => Ok(secret.clone()),
        Ok(SecretSource::Env(name)) if name.starts_with("SIGNALBOX_") => {
            Err(format!("The variable {name} belongs to the server and is not read"))
        }
        Ok(SecretSource::Env(name)) => match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
            _ => Err(format!("The environment variable {name} is not set")),
        },
        Ok(SecretSource::File(path)) => from_file(Path::new(path), folders).await,
        Err(message) => Err(message.to_owned()),
    }
}

async fn from_file(path: &Path, folders: &[PathBuf]) -> Result<Secret, String> {
    let shown = path.display();
    // Links are followed first: what counts is where they lead.
    let real =
        tokio::fs::canonicalize(path).await.map_err(|error| format!("The file {shown} cannot be read: {error}"))?;
    let mut is_open = false;
    for folder in folders {
        is_open |= tokio::fs::canonicalize(folder).await.is_ok_and(|folder| real.starts_with(folder));
    }
    if !is_open {
        return Err(format!("The file {shown} is not in a folder of SIGNALBOX_SECRET_FOLDERS"));
    }
    let size = tokio::fs::metadata(&real).await.map_or(0, |data| if data.is_file() { data.len() } else { u64::MAX });
    if size > MAX_BYTES {
        return Err(format!("The file {shown} is larger than {MAX_BYTES} bytes, or no file"));
    }
    match tokio::fs::read_to_string(&real).await {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        Ok(_) => Err(format!("The file {shown} is empty")),
        Err(error) => Err(format!("The file {shown} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn references_lead_only_where_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("open"), folder.path().join("closed"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(inside.join("smtp"), "hunter2\n").unwrap();
        std::fs::write(inside.join("large"), "x".repeat(9_000)).unwrap();
        std::fs::write(outside.join("key"), "no").unwrap();
        std::os::unix::fs::symlink(outside.join("key"), inside.join("link")).unwrap();
        let folders = [inside.clone()];
        let read = async |path: &Path| {
            let reference = Secret::new(format!("file:{}", path.display()));
            resolve(&reference, &folders).await.map(|secret| secret.expose().to_owned())
        };
        assert_eq!(read(&inside.join("smtp")).await.unwrap(), "hunter2");
        for path in [inside.join("link"), outside.join("key"), inside.join("missing"), inside.join("large"), inside] {
            assert!(read(&path).await.is_err(), "{}", path.display());
        }
        assert!(resolve(&Secret::new("env:SIGNALBOX_MASTER_KEY"), &folders).await.unwrap_err().contains("not read"));
        let missing = resolve(&Secret::new("env:NOBODY_HAS_SET_THIS"), &folders).await.unwrap_err();
        assert_eq!(missing, "The environment variable NOBODY_HAS_SET_THIS is not set");
        assert_eq!(resolve(&Secret::new("SG.x"), &folders).await.unwrap().expose(), "SG.x");
    }
}
