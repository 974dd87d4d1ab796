//! Lists as files. Rows are read a page at a time and sent before the next page is read, so a file costs no more memory than a
//! page, however long it is. What goes wrong after the first page cuts the file off: a file that is whole ends well.

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    Timestamp,
    api::{ApiError, Delivery, DeliveryQuery, LogEntry, LogQuery, Page},
};
use engine::{Actor, Engine};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema as _, ToSchema,
    openapi::path::{Parameter, ParameterBuilder, ParameterIn},
};

/// Rows that are read at once: the most that a page may have.
const ROWS: u32 = 200;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values (RFC 4180), with a line of names. A text that a spreadsheet would take for a formula has a `'`
    /// in front.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// The conditions of a list, without its pages.
#[derive(Debug, Deserialize)]
pub struct Conditions<Q> {
    #[serde(flatten)]
    pub query: Q,
}

impl<Q: IntoParams> IntoParams for Conditions<Q> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Q::into_params(place);
        parameters.retain(|parameter| !matches!(&*parameter.name, "limit" | "cursor"));
        parameters
    }
}

/// What is exported, and how.
#[derive(Debug, Deserialize)]
pub struct ExportQuery<Q> {
    pub format: Format,
    #[serde(flatten)]
    pub conditions: Conditions<Q>,
}

impl<Q: IntoParams> IntoParams for ExportQuery<Q> {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let format = ParameterBuilder::new()
            .name("format")
            .parameter_in(ParameterIn::Query)
            .required(utoipa::openapi::Required::True)
            .description(Some("How the file is written."))
            .schema(Some(Format::schema()))
            .build();
        std::iter::once(format).chain(Conditions::<Q>::into_params(place)).collect()
    }
}

/// What can be a row of a file.
trait Row: Serialize + Send + 'static {
    /// The names of the columns.
    const COLUMNS: &'static str;
    /// What is in them.
    fn cells(&self) -> Vec<String>;
}

/// Deliveries as a file, the newest first.
pub async fn deliveries(
    engine: Engine,
    actor: Actor,
    ExportQuery { format, conditions }: ExportQuery<DeliveryQuery>,
) -> Result<Response, ApiError> {
    let day = day(&engine);
    // A range ends when the export begins: its beginning must not move from page to page.
    let query = DeliveryQuery { limit: Some(ROWS), ..engine.since(conditions.query) };
    file(format, &format!("deliveries-{day}"), move |cursor| {
        let (engine, actor, query) = (engine.clone(), actor.clone(), query.clone());
        async move { engine.deliveries(&actor, DeliveryQuery { cursor, ..query }).await }
    })
    .await
}

/// Logs of integrations as a file, the newest first.
pub async fn logs(
    engine: Engine,
    actor: Actor,
    ExportQuery { format, conditions }: ExportQuery<LogQuery>,
) -> Result<Response, ApiError> {
    let day = day(&engine);
    let query = LogQuery { limit: Some(ROWS), ..conditions.query };
    file(format, &format!("logs-{day}"), move |cursor| {
        let (engine, actor, query) = (engine.clone(), actor.clone(), query.clone());
        async move { engine.logs(&actor, LogQuery { cursor, ..query }).await }
    })
    .await
}

fn day(engine: &Engine) -> String {
    engine.now().to_string()[..10].to_owned()
}

/// A file of all pages, of which `read` answers the one after a cursor.
async fn file<T: Row, F: Future<Output = Result<Page<T>, ApiError>> + Send>(
    format: Format,
    name: &str,
    read: impl Fn(Option<String>) -> F + Send + 'static,
) -> Result<Response, ApiError> {
    let first = read(None).await?;
    let later = stream::try_unfold((first.next_cursor.clone(), read), |(cursor, read)| async move {
        let Some(cursor) = cursor else { return Ok::<_, ApiError>(None) };
        let page = read(Some(cursor)).await?;
        let next = page.next_cursor.clone();
        Ok(Some((page, (next, read))))
    });
    let head = (format == Format::Csv).then(|| Ok(Bytes::from_static(T::COLUMNS.as_bytes())));
    let rows = stream::iter([Ok(first)]).chain(later).map_ok(move |page| write(&page, format));
    let body = Body::from_stream(stream::iter(head).chain(rows).map_err(|error| error.detail));
    let (content_type, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let file = HeaderValue::try_from(format!("attachment; filename=\"{name}.{ending}\"")).expect("a date is printable");
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CONTENT_DISPOSITION, file)], body).into_response())
}

fn write<T: Row>(page: &Page<T>, format: Format) -> Bytes {
    let mut out = String::new();
    for row in &page.data {
        match format {
            Format::Csv => {
                for (index, text) in row.cells().iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    cell(&mut out, text);
                }
                out.push_str("\r\n");
            }
            Format::Ndjson => {
                out.push_str(&serde_json::to_string(row).expect("rows have only texts and numbers"));
                out.push('\n');
            }
        }
    }
    out.into()
}

impl Row for Delivery {
    const COLUMNS: &'static str = "id,created_at,event,event_id,webhook_id,webhook_name,status,kind,attempts,\
        response_status,error,duration_ms,next_attempt_at,finished_at,replay_of\r\n";

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        vec![
            self.id.to_string(),
            self.created_at.to_string(),
            self.event.clone(),
            self.event_id.to_string(),
            self.webhook_id.to_string(),
            self.webhook_name.clone(),
            self.status.as_str().to_owned(),
            self.kind.as_str().to_owned(),
            self.attempts.to_string(),
            number(self.response_status.map(i64::from)),
            self.error.map_or("", |error| error.as_str()).to_owned(),
            number(self.duration_ms),
            moment(self.next_attempt_at),
            moment(self.finished_at),
            self.replay_of.map(|id| id.to_string()).unwrap_or_default(),
        ]
    }
}

impl Row for LogEntry {
    const COLUMNS: &'static str = "id,at,integration_id,level,kind,message,fault,details\r\n";

    fn cells(&self) -> Vec<String> {
        let details: Vec<_> = self.details.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        vec![
            self.id.to_string(),
            self.at.to_string(),
            self.integration_id.to_string(),
            self.level.as_str().to_owned(),
            self.kind.as_str().to_owned(),
            self.message.clone(),
            self.fault.map_or("", |fault| fault.as_str()).to_owned(),
            details.join("\n"),
        ]
    }
}

/// Writes a cell so that it is one (RFC 4180) and stays a text where it is opened: spreadsheets run what begins like a formula.
fn cell(out: &mut String, text: &str) {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_quoted = text.contains(['"', ',', '\n', '\r']);
    if is_quoted {
        out.push('"');
    }
    if is_formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    if is_quoted {
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_stay_what_they_are() {
        for (text, written) in [
            ("plain", "plain"),
            ("", ""),
            ("a, b", "\"a, b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=HYPERLINK(\"//x\",\"y\")", "\"'=HYPERLINK(\"\"//x\"\",\"\"y\"\")\""),
            ("a=b", "a=b"),
            ("müller ✓", "müller ✓"),
        ] {
            let mut out = String::new();
            cell(&mut out, text);
            assert_eq!(out, written);
        }
    }
}
