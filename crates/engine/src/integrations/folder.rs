//! A folder of the server as a place for files: the backup that needs no network.
//!
//! Whoever may configure integrations is not thereby entitled to write to the server. Files lie under one root that the
//! operator opened, each organization's in a folder of its own, and a key cannot lead out of it. A file is there whole or not
//! at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use domain::{OrganizationId, api::check_file_key, catalogue::Fault};
use tokio::{fs, io::AsyncWriteExt as _};

use super::call::Wrong;
use crate::{Entropy, secrets};

/// Finds out whether the root is there and can be written.
pub(super) async fn try_root(root: Option<&Path>, entropy: &dyn Entropy) -> Result<(), Wrong> {
    let root = opened(root).await?;
    let part = part_of(&root, entropy);
    let tried = fs::write(&part, b"").await;
    remove(&part).await;
    tried.map_err(|error| failed(&error))
}

/// Keeps `bytes` as `<root>/<organization>/<folder>/<key>`, over what was there.
pub(crate) async fn put(
    root: Option<&Path>,
    organization: OrganizationId,
    folder: &str,
    key: &str,
    bytes: &Bytes,
    entropy: &dyn Entropy,
) -> Result<(), Wrong> {
    for part in [folder, key] {
        check_file_key(part).map_err(|message| Wrong::new(Fault::Misconfigured, message))?;
    }
    let root = opened(root).await?;
    let path = root.join(organization.to_string()).join(folder).join(key);
    let parent = path.parent().unwrap_or(&root);
    fs::create_dir_all(parent).await.map_err(|error| failed(&error))?;
    // Links that somebody made there are followed first: what counts is where they lead.
    let real = fs::canonicalize(parent).await.map_err(|error| failed(&error))?;
    if !real.starts_with(&root) {
        return Err(Wrong::new(Fault::Blocked, "The folder leads out of SIGNALBOX_STORAGE_FOLDER"));
    }
    let part = part_of(&real, entropy);
    let written = async {
        let mut file = fs::File::create_new(&part).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&part, &path).await
    };
    let written = written.await;
    if written.is_err() {
        remove(&part).await;
    }
    written.map_err(|error| failed(&error))
}

/// The root with its links followed.
async fn opened(root: Option<&Path>) -> Result<PathBuf, Wrong> {
    let root = root.ok_or_else(|| {
        Wrong::new(Fault::Misconfigured, "The operator has opened no folder: SIGNALBOX_STORAGE_FOLDER is not set")
    })?;
    fs::canonicalize(root)
        .await
        .map_err(|error| Wrong::new(Fault::Misconfigured, format!("SIGNALBOX_STORAGE_FOLDER cannot be used: {error}")))
}

/// Where a file is written before it has its name. No key begins with a dot.
fn part_of(folder: &Path, entropy: &dyn Entropy) -> PathBuf {
    folder.join(format!(".{}.part", secrets::token(entropy)))
}

/// What is left behind harms nobody.
async fn remove(part: &Path) {
    if let Err(error) = fs::remove_file(part).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %part.display(), "a part of a file stays behind");
    }
}

fn failed(error: &io::Error) -> Wrong {
    Wrong::new(Fault::Outage, format!("The file cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use domain::PublicId as _;

    use super::*;
    use crate::SeededEntropy;

    #[tokio::test]
    async fn files_stay_in_the_folder_of_their_organization() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("open"), folder.path().join("closed"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        let (entropy, organization) =
            (SeededEntropy::new(1), OrganizationId::new(domain::Timestamp::default(), [7; 10]));
        let put = async |key: &str, text: &'static str| {
            let bytes = Bytes::from_static(text.as_bytes());
            put(Some(&root), organization, "backup", key, &bytes, &entropy).await.map_err(|wrong| wrong.fault)
        };
        try_root(Some(&root), &entropy).await.unwrap_or_else(|wrong| panic!("{}", wrong.detail));
        put("reports/a.csv", "first").await.unwrap();
        put("reports/a.csv", "second").await.unwrap();
        let own = root.join(organization.to_string()).join("backup");
        assert_eq!(std::fs::read_to_string(own.join("reports/a.csv")).unwrap(), "second");
        std::os::unix::fs::symlink(&outside, own.join("away")).unwrap();
        assert_eq!(put("away/a.csv", "x").await, Err(Fault::Blocked));
        assert_eq!(put("../../../a.csv", "x").await, Err(Fault::Misconfigured));
        assert_eq!(put("reports/a.csv/b.csv", "x").await, Err(Fault::Outage), "a file is no folder");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(own.join("reports")).unwrap().count(), 1, "no parts stay behind");
        for missing in [None, Some(&*folder.path().join("nowhere"))] {
            assert_eq!(try_root(missing, &entropy).await.map_err(|wrong| wrong.fault), Err(Fault::Misconfigured));
        }
    }
}
