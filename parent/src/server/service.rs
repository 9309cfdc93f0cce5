//! The hyper service of one connection: passes requests to the router.

use super::linger::UnreadInput;
use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
    response::Response,
};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    service::Service,
};
use hyper_util::service::TowerToHyperService;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// Passes requests to the router, and records whether each was read to its end.
pub(super) struct ConnectionService {
    router: TowerToHyperService<Router>,
    unread: UnreadInput,
}

impl ConnectionService {
    pub(super) fn new(router: Router, unread: UnreadInput) -> Self {
        Self { router: TowerToHyperService::new(router), unread }
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Body>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let has_body = !request.body().is_end_stream();
        self.unread.set(has_body);
        let request = request.map(|body| match has_body {
            true => Body::new(TrackedBody { body, unread: self.unread.clone() }),
            false => Body::empty(),
        });
        self.router.call(request)
    }
}

struct TrackedBody {
    body: Incoming,
    unread: UnreadInput,
}

impl hyper::body::Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.unread.set(false);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
