//! `/v1/release`: the published folder, as it is. What is in it, clients check; nothing here looks at it.

use crate::{
    enclave::pool,
    http::{App, file_body::Opened, problem::Problem},
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use ok2cry_protocol::{code::Code, rpc::Refusal};
use std::{io, sync::Arc};

/// The longest file that is served, in bytes. A full bundle of entries is the longest that a log has: 256 × 64 KiB.
const MAX_FILE: u64 = 17 << 20;

/// `GET /v1/release`: all that a client needs, at once.
pub(in crate::http) async fn bundle(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    serve(&app, "bundle.json").await
}

/// `GET /v1/release/PATH`: one file of the published folder.
pub(in crate::http) async fn file(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    serve(&app, &path).await
}

async fn serve(app: &App, path: &str) -> Result<Response, Problem> {
    let absent = |detail: &str| Problem(Refusal::with_detail(Code::NotFound, detail.to_owned()));
    let Some(site) = &app.release_site else {
        return Err(absent("no releases are published here"));
    };
    if !is_published(path) {
        return Err(absent("the published folder has no such file"));
    }
    // Readers that are slow keep their place, so that they cannot take every connection from the API's callers.
    let place = Arc::clone(&app.file_readers).try_acquire_owned().map_err(|_| pool::busy())?;
    let file = site.join(path);
    match tokio::task::spawn_blocking(move || Opened::open(&file, MAX_FILE)).await {
        Ok(Ok(opened)) => {
            let headers = [(header::CONTENT_TYPE, kind(path)), (header::CACHE_CONTROL, caching(path))];
            Ok((headers, Body::new(opened.into_body(place))).into_response())
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(absent("the published folder has no such file"))
        }
        Ok(Err(error)) if is_out_of_descriptors(&error) => Err(pool::busy().into()),
        Ok(Err(error)) => {
            tracing::error!(path, %error, "a published file cannot be read");
            Err(Code::Internal.into())
        }
        Err(_) => Err(Code::Internal.into()),
    }
}

/// Whether the process or the system has as many files open as it may.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Whether a path is one that a published folder has. So nothing but names of its own comes near the file system.
fn is_published(path: &str) -> bool {
    let number =
        |text: &str| !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let json = |text: &str| text.strip_suffix(".json").map(str::to_owned);
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["bundle.json" | "list.json"] | ["log", "checkpoint"] => true,
        ["root", name] => json(name).is_some_and(|version| number(&version)),
        ["manifests", name] => json(name).is_some_and(|version| {
            let parts: Vec<_> = version.split('.').collect();
            parts.len() == 3 && parts.into_iter().all(number)
        }),
        ["log", "tile", level, place @ ..] => (*level == "entries" || number(level)) && is_place(place),
        _ => false,
    }
}

/// Where in its level a tile is: `x001/x234/067`, and `.p/W` behind if it is partial.
fn is_place(place: &[&str]) -> bool {
    let digits = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let (last, above) = match place {
        [above @ .., last, width] if last.ends_with(".p") => {
            if width.is_empty() || width.len() > 3 || !width.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
            (last.trim_end_matches(".p"), above)
        }
        [above @ .., last] => (*last, above),
        [] => return false,
    };
    digits(last) && above.len() <= 6 && above.iter().all(|part| part.strip_prefix('x').is_some_and(digits))
}

fn kind(path: &str) -> &'static str {
    match path {
        "log/checkpoint" => "text/plain; charset=utf-8",
        path if path.ends_with(".json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Full tiles and root documents never change. Partial tiles do not either once a checkpoint names them, but one may be
/// there before.
fn caching(path: &str) -> &'static str {
    match path.starts_with("root/") || path.starts_with("log/tile/") && !path.contains(".p/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_published_folder_has_is_looked_for() {
        for path in [
            "bundle.json",
            "list.json",
            "root/12.json",
            "manifests/1.20.3.json",
            "log/checkpoint",
            "log/tile/0/000",
            "log/tile/0/x001/x234/067",
            "log/tile/63/000.p/255",
            "log/tile/entries/x001/000.p/1",
        ] {
            assert!(is_published(path), "{path}");
        }
        for path in [
            "",
            ".",
            "..",
            "../key.pem",
            "log/../../key.pem",
            "/etc/passwd",
            "root/1.json/",
            "root/.json",
            "root/..json",
            "root/x.json",
            "manifests/1.2.json",
            "manifests/1.2.3.json.partial",
            "bundle.json.partial",
            "log/checkpoint.partial",
            "log/tile/0/1",
            "log/tile/0/000.p/",
            "log/tile/0/000.p/1/..",
            "log/tile/0/.p/1",
            "log/tile/0/001/000",
            "log/tile/entries/../checkpoint",
            "log\\checkpoint",
        ] {
            assert!(!is_published(path), "{path}");
        }
    }
}
