//! The OpenAPI document: what the handlers say of themselves, completed by what follows from their shape.
//!
//! It is checked in as `server/openapi.json`; a test compares, so that no change of the interface goes unseen.

use domain::api::ApiError;
use utoipa::{
    PartialSchema,
    openapi::{
        Components, Content, Info, License, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Tag,
        path::{Operation, ParameterIn, Paths},
        schema::{ArrayItems, Schema},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{Shared, router};

/// What every caller has to know, before the first operation.
const DESCRIPTION: &str = include_str!("openapi.md");

/// What can go wrong with many operations: name, status, when.
const REFUSALS: [(&str, &str, &str); 7] = [
    ("InvalidRequest", "400", "The body or a parameter cannot be read; `detail` says where and why"),
    ("Unauthorized", "401", "No credentials, or they are unknown, revoked or expired"),
    ("Forbidden", "403", "The caller is known but not allowed to"),
    ("NotFound", "404", "Not there, or not in this organization"),
    ("PayloadTooLarge", "413", "The body is larger than 10 MB"),
    ("ValidationFailed", "422", "Fields were refused; `errors` says which and why. Nothing was stored"),
    ("Problem", "default", "Any other problem, such as a conflict (409) or overload (503, with `Retry-After`)"),
];

/// The whole document.
pub fn document() -> OpenApi {
    let mut document = router::routes().into_openapi();
    complete(&mut document);
    document
}

/// The document without operations.
pub fn head() -> OpenApi {
    let mut info = Info::new("Signalbox API", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let tags = [
        ("Events", "Facts, published once and delivered to every webhook that wants them."),
        ("Webhooks", "Subscriptions of receivers to events."),
        ("Deliveries", "One event on its way to one webhook, with all tries."),
        ("Dead letters", "Deliveries that were given up and wait for a person."),
        ("Replays and jobs", "Work on many deliveries that goes on after its request was answered."),
        ("Retry policy", "When a failed delivery is tried again."),
        ("Retention", "How long the organization keeps what has ended."),
        ("Event types", "The catalogue of what can happen."),
        ("Sources", "What produces events."),
        ("API keys", "How programs prove who they are."),
        ("Members", "The people of the organization."),
        ("Inspector", "A built-in receiver that records what it gets and checks signatures."),
        ("Catalogue", "What can be integrated, and what its forms ask."),
        ("Integrations", "Services that the organization uses, and whether they work."),
        ("Connections", "Accounts that have consented by OAuth 2.0, and what keeps their access alive."),
        ("Failover", "Integrations that stand in for each other, and who of them does the work."),
        ("E-mails", "Sending, and what became of it."),
        ("E-mail templates", "Words for e-mails that are sent again and again."),
        ("Suppressions", "Addresses to which nothing is sent."),
        ("Text messages and files", "Work that is done at once by a provider, or by whoever stands in for it."),
        ("Alerts", "What somebody should look at, and who is told."),
        ("Audit", "Who changed what."),
        ("Overview", "Figures, and who is calling."),
        ("Aliases", "The same operations under the paths that other systems expect."),
    ];
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags.map(|(name, description)| {
            let mut tag = Tag::new(name);
            tag.description = Some(description.to_owned());
            tag
        })))
        .components(Some(components()))
        .build()
}

fn components() -> Components {
    let mut components = Components::new();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key, `sbk_…`")).build();
    components.add_security_scheme("api_key", SecurityScheme::Http(key));
    let cookie = ApiKeyValue::with_description("signalbox_session", "The session of a person who is signed in");
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let mut schemas = Vec::new();
    <ApiError as utoipa::ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert("ApiError".to_owned(), ApiError::schema());
    for (name, _, description) in REFUSALS {
        let content = Content::new(Some(Ref::from_schema_name("ApiError")));
        let response =
            ResponseBuilder::new().description(description).content("application/problem+json", content).build();
        components.responses.insert(name.to_owned(), response.into());
    }
    components
}

/// Runs `change` over every operation with the path that it is at.
pub fn each_operation(paths: &mut Paths, mut change: impl FnMut(&str, &mut Operation)) {
    for (path, item) in &mut paths.paths {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            change(path, operation);
        }
    }
}

/// The same operation at another path.
pub fn at(alias: &str, (schemas, mut paths, methods): UtoipaMethodRouter<Shared>) -> UtoipaMethodRouter<Shared> {
    each_operation(&mut paths, |path, operation| {
        operation.description = Some(format!("The same as under `{path}`."));
        let family = alias.split('/').nth(2).unwrap_or_default();
        operation.operation_id = Some(format!("{family}_{}", operation_id(operation)));
        operation.tags = Some(vec!["Aliases".to_owned()]);
    });
    paths.paths = paths.paths.into_values().map(|item| (alias.to_owned(), item)).collect();
    (schemas, paths, methods)
}

/// Unique, and stable as long as the handler keeps its name.
fn operation_id(operation: &Operation) -> String {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first()).map_or("", String::as_str);
    let function = operation.operation_id.as_deref().unwrap_or_default();
    format!("{}_{function}", tag.to_lowercase().replace(' ', "_"))
}

/// Adds what follows from an operation's shape.
fn complete(document: &mut OpenApi) {
    // A page of rows names its rows, instead of repeating what they are.
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        if let Some(row) = name.strip_prefix("Page_")
            && let RefOr::T(Schema::Object(page)) = schema
            && let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("data")
        {
            list.items = ArrayItems::RefOrSchema(Box::new(RefOr::Ref(Ref::from_schema_name(row))));
        }
    }
    each_operation(&mut document.paths, |path, operation| {
        if operation.operation_id.as_ref().is_some_and(|id| !id.contains("integrations_") && !id.contains("service_")) {
            operation.operation_id = Some(operation_id(operation));
        }
        let has_query = operation.parameters.iter().flatten().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in != ParameterIn::Path,
            RefOr::Ref(_) => true,
        });
        let has_body = operation.request_body.is_some();
        let is_secured = operation.security.is_some();
        for (name, status, _) in REFUSALS {
            let applies = match status {
                "400" => has_query || has_body,
                "401" | "403" => is_secured,
                "404" => path.contains('{'),
                "413" | "422" => has_body,
                _ => true,
            };
            if applies {
                let refusal: RefOr<Response> = RefOr::Ref(Ref::from_response_name(name));
                operation.responses.responses.insert(status.to_owned(), refusal);
            }
        }
    });
}
