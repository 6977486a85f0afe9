//! What is answered under which address; `files/openapi.json` describes it.

use super::App;
use super::assets::{OPENAPI, PAGE, asset};
use super::auth::{Attempt, SESSION};
use super::guard::{client, cookie, guard, refuse, set_cookie};
use super::limit::{self, Limited};
use super::metrics;
use crate::error::Error;
use crate::watch::engine::CameraId;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use axum::{Json, Router, middleware};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tower::ServiceExt;
use tower_http::services::ServeFile;

type Shared = State<Arc<App>>;

/// Longest body of a request, bytes.
const BODY: usize = 8192;
/// Pages that are told of news at a time.
const VIEWERS: usize = 64;
/// Events that are listed when nothing is said, and at most.
const LISTED: (usize, usize) = (100, 1000);

/// Every address: method, path, who answers.
fn routes() -> [(&'static str, &'static str, MethodRouter<Arc<App>>); 18] {
    [
        ("get", "/", get(async || Html(PAGE))),
        ("get", "/assets/{name}", get(file)),
        ("get", "/healthz", get(async || "ok\n")),
        ("get", "/readyz", get(ready)),
        ("get", "/metrics", get(scrape)),
        ("get", "/api/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI))),
        ("get", "/api/session", get(session)),
        ("post", "/api/login", post(log_in)),
        ("post", "/api/logout", post(log_out)),
        ("get", "/api/cameras", get(async |State(app): Shared| Json(app.hub.list()))),
        ("get", "/api/cameras/{index}/curve", get(curve)),
        ("get", "/api/stream", get(stream)),
        ("get", "/api/events", get(list)),
        ("get", "/api/events/{id}/thumbnail", get(thumbnail)),
        ("get", "/api/events/{id}/clip", get(clip)),
        ("get", "/api/events/{id}/curve", get(event_curve)),
        ("put", "/api/events/{id}/mark", put(mark)),
        ("get", "/api/marks", get(async |State(app): Shared| Json(app.events.marks()))),
    ]
}

fn router(app: Arc<App>) -> Router {
    let all = routes().into_iter().fold(Router::new(), |router, (_, path, answer)| router.route(path, answer));
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

/// Who looks, and what a request that changes something must bring.
async fn session(State(app): Shared, headers: HeaderMap) -> Json<Value> {
    let session = app.auth.session(cookie(&headers).as_deref());
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "login": app.auth.is_needed(),
        "user": session.as_ref().filter(|_| app.auth.is_needed()).map(|session| &session.user),
        "csrf": session.as_ref().map(|session| &session.csrf),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: String,
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
            ([(header::SET_COOKIE, cookie)], Json(json!({"user": session.user, "csrf": session.csrf}))).into_response()
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

async fn list(State(app): Shared, Query(asked): Query<Limit>) -> Result<Json<Vec<Value>>, Response> {
    let limit = asked.limit.unwrap_or(LISTED.0).min(LISTED.1);
    aside(move || app.events.list(limit)).await.map(Json)
}

async fn thumbnail(State(app): Shared, Path(id): Path<String>) -> Result<Response, Response> {
    let jpeg = aside(move || app.events.thumbnail(&id)).await?.ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    mark: Option<bool>,
}

async fn mark(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(given): Json<Marked>,
) -> Result<Json<Value>, Response> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_address_is_described_and_nothing_else() {
        let described: Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| -> Vec<(String, String)> {
            let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(|method| (method.clone(), path.clone())).collect()
        };
        let described: BTreeSet<(String, String)> = paths.iter().flat_map(of).collect();
        let answered: BTreeSet<(String, String)> =
            routes().into_iter().map(|(method, path, _)| (method.into(), path.into())).collect();
        assert_eq!(described, answered);
    }
}
