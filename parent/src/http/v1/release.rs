//! `/v1/release`: serves the published folder unchanged. Clients verify its content; the parent does not
//! parse it.

use crate::http::{AppState, file_body::OpenFile, problem::Problem};
use axum::{
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use ok2cry_protocol::{code::Code, rpc::Refusal};
use std::{io, sync::Arc};

/// The maximum length of a served file, in bytes. The longest file of a log is a full entry bundle: 256 × 64
/// KiB.
const MAX_FILE: u64 = 17 << 20;

/// `GET /v1/release`: the bundle, all that a client needs.
pub(super) async fn bundle(State(app): State<Arc<AppState>>) -> Result<Response, Problem> {
    serve(&app, "bundle.json").await
}

/// `GET /v1/release/PATH`: one file of the published folder.
pub(super) async fn file(
    State(app): State<Arc<AppState>>,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    serve(&app, &path).await
}

async fn serve(app: &AppState, path: &str) -> Result<Response, Problem> {
    let not_found = |detail: &str| Problem(Refusal::with_detail(Code::NotFound, detail.to_owned()));
    let Some(site) = &app.release_site else {
        return Err(not_found("no releases are published here"));
    };
    if !is_published(path) {
        return Err(not_found("the published folder has no such file"));
    }
    // A slow reader holds a permit until its response ends, so slow readers cannot occupy every connection.
    let permit = Arc::clone(&app.file_readers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let file = site.join(path);
    match tokio::task::spawn_blocking(move || OpenFile::open(&file, MAX_FILE)).await {
        Ok(Ok(opened)) => {
            let headers =
                [(header::CONTENT_TYPE, content_type(path)), (header::CACHE_CONTROL, cache_control(path))];
            Ok((headers, Body::new(opened.into_body(permit))).into_response())
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(not_found("the published folder has no such file"))
        }
        Ok(Err(error)) if is_out_of_descriptors(&error) => Err(Problem::busy()),
        Ok(Err(error)) => {
            tracing::error!(path, %error, "a published file cannot be read");
            Err(Code::Internal.into())
        }
        Err(_) => Err(Code::Internal.into()),
    }
}

/// Whether the process or the system has reached its limit on open files.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Whether a published folder can contain this path. All other paths are refused before the file system is
/// accessed.
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
        ["log", "tile", level, tile @ ..] => (*level == "entries" || number(level)) && is_tile_path(tile),
        _ => false,
    }
}

/// Whether this is a tile's path below its level: `x001/x234/067`, with `.p/W` at the end for a partial tile.
fn is_tile_path(parts: &[&str]) -> bool {
    let digits = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let (last, above) = match parts {
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

fn content_type(path: &str) -> &'static str {
    match path {
        "log/checkpoint" => "text/plain; charset=utf-8",
        path if path.ends_with(".json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Full tiles and root documents never change. A partial tile can change until a checkpoint covers it.
fn cache_control(path: &str) -> &'static str {
    match path.starts_with("root/") || path.starts_with("log/tile/") && !path.contains(".p/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_a_published_folder_are_accepted() {
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
