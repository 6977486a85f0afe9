//! The API's description, `/api/openapi.json`: of each address what the table of them says, of bodies what their types say,
//! and what holds of all of them. Where a login is needed is asked of the `guard`.

use super::App;
use super::guard::{COOKIE, CSRF, Refusal, is_open};
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use std::sync::Arc;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{self, Array, Content, Header, Object, Ref, RefOr, Required, Response, Schema, Type};
use utoipa::{OpenApi, ToSchema};

pub(super) const JSON: &str = "application/json";

const ABOUT: &str = "What `startle monitor --listen` answers. Where users are configured everything but the paths \
                     without security needs the cookie that /api/login sets. A request that changes something brings \
                     X-Startle-Csrf and comes from this site. Times are RFC 3339 in UTC, or milliseconds since 1970 \
                     where they are numbers.";

/// What the document says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "startle dashboard",
        version = "1",
        description = ABOUT,
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    security(("session" = [])),
    components(schemas(Refusal))
)]
struct Frame;

/// An address: who answers, and what is said of it.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) answer: MethodRouter<Arc<App>>,
    method: HttpMethod,
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Route {
    pub(super) fn get<T: 'static>(path: &'static str, summary: &str, answer: impl Handler<T, Arc<App>>) -> Self {
        Self::new(HttpMethod::Get, path, summary, routing::get(answer))
    }

    pub(super) fn post<T: 'static>(path: &'static str, summary: &str, answer: impl Handler<T, Arc<App>>) -> Self {
        Self::new(HttpMethod::Post, path, summary, routing::post(answer))
    }

    pub(super) fn put<T: 'static>(path: &'static str, summary: &str, answer: impl Handler<T, Arc<App>>) -> Self {
        Self::new(HttpMethod::Put, path, summary, routing::put(answer))
    }

    fn new(method: HttpMethod, path: &'static str, summary: &str, answer: MethodRouter<Arc<App>>) -> Self {
        let mut operation = Operation::new();
        operation.summary = Some(summary.into());
        Self { path, answer, method, operation, schemas: Vec::new() }
    }

    /// Programs get in with a token too, and some with nothing.
    pub(super) fn for_programs(mut self, words: &str) -> Self {
        let needs = |scheme: &str| SecurityRequirement::new::<_, _, String>(scheme, []);
        self.operation.security = Some(vec![needs("metrics"), needs("session"), SecurityRequirement::default()]);
        self.operation.description = Some(words.into());
        self
    }

    /// May be asked with a word in the query.
    pub(super) fn asked(mut self, name: &str, words: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        add_parameter(&mut self.operation, ParameterIn::Query, name, words, schema);
        self
    }

    /// Takes a value.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        let content = Content::new(Some(self.schema::<T>()));
        let body = RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True)).build();
        self.operation.request_body = Some(body.into());
        self
    }

    /// Gives a value.
    pub(super) fn gives<T: ToSchema>(mut self, words: &str) -> Self {
        let schema = self.schema::<T>();
        self.responds(200, with_body(words, JSON, Some(schema)))
    }

    /// Gives a list of values.
    pub(super) fn lists<T: ToSchema>(mut self, words: &str) -> Self {
        let schema = Array::new(self.schema::<T>());
        self.responds(200, with_body(words, JSON, Some(schema)))
    }

    /// Sends what has no type here.
    pub(super) fn sends(self, status: u16, words: &str, media: &str) -> Self {
        let kind = if media == JSON { Some(Type::Object) } else { media.starts_with("text/").then_some(Type::String) };
        self.responds(status, with_body(words, media, kind.map(Object::with_type)))
    }

    /// Refuses.
    pub(super) fn refuses(self, status: u16, words: &str) -> Self {
        self.responds(status, refusal(words))
    }

    /// Answers with nothing that is to be described.
    pub(super) fn says(self, status: u16, words: &str) -> Self {
        self.responds(status, Response::new(words))
    }

    fn responds(mut self, status: u16, response: Response) -> Self {
        self.operation.responses.responses.insert(status.to_string(), response.into());
        self
    }

    /// With an answer that was described comes a header.
    pub(super) fn with_header(mut self, status: u16, name: &str, kind: Type) -> Self {
        if let Some(RefOr::T(response)) = self.operation.responses.responses.get_mut(&status.to_string()) {
            response.headers.insert(name.into(), Header::new(Object::with_type(kind)).into());
        }
        self
    }

    /// A type by its name, which it gets among the schemas.
    fn schema<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }

    /// What holds of every address of its kind.
    fn completed(self) -> Operation {
        let Self { path, method, mut operation, .. } = self;
        for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let (words, kind) = match name {
                "id" => ("The incident's name.", Type::String),
                "index" => ("The camera's.", Type::Integer),
                _ => ("As the page names it.", Type::String),
            };
            add_parameter(&mut operation, ParameterIn::Path, name, words, Object::with_type(kind));
        }
        let mut refused = vec![(421, "On a loopback address: the request names another host.")];
        if path.contains('{') {
            refused.push((404, "There is no such thing."));
        }
        if is_open(path) {
            operation.security = Some(Vec::new());
        } else {
            refused.push((401, "No login."));
            if method != HttpMethod::Get {
                let words = "csrf of /api/session or /api/login.";
                add_parameter(&mut operation, ParameterIn::Header, CSRF, words, Object::with_type(Type::String));
                refused.push((403, "X-Startle-Csrf is missing or wrong, or the request is from another site."));
            }
        }
        let responses = &mut operation.responses.responses;
        for (status, words) in refused {
            responses.entry(status.to_string()).or_insert_with(|| refusal(words).into());
        }
        if operation.request_body.is_some() {
            responses.insert("415".into(), Response::new("The body is no JSON.").into());
            responses.insert("422".into(), Response::new("The body is not what is expected.").into());
        }
        operation
    }
}

