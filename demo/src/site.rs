//! The web page of `make demo`, and who stands behind it: a shop that takes a card's PIN, the host that carries its
//! requests and cheats when it is asked to, and the card's issuer. All of them are this process; only the enclaves and
//! their parents are others.
//!
//! The page is the committed bundle of `demo/page`. In production it holds what it trusts: the release keys, AWS's
//! root and the issuer's public key are compiled into it. A demo makes all three anew each time, so here the page asks
//! for them (`GET /demo/config`): whoever serves a page is trusted for it either way.

mod host;
mod merchant;

pub use host::Behaviour;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{HeaderValue, Method, Response, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Redirect},
    routing::{any, get, post},
};
use host::Host;
use merchant::{Issuer, Merchant};
use ok2cry_client::Trust;
use ok2cry_protocol::{code::Code, http::Problem};
use ok2cry_testkit::{Deployment, HarnessError, raw_http};
use serde::Serialize;
use std::{fs, net::Ipv4Addr, sync::Arc};
use tokio::{net::TcpListener, runtime::Runtime, task::spawn_blocking};

/// The port that the page is served at unless another is asked for, or this one is taken.
pub const DEFAULT_PORT: u16 = 8400;

/// The longest body that anybody has to send here, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// What keys are asked for, and how long they live (ms).
const PURPOSE: &str = "card-pin";
const TTL_MS: u64 = 60_000;

/// What nothing but this origin may do: load, run, be framed, or turn text into script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// The bundle, as `demo/page/build.mjs` makes it.
const PAGE: [(&str, &str, &[u8]); 3] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../page/dist/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("../page/dist/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../page/dist/page.css")),
];

/// Who is behind the page.
#[derive(Debug)]
pub struct Cast<'a> {
    /// The enclave and the parent that do what they should.
    pub genuine: &'a Deployment,
    /// An enclave of another image under the same root.
    pub impostor: &'a Deployment,
    /// Root keys of the releases as PEM, and how many of them have to sign.
    pub release_keys: (u32, Vec<String>),
    /// What `GET /v1/release` answered before the latest list was published: what a host serves that hides a revocation.
    pub old_releases: Vec<u8>,
    /// Whom the issuer trusts.
    pub trust: Trust,
    /// Whether the enclave runs in an emulated machine, and not on a mock that measures nothing.
    pub emulated: bool,
}

/// The page, being served on loopback. It ends when this is dropped.
#[derive(Debug)]
pub struct DemoSite {
    url: String,
    _runtime: Runtime,
}

