//! Changing the master key: what is sealed with another key than the first is sealed anew with that, while everything goes on.
//!
//! It refuses to forget a key while anything is left that only that key opens.

use std::sync::Arc;

use storage::{SEALED, SealedPlace};
use uuid::Uuid;

use crate::{Engine, Inner, StartError};

/// Values that are sealed anew in one transaction.
const BATCH: u32 = 200;
/// Rounds after which it is somebody else who keeps sealing with another key.
const ROUNDS: u32 = 10;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// The key that everything is sealed with now, as people may know it.
    pub key: String,
    /// Values that were sealed anew.
    pub resealed: u64,
    /// All values that are sealed, each of which was opened.
    pub verified: u64,
}

impl Engine {
    /// Seals everything with the first master key, and makes sure of it. `progress` hears of each column that is done, and how
    /// many values of it were sealed anew.
    pub async fn rotate_master(&self, progress: impl Fn(&str, u64) + Send) -> Result<Rekeyed, StartError> {
        self.inner.rekey(progress).await
    }
}

/// On a database of its own the server does it by itself: no other process could meanwhile. Ends when it is done.
pub(crate) async fn run(inner: Arc<Inner>) {
    let told = |column: &str, count: u64| {
        if count > 0 {
            tracing::info!(column, count, "sealed anew");
        }
    };
    let rekeyed = tokio::select! {
        () = inner.stopping.cancelled() => return,
        rekeyed = inner.rekey(told) => rekeyed,
    };
    match rekeyed {
        Ok(Rekeyed { key, verified, .. }) => {
            tracing::info!(
                key,
                verified,
                "all secrets are sealed with the first master key; the others can be removed"
            );
        }
        Err(error) => tracing::error!(%error, "the master key was not changed; both keys are needed still"),
    }
}

impl Inner {
    async fn rekey(&self, progress: impl Fn(&str, u64) + Send) -> Result<Rekeyed, StartError> {
        let mut resealed = 0;
        for _ in 0..ROUNDS {
            let mut round = 0;
            for place in SEALED {
                let count = self.each_sealed(place, true).await?.0;
                progress(&format!("{}.{}", place.table, place.column), count);
                round += count;
            }
            resealed += round;
            if round > 0 {
                continue;
            }
            let mut verified = 0;
            for place in SEALED {
                verified += self.each_sealed(place, false).await?.1;
            }
            self.keyring.forget_old_keys(&self.store, &*self.entropy).await?;
            return Ok(Rekeyed { key: self.keyring.name(), resealed, verified });
        }
        Err(StartError::Key(
            "Another node keeps sealing with another key: give all nodes the same first key, and try again.".to_owned(),
        ))
    }

    /// Goes through a column: opens every value, and with `anew` seals those of other keys. Answers how many were sealed anew,
    /// and how many there are.
    async fn each_sealed(&self, place: SealedPlace, anew: bool) -> Result<(u64, u64), StartError> {
        let (mut after, mut resealed, mut seen) = (Uuid::nil(), 0, 0);
        loop {
            let batch = self.store.sealed(place, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok((resealed, seen)) };
            after = last.key;
            let mut changes = Vec::new();
            for value in batch {
                seen += 1;
                let (table, columns) = place.sealed_as;
                let opened = columns.iter().find_map(|column| {
                    let plain = self.keyring.open(table, column, value.row, &value.value).ok()?;
                    Some((*column, plain))
                });
                let Some((column, plain)) = opened else {
                    return Err(StartError::Key(format!(
                        "A value of {}.{} opens with none of the keys. Nothing that was sealed anew is harmed; give the key \
                         that is missing.",
                        place.table, place.column
                    )));
                };
                if anew && !self.keyring.is_current(&value.value) {
                    let sealed = self.keyring.seal(&*self.entropy, table, column, value.row, plain.expose());
                    changes.push((value, sealed));
                }
            }
            resealed += changes.len() as u64;
            if !changes.is_empty() {
                self.store.reseal(place, changes).await?;
            }
        }
    }
}