fn add_parameter(
    operation: &mut Operation,
    place: ParameterIn,
    name: &str,
    words: &str,
    schema: impl Into<RefOr<Schema>>,
) {
    // Names of a path are always needed, the header is where it is asked for, words of a query never are.
    let required = if place == ParameterIn::Query { Required::False } else { Required::True };
    let parameter =
        ParameterBuilder::new().parameter_in(place).name(name).description(Some(words)).schema(Some(schema));
    operation.parameters.get_or_insert_default().push(parameter.required(required).build().into());
}

fn with_body(words: &str, media: &str, schema: Option<impl Into<RefOr<Schema>>>) -> Response {
    let mut response = Response::new(words);
    response.content.insert(media.into(), Content::new(schema).into());
    response
}

fn refusal(words: &str) -> Response {
    with_body(words, JSON, Some(Ref::from_schema_name(Refusal::name())))
}

/// The description of all addresses.
pub(super) fn describe(routes: impl IntoIterator<Item = Route>) -> openapi::OpenApi {
    let mut whole = Frame::openapi();
    let components = whole.components.get_or_insert_default();
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    let token =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("metrics_token of the configuration."));
    components.add_security_scheme("session", session);
    components.add_security_scheme("metrics", SecurityScheme::Http(token.build()));
    for mut route in routes {
        components.schemas.extend(route.schemas.drain(..));
        whole.paths.add_path_operation(route.path, vec![route.method.clone()], route.completed());
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn no_reference_leads_nowhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            found.extend(value["$ref"].as_str());
            value.as_object().into_iter().flat_map(|object| object.values()).for_each(|inner| references(inner, found));
            value.as_array().into_iter().flatten().for_each(|inner| references(inner, found));
        }
        let described = serde_json::to_value(describe(super::super::api::routes())).unwrap();
        let mut found = Vec::new();
        references(&described, &mut found);
        assert!(found.len() > 50, "{described}");
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(described.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}
