//! Bodies as bytes: media type, maximum length and timeout.

use crate::http::problem::Problem;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ok2cry_protocol::code::Code;
use std::time::Duration;
use tokio::time::timeout;

// JSON between systems is UTF-8 (RFC 8259 §8.1). Compressed bodies are not supported.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |field: &str, rule: &str| Problem::of_field(Code::MediaTypeUnsupported, field, rule);
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !is(coding, "identity")) {
        return Err(unsupported("content-encoding", "must be left out: compressed bodies are not accepted"));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let (essence, parameters) =
        only.map(|value| value.split_once(';').unwrap_or((value, ""))).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(unsupported("content-type", "must be there once and be application/json"));
    }
    let charsets = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    for charset in charsets {
        if !["utf-8", "utf8"].into_iter().any(|name| charset.eq_ignore_ascii_case(name)) {
            return Err(unsupported("content-type", "must not name a charset other than utf-8"));
        }
    }
    Ok(())
}

fn is(value: &HeaderValue, text: &str) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(text.as_bytes())
}

pub(super) async fn read_body(body: Body, limit: usize, max_time: Duration) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let rule = format!("must not have more than {limit} bytes");
        Problem::of_field(Code::BodyTooLarge, "body", rule)
    };
    // A body whose announced length is above the limit is refused without reading it.
    if announced_length(&body) > limit as u64 {
        return Err(too_large());
    }
    let mut frames = Limited::new(body, limit);
    // Copy each frame: a frame of one byte would keep the whole buffer alive that it was read into.
    let read = async {
        let mut bytes = Vec::new();
        while let Some(frame) = frames.frame().await {
            bytes.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        }
        Ok::<_, axum::BoxError>(bytes)
    };
    match timeout(max_time, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::of_field(Code::BodyInvalid, "body", "did not arrive whole")),
        Err(_) => Err(Code::RequestTimeout.into()),
    }
}

fn announced_length(body: &Body) -> u64 {
    use hyper::body::Body as _;
    body.size_hint().lower()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use hyper::body::Frame;
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
    };

    /// A body of one-byte frames that counts the live ones.
    struct OneByteFrames {
        remaining: usize,
        live: Arc<AtomicUsize>,
        max_live: Arc<AtomicUsize>,
    }

    struct CountedByte(Arc<AtomicUsize>);

    impl AsRef<[u8]> for CountedByte {
        fn as_ref(&self) -> &[u8] {
            b"{"
        }
    }

    impl Drop for CountedByte {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl hyper::body::Body for OneByteFrames {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.remaining == 0 {
                return Poll::Ready(None);
            }
            self.remaining -= 1;
            let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
            self.max_live.fetch_max(live, Ordering::SeqCst);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(CountedByte(self.live.clone()))))))
        }
    }

    #[tokio::test]
    async fn the_frames_of_a_body_are_not_kept() {
        let max_live = Arc::new(AtomicUsize::new(0));
        let read = |remaining| {
            let frames = OneByteFrames { remaining, live: Arc::default(), max_live: max_live.clone() };
            read_body(Body::new(frames), 1000, Duration::from_secs(10))
        };
        assert_eq!(read(1000).await.unwrap(), [b'{'; 1000]);
        assert_eq!(read(1001).await.unwrap_err().0.code, Code::BodyTooLarge);
        assert!(max_live.load(Ordering::SeqCst) <= 2, "{max_live:?} frames were live at once");
    }

    #[test]
    fn the_content_type_is_uncompressed_json_in_utf_8() {
        let check = |headers: &[(header::HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            check_type(&map).map_err(|problem| (problem.0.code, problem.0.detail))
        };
        let (json, coding) = ((header::CONTENT_TYPE, "application/json"), header::CONTENT_ENCODING);
        for good in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; charset=utf8; x=1",
        ] {
            assert_eq!(
                check(&[(header::CONTENT_TYPE, good), (coding.clone(), "identity")]),
                Ok(()),
                "{good}"
            );
        }
        for (named, headers) in [
            ("content-type: must be there once", vec![]),
            ("content-type: must be there once", vec![json.clone(), json.clone()]),
            ("content-type: must be there once", vec![(header::CONTENT_TYPE, "text/json")]),
            ("content-type: must not name", vec![(header::CONTENT_TYPE, "application/json; charset=utf-16")]),
            ("content-type: must not name", vec![(header::CONTENT_TYPE, "application/json;charset=latin1")]),
            ("content-encoding: must be left out", vec![json.clone(), (coding.clone(), "gzip")]),
            ("content-encoding: must be left out", vec![json.clone(), (coding.clone(), "identity, br")]),
            (
                "content-encoding: must be left out",
                vec![json, (coding.clone(), "identity"), (coding, "zstd")],
            ),
        ] {
            let (code, detail) = check(&headers).unwrap_err();
            assert_eq!(code, Code::MediaTypeUnsupported);
            assert!(detail.starts_with(named), "{detail}");
        }
    }
}
