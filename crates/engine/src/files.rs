//! Files: kept under a key by a storage integration, at once, or by whoever stands in for it.
//!
//! A key is written over, so a file whose fate is unknown is simply put again. Nothing is kept here: what was stored is read
//! where it was stored.

use bytes::Bytes;
use domain::{
    IntegrationId, Permission, Problems,
    api::{StoredFile, check_file_key},
    catalogue::{Fault, Handover},
};
use storage::IntegrationRow;

use crate::{
    Actor, Engine, Inner, Result,
    failover::{Carried, Handed, Verdict, Work},
    integrations::{Operation, Right, Wrong, judged, put_into_folder, send_to_bucket},
};

/// What a file is called that does not say what it is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A file as a piece of work.
struct File<'f> {
    key: &'f str,
    content_type: &'f str,
    bytes: Bytes,
}

impl Work for File<'_> {
    const CHANNEL: &'static str = "storage";
    const IS_STORED: bool = false;

    async fn ask(&self, inner: &Inner, member: &IntegrationRow) -> Handed {
        let opened = match inner.open(member).await {
            Ok(opened) => opened,
            Err(handed) => return handed,
        };
        let mut target = String::new();
        let Self { key, content_type, bytes } = self;
        let outcome = match &opened.provider.handover {
            Some(Handover::S3) => {
                let put = Operation::Put { key, content_type, bytes: bytes.clone() };
                send_to_bucket(inner, &opened.values, put, &mut target).await.and_then(|answer| judged(&answer))
            }
            Some(Handover::Folder) => {
                let folder = opened.values.get("folder").map(String::as_str).unwrap_or_default();
                let root = inner.config.storage_folder.as_deref();
                let put = put_into_folder(root, member.organization, folder, key, bytes, &*inner.entropy);
                put.await.map(|()| Right(format!("Written into {folder}"), None))
            }
            Some(Handover::Smtp { .. } | Handover::Http { .. }) | None => {
                Err(Wrong::new(Fault::Misconfigured, format!("{} does not keep files", opened.provider.name)))
            }
        };
        opened.handed(target, outcome, || format!("File {key} stored"))
    }
}

impl Engine {
    /// Keeps a file under a key, over what was there. An error means that nobody said to have it.
    pub async fn put_file(
        &self,
        actor: &Actor,
        key: &str,
        content_type: Option<&str>,
        bytes: Bytes,
        named: Option<IntegrationId>,
    ) -> Result<StoredFile> {
        actor.require(Permission::StoreFiles)?;
        check_file_key(key).map_err(|message| Problems::one("key", message))?;
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let work = File { key, content_type: content_type.unwrap_or(UNKNOWN_TYPE), bytes };
        let Carried { member, handed, may_be_done } = self.carry_now(actor, &work, named).await?;
        if handed.verdict() != Verdict::Done {
            return Err(handed.refusal("key", self.now()));
        }
        Ok(StoredFile {
            key: key.to_owned(),
            size_bytes,
            integration_id: member.integration.id,
            integration_name: member.integration.name,
            possibly_elsewhere: may_be_done,
        })
    }
}
