//! What is answered under which address.

use super::App;
use super::assets::{PAGE, asset};
use super::auth::{Attempt, SESSION};
use super::describe::{JSON, Route, describe};
use super::events;
use super::guard::{client, cookie, guard, refuse, set_cookie};
use super::hub::{Camera, Curve};
use super::limit::{self, Limited};
use super::metrics;
use crate::error::Error;
use crate::watch::engine::CameraId;
use crate::watch::marks::Marks;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router, middleware};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa::openapi::{Object, OpenApi, Type};

type Shared = State<Arc<App>>;

/// Longest body of a request, bytes.
const BODY: usize = 8192;
/// Pages that are told of news at a time.
const VIEWERS: usize = 64;
/// Events that are listed when nothing is said, and at most.
const LISTED: (usize, usize) = (100, 1000);
const TEXT: &str = "text/plain";
const JPEG: &str = "image/jpeg";
/// What viewers are told.
const NEWS: &str = "Events `moment` {camera, point}, `picture` {camera, jpeg (base64), width, height, heat {grid, area, \
                    values 0..255}}, `camera` (a Camera), `gap` {camera, time, gap}, `gone` {camera} (not watched any \
                    more), `event` (an Event). A viewer who is too slow misses the oldest.";

/// Every address: who answers, and what is said of it.
pub(super) fn routes() -> impl IntoIterator<Item = Route> {
    page().into_iter().chain(cameras()).chain(events())
}

/// The page, what watches the program, and who is let in.
fn page() -> [Route; 9] {
    [
        Route::get("/", "The page", async || Html(PAGE)).sends(200, "HTML.", "text/html"),
        Route::get("/assets/{name}", "A file of the page", file).says(200, "The file."),
        Route::get("/healthz", "Whether the program answers", async || "ok\n").sends(200, "It does.", TEXT),
        Route::get("/readyz", "Whether some camera is watched", ready)
            .sends(200, "One is.", TEXT)
            .sends(503, "None is.", TEXT),
        Route::get("/metrics", "Counters for Prometheus", scrape)
            .for_programs("Without a login only from this machine to a loopback address.")
            .sends(200, "Text format 0.0.4.", TEXT)
            .refuses(401, "The token is missing or wrong."),
        Route::get("/api/openapi.json", "This description", description).sends(200, "OpenAPI 3.1.", JSON),
        Route::get("/api/session", "Who looks", session)
            .gives::<Session>("csrf is null without a login where one is needed."),
        Route::post("/api/login", "Log in", log_in)
            .takes::<Credentials>()
            .gives::<LoggedIn>("Logged in; the cookie is set.")
            .with_header(200, "Set-Cookie", Type::String)
            .refuses(401, "The name or the password is wrong.")
            .refuses(403, "From another site.")
            .refuses(429, "Too many wrong attempts.")
            .with_header(429, "Retry-After", Type::Integer),
        Route::post("/api/logout", "Log out", log_out).says(204, "Logged out."),
    ]
}

/// What is live.
fn cameras() -> [Route; 3] {
    [
        Route::get("/api/cameras", "The cameras as they are", async |State(app): Shared| Json(app.hub.list()))
            .lists::<Camera>("In their order."),
        Route::get("/api/cameras/{index}/curve", "The last minutes of a camera's curve", curve)
            .gives::<Curve>("Oldest first."),
        Route::get("/api/stream", "News as server-sent events", stream)
            .sends(200, NEWS, "text/event-stream")
            .refuses(503, "Too many pages are open."),
    ]
}

