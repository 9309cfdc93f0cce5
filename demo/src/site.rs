//! The web page of `make demo`, and the services behind it: a shop that takes a card's PIN, a host that
//! carries requests and cheats on request, and the card's issuer. All three run in this process; enclaves and
//! parents do not.
//!
//! The page is the committed build of `demo/page`. A production page has its trust compiled in: release keys,
//! AWS's root and the issuer's public key. A demo makes all three anew each time, so this page fetches them
//! from `GET /demo/config`. A page's server is trusted for them either way.

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

/// The default port. If it is taken, the page is served at any free port.
pub const DEFAULT_PORT: u16 = 8400;

/// The limit for request bodies, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// The purpose of requested keys, and their lifetime in milliseconds.
const PURPOSE: &str = "card-pin";
const TTL_MS: u64 = 60_000;

/// The content security policy: everything from this origin only, no framing, no text turned into script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The page's files, as `demo/page/build.mjs` makes them: path, media type, contents.
const PAGE: [(&str, &str, &[u8]); 3] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../page/dist/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("../page/dist/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../page/dist/page.css")),
];

/// The parties behind the page.
#[derive(Debug)]
pub struct Parties<'a> {
    /// The enclave with the listed image, and its parent.
    pub genuine: &'a Deployment,
    /// An enclave with another image under the same root.
    pub impostor: &'a Deployment,
    /// The number of root keys that must sign, and the root keys of the releases as PEM.
    pub release_keys: (u32, Vec<String>),
    /// The answer of `GET /v1/release` before the latest list: a host serves it to hide a revocation.
    pub old_releases: Vec<u8>,
    /// The issuer's trust.
    pub trust: Trust,
    /// Whether the enclave runs in an emulated machine. If not, it runs on a mock NSM that measures nothing.
    pub emulated: bool,
}

/// The page, served on loopback until this is dropped.
#[derive(Debug)]
pub struct DemoSite {
    url: String,
    _runtime: Runtime,
}

impl DemoSite {
    /// Serves the page at `port`. Without one, at [`DEFAULT_PORT`] or, if that is taken, at any free port.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    pub fn start(parties: Parties<'_>, port: Option<u16>) -> Result<Self, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("serving the demo's page: {e}"));
        let site = Arc::new(Site::new(parties)?);
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

    /// The page's origin, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fetches the page's files, and returns their size in bytes.
    ///
    /// # Errors
    ///
    /// If a file differs from the build, or is served without the policy.
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
    /// The genuine parent's page about refusals.
    docs: String,
    config: Config,
}

/// What a production page has compiled in.
#[derive(Clone, Serialize)]
struct Config {
    release_threshold: u32,
    release_keys: Vec<String>,
    attestation_root: String,
    recipient: ok2cry_protocol::http::Bytes,
    purpose: &'static str,
    ttl_ms: u64,
    emulated: bool,
    /// The order to pay for: a new one for each page.
    order: String,
}

impl Site {
    fn new(parties: Parties<'_>) -> Result<Self, HarnessError> {
        let issuer = Issuer::new(parties.trust)?;
        let root = parties.genuine.root_pem();
        let root = fs::read_to_string(root).map_err(|e| HarnessError::new(e.to_string()))?;
        let (release_threshold, release_keys) = parties.release_keys;
        let config = Config {
            release_threshold,
            release_keys,
            attestation_root: root,
            recipient: issuer.public_key(),
            purpose: PURPOSE,
            ttl_ms: TTL_MS,
            emulated: parties.emulated,
            order: String::new(),
        };
        Ok(Self {
            host: Host::new(parties.genuine.url(), parties.impostor.url(), parties.old_releases)?,
            merchant: Merchant::new(parties.genuine),
            issuer,
            docs: format!("{}/docs", parties.genuine.url()),
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

/// Passes a request to the parent by the host with the requested behaviour.
async fn carry(
    State(site): State<Arc<Site>>,
    Path((behaviour, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response<axum::body::Body>, Refusal> {
    let body = body.map_err(too_large)?;
    let behaviour = Behaviour::from_name(&behaviour).ok_or(Code::NotFound)?;
    // Not the decoded path: the parent must see what the page wrote.
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

/// Takes a sealed payment for an order. The answer holds what the shop and the issuer saw.
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

/// A refusal to the page. Boxed, because it is large and rare.
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