impl DemoSite {
    /// Serves the page at `port`; without one at [`DEFAULT_PORT`], or at any other where that is taken.
    ///
    /// # Errors
    ///
    /// If the port cannot be had, or the deployments do not answer.
    pub fn start(cast: Cast<'_>, port: Option<u16>) -> Result<Self, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("the demo's page cannot be served: {e}"));
        let site = Arc::new(Site::new(cast)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(async {
            match port {
                Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await,
                None => match TcpListener::bind((Ipv4Addr::LOCALHOST, DEFAULT_PORT)).await {
                    Ok(listener) => Ok(listener),
                    Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
                },
            }
        });
        let listener = listener.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        runtime.spawn(async move { axum::serve(listener, routes(site)).await });
        Ok(Self { url, _runtime: runtime })
    }

    /// Where the page is, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fetches the page as a browser does. Answers how many bytes it has in all.
    ///
    /// # Errors
    ///
    /// If something else comes than the bundle.
    pub fn fetch(&self) -> Result<usize, HarnessError> {
        PAGE.iter().try_fold(0, |sum, (path, media_type, bytes)| {
            let answer = raw_http::request(&self.url, "GET", path, &[], b"")?;
            let policy = answer.header("content-security-policy");
            if answer.status() != 200
                || answer.header("content-type") != *media_type
                || policy != POLICY
                || answer.body != *bytes
            {
                return Err(HarnessError::new(format!("{path} is served as {}", answer.start)));
            }
            Ok(sum + bytes.len())
        })
    }
}

struct Site {
    host: Host,
    merchant: Merchant,
    issuer: Issuer,
    /// Where the genuine parent explains its problems.
    docs: String,
    config: Config,
}

/// What a page in production has compiled in.
#[derive(Clone, Serialize)]
struct Config {
    release_threshold: u32,
    release_keys: Vec<String>,
    attestation_root: String,
    recipient: ok2cry_protocol::http::Bytes,
    purpose: &'static str,
    ttl_ms: u64,
    emulated: bool,
    /// The order that is paid for: a new one for each page.
    order: String,
}

impl Site {
    fn new(cast: Cast<'_>) -> Result<Self, HarnessError> {
        let issuer = Issuer::new(cast.trust)?;
        let root = cast.genuine.root_pem();
        let root = fs::read_to_string(root).map_err(|e| HarnessError::new(e.to_string()))?;
        let (release_threshold, release_keys) = cast.release_keys;
        let config = Config {
            release_threshold,
            release_keys,
            attestation_root: root,
            recipient: issuer.public_key(),
            purpose: PURPOSE,
            ttl_ms: TTL_MS,
            emulated: cast.emulated,
            order: String::new(),
        };
        Ok(Self {
            host: Host::new(cast.genuine.url(), cast.impostor.url(), cast.old_releases)?,
            merchant: Merchant::new(cast.genuine),
            issuer,
            docs: format!("{}/docs", cast.genuine.url()),
            config,
        })
    }
}

fn routes(site: Arc<Site>) -> Router {
    let page = PAGE.into_iter().fold(Router::new(), |router, (path, media_type, bytes)| {
        router.route(path, get(([(header::CONTENT_TYPE, media_type)], bytes)))
    });
    page.route("/demo/config", get(config))
        .route("/docs", get(docs))
        .route("/host/{behaviour}/{*path}", any(carry))
        .route("/merchant/orders", post(order))
        .fallback(async || Refusal::from(Code::NotFound))
        .method_not_allowed_fallback(async || Refusal::from(Code::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::map_response(strict))
        .with_state(site)
}

async fn config(State(site): State<Arc<Site>>) -> Json<Config> {
    Json(Config { order: site.merchant.new_order(), ..site.config.clone() })
}

async fn docs(State(site): State<Arc<Site>>) -> Redirect {
    Redirect::temporary(&site.docs)
}

/// Passes a request on to the parent, as the host behaves that the page has asked for.
async fn carry(
    State(site): State<Arc<Site>>,
    Path((behaviour, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response<axum::body::Body>, Refusal> {
    let body = body.map_err(too_large)?;
    let behaviour = Behaviour::from_name(&behaviour).ok_or(Code::NotFound)?;
    // Not the decoded path: the parent is to see what the page wrote.
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let path = path.strip_prefix("/host/").and_then(|path| path.split_once('/')).ok_or(Code::NotFound)?;
    let path = format!("/{}", path.1);
    if !path.starts_with("/v1/") || ![Method::GET, Method::POST, Method::DELETE].contains(&method) {
        return Err(Code::NotFound.into());
    }
    let carried = blocking(move || Ok(site.host.carry(behaviour, method.as_str(), &path, &body)?)).await?;
    if let Some(wait) = carried.hold {
        tokio::time::sleep(wait).await;
    }
    let media_type = HeaderValue::from_str(carried.answer.header("content-type"));
    let mut response = (status(carried.answer.status()), carried.answer.body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    Ok(response)
}

/// Takes a sealed payment for an order: what the shop does with it, and what comes of that at the issuer.
async fn order(
    State(site): State<Arc<Site>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<merchant::Paid>, Refusal> {
    let body = body.map_err(too_large)?;
    blocking(move || site.merchant.pay(&body, &site.issuer)).await.map(Json)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Code::Internal.into()))
}

async fn strict<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal on its way to the page. Boxed: it is large, and rare.
#[derive(Debug)]
struct Refusal(Box<Problem>);

impl Refusal {
    fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("/docs#{code}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
        }))
    }

    fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        Self::new(code.status(), code.as_str(), code.title(), detail)
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::with_detail(code, "")
    }
}

impl From<HarnessError> for Refusal {
    fn from(error: HarnessError) -> Self {
        Self::with_detail(Code::EnclaveUnavailable, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> axum::response::Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status(self.0.status), [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

fn too_large(_: BytesRejection) -> Refusal {
    Code::BodyTooLarge.into()
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}