/// What is kept.
fn events() -> [Route; 6] {
    let limit = Object::builder().schema_type(Type::Integer).default(Some(LISTED.0.into()));
    [
        Route::get("/api/events", "Events, the newest first", list)
            .asked("limit", "How many.", limit.minimum(Some(0)).maximum(Some(LISTED.1)))
            .lists::<events::Event>("Those of this run and those whose evidence is kept."),
        Route::get("/api/events/{id}/thumbnail", "The picture at the peak", thumbnail).sends(200, "JPEG.", JPEG),
        Route::get("/api/events/{id}/clip", "The clip; ranges are answered", clip)
            .asked("download", "The browser keeps it as a file.", Object::with_type(Type::String))
            .sends(200, "All of it.", "video/mp4")
            .sends(206, "A part of it.", "video/mp4"),
        Route::get("/api/events/{id}/curve", "The curve beside the clip", event_curve).sends(
            200,
            "The file curve.json of the evidence.",
            JSON,
        ),
        Route::put("/api/events/{id}/mark", "Say whether it was one", mark)
            .takes::<Marked>()
            .gives::<events::Event>("The event."),
        Route::get("/api/marks", "Everything that was said of events", marks).gives::<Marks>("The file marks.json."),
    ]
}

fn router(app: Arc<App>) -> Router {
    let all = routes().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.answer));
    all.fallback(async || refuse(StatusCode::NOT_FOUND, "there is nothing here: see /api/openapi.json"))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Answers until the handle says stop.
pub(super) async fn serve(app: Arc<App>, socket: TcpListener, tls: Option<RustlsConfig>, handle: Handle<SocketAddr>) {
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    // It ends when it is told to; a fault of one connection is that connection's alone.
    let _ = match tls {
        Some(tls) => match from_tcp_rustls(socket, tls) {
            Ok(server) => bounded(server).handle(handle).serve(service).await,
            Err(error) => Err(error),
        },
        None => match axum_server::from_tcp(socket) {
            Ok(server) => bounded(server).handle(handle).serve(service).await,
            Err(error) => Err(error),
        },
    };
}

/// With a limit on connections, and on how long a request's header may take.
fn bounded<A>(server: Server<SocketAddr, A>) -> Server<SocketAddr, Limited<A>> {
    let mut server = server.http1_only().map(|acceptor| Limited::new(acceptor, limit::room()));
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(limit::HEADER);
    server
}

/// Does what reads a disk or computes for long where it holds nobody up.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "an internal error; please report this"))
}

fn none() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is no such thing")
}

async fn file(Path(name): Path<String>) -> Response {
    match asset(&name) {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => none(),
    }
}

async fn ready(State(app): Shared) -> Response {
    let ready = app.hub.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, if ready { "ready\n" } else { "no camera is watched\n" }).into_response()
}

async fn scrape(State(app): Shared) -> Response {
    ([(header::CONTENT_TYPE, metrics::TYPE)], metrics::render(&app.hub)).into_response()
}

async fn description() -> Json<&'static OpenApi> {
    static MADE: LazyLock<OpenApi> = LazyLock::new(|| describe(routes()));
    Json(&MADE)
}

/// Who looks, and what a request that changes something must bring.
#[derive(Serialize, ToSchema)]
struct Session {
    version: &'static str,
    /// A login is needed.
    login: bool,
    #[schema(required)]
    user: Option<String>,
    #[schema(required)]
    csrf: Option<String>,
}

async fn session(State(app): Shared, headers: HeaderMap) -> Json<Session> {
    let session = app.auth.session(cookie(&headers).as_deref());
    Json(Session {
        version: env!("CARGO_PKG_VERSION"),
        login: app.auth.is_needed(),
        user: session.as_ref().filter(|_| app.auth.is_needed()).map(|session| session.user.clone()),
        csrf: session.map(|session| session.csrf),
    })
}

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: String,
}

/// Who got in.
#[derive(Serialize, ToSchema)]
struct LoggedIn {
    user: String,
    csrf: String,
}

async fn log_in(
    State(app): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(given): Json<Credentials>,
) -> Result<Response, Response> {
    let encrypted = app.encrypted;
    let from = client(peer.ip(), &headers);
    let attempt = aside(move || app.auth.attempt(from, &given.user, &given.password)).await?;
    let fail = |e: Error| refuse(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string());
    Ok(match attempt.map_err(fail)? {
        Attempt::In(token, session) => {
            let cookie = set_cookie(&token, SESSION.as_secs(), encrypted);
            ([(header::SET_COOKIE, cookie)], Json(LoggedIn { user: session.user, csrf: session.csrf })).into_response()
        }
        Attempt::Wrong => refuse(StatusCode::UNAUTHORIZED, "the name or the password is wrong"),
        Attempt::Wait(wait) => {
            let seconds = wait.as_secs() + 1;
            let words = format!("too many wrong attempts: try again in {seconds} s");
            let refused = refuse(StatusCode::TOO_MANY_REQUESTS, &words);
            ([(header::RETRY_AFTER, seconds.to_string())], refused).into_response()
        }
    })
}

