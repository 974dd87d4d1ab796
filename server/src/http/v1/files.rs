//! Files.

use axum::{
    extract::{Path, Request, State},
    http::header::CONTENT_TYPE,
};
use domain::api::{ErrorCode, FileQuery, StoredFile};
use engine::Engine;

use super::{
    super::{auth::Caller, body, json::Json, problem::Problem, query::Query},
    Answer,
};

/// Largest file, in bytes: it is held in memory until it is stored.
const MAX_BYTES: usize = 10 * 1024 * 1024;

/// Store a file
///
/// Under a key, over what was there. The body is the file, at most 10 MB; slashes in the key are written as `%2F`. When the
/// integration fails, the file goes to whoever stands in; the answer says who has it. 503 means that nobody said to have it: put
/// it again.
#[utoipa::path(put, path = "/api/v1/files/{key}", tag = "Text messages and files",
    params(("key" = String, Path, description = "Letters, digits, dots, dashes, underscores; parts between slashes"), FileQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "Who has it", body = StoredFile)))]
pub async fn put(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Path(key): Path<String>,
    Query(query): Query<FileQuery>,
    request: Request,
) -> Answer<StoredFile> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let file = body::read(request.into_body(), MAX_BYTES)
        .await
        .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "The body ended early"))?;
    if file.truncated {
        return Err(Problem::new(ErrorCode::PayloadTooLarge, "A file can have at most 10 MB"));
    }
    Ok(Json(engine.put_file(&actor, &key, kind.as_deref(), file.bytes, query.integration_id).await?))
}
