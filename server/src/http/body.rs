//! Reading request bodies within bounds.

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use futures_util::StreamExt;

/// How much is read and thrown away of what goes beyond the limit, in bytes. A connection that is closed with unread
/// input is reset, and the sender would see the reset instead of the answer that explains it.
const MAX_DRAIN: usize = 16 * 1024 * 1024;

/// The beginning of a body, and whether there was more.
pub struct Read {
    /// At most as many bytes as were asked for.
    pub bytes: Bytes,
    /// Whether there was more.
    pub truncated: bool,
}

/// Reads `most` bytes of a body. An error means that the sender went away.
pub async fn read(body: Body, most: usize) -> Result<Read, axum::Error> {
    let mut frames = body.into_data_stream();
    // Most bodies are one frame: those are passed on without a copy.
    let first = match frames.next().await {
        Some(first) => first?,
        None => return Ok(Read { bytes: Bytes::new(), truncated: false }),
    };
    let Some(second) = frames.next().await else {
        return Ok(Read { truncated: first.len() > most, bytes: first.slice(..first.len().min(most)) });
    };
    let mut bytes = BytesMut::from(&first[..first.len().min(most)]);
    let mut total = first.len();
    let mut frame = Some(second);
    while let Some(data) = frame {
        let data = data?;
        total += data.len();
        let room = most - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if total > most + MAX_DRAIN {
            break;
        }
        frame = frames.next().await;
    }
    Ok(Read { truncated: total > most, bytes: bytes.freeze() })
}