async fn log_out(State(app): Shared, headers: HeaderMap) -> Response {
    if let Some(token) = cookie(&headers) {
        app.auth.log_out(&token);
    }
    ([(header::SET_COOKIE, set_cookie("", 0, app.encrypted))], StatusCode::NO_CONTENT).into_response()
}

async fn curve(State(app): Shared, Path(id): Path<CameraId>) -> Response {
    app.hub.curve(id).map_or_else(none, |curve| Json(curve).into_response())
}

/// News as they come.
async fn stream(
    State(app): Shared,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Response> {
    if app.hub.viewers() >= VIEWERS {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open"));
    }
    let token = cookie(&headers);
    let news = BroadcastStream::new(app.hub.subscribe());
    // Who has logged out, or whose login has ended, hears no more.
    let news = news.take_while(move |_| app.auth.session(token.as_deref()).is_some());
    // A viewer who was too slow goes on with what is new.
    let news = news.filter_map(|told| told.ok().map(|(what, text)| Ok(Event::default().event(what).data(&*text))));
    Ok(Sse::new(news).keep_alive(KeepAlive::default()))
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn list(State(app): Shared, Query(asked): Query<Limit>) -> Result<Json<Vec<events::Event>>, Response> {
    let limit = asked.limit.unwrap_or(LISTED.0).min(LISTED.1);
    aside(move || app.events.list(limit)).await.map(Json)
}

async fn thumbnail(State(app): Shared, Path(id): Path<String>) -> Result<Response, Response> {
    let jpeg = aside(move || app.events.thumbnail(&id)).await?.ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, JPEG)], jpeg).into_response())
}

/// The clip, whole or in part; `?download` makes browsers keep it.
async fn clip(State(app): Shared, Path(id): Path<String>, request: Request) -> Result<Response, Response> {
    let wanted = id.clone();
    let file = aside(move || app.events.file(&wanted, &["clip.mp4", "clip.mkv"])).await?.ok_or_else(none)?;
    let ending = file.extension().unwrap_or_default().to_string_lossy().into_owned();
    let kept = request.uri().query() == Some("download");
    let mut response = send(file, request).await?;
    // The incident's name is plain: it was found among the folders.
    let name = format!("attachment; filename=\"{id}.{ending}\"");
    if kept && let Ok(name) = name.parse() {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn event_curve(State(app): Shared, Path(id): Path<String>, request: Request) -> Result<Response, Response> {
    let file = aside(move || app.events.file(&id, &["curve.json"])).await?.ok_or_else(none)?;
    send(file, request).await
}

async fn send(file: PathBuf, request: Request) -> Result<Response, Response> {
    let answer = ServeFile::new(file).oneshot(request).await;
    answer.map(IntoResponse::into_response).map_err(|never: Infallible| match never {})
}

/// What is said of an event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Marked {
    /// `true`: it was one; `false`: a false alarm; `null`: takes it back.
    #[schema(required)]
    mark: Option<bool>,
}

async fn mark(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(given): Json<Marked>,
) -> Result<Json<events::Event>, Response> {
    let by = app.auth.session(cookie(&headers).as_deref()).map(|session| session.user).filter(|user| !user.is_empty());
    let known = Arc::clone(&app);
    let marked = aside(move || known.events.mark(&id, given.mark, by)).await?.map_err(|error| {
        let missing = matches!(error, Error::Input { .. });
        let status = if missing { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR };
        refuse(status, &error.to_string())
    })?;
    app.hub.tell("event", &marked);
    Ok(Json(marked))
}

async fn marks(State(app): Shared) -> Json<Marks> {
    Json(app.events.marks())
}
