//! HTTP connections: limits, timeouts and graceful shutdown.

mod linger;
mod service;
mod stall;

use crate::{
    Config, Error, http,
    metrics::{GaugeGuard, Metrics},
};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use linger::{Linger, UnreadInput};
use service::ConnectionService;
use stall::StallTimeout;
use std::{future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Listens on `address`.
///
/// # Errors
/// [`Error::Listen`] if the system refuses the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves HTTP on `listener` until `shutdown` completes. It then accepts no more connections, lets requests
/// in flight finish within [`Config::shutdown_timeout`], and returns.
///
/// # Errors
/// None at present. Errors of single connections are counted and do not end the service.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::new());
    let (shutting_down, stop) = watch::channel(false);
    let server = Server {
        router: http::router(&config, metrics.clone()),
        builder: builder(&config),
        write_timeout: config.write_timeout,
        stop,
        metrics,
    };
    let mut connections = JoinSet::new();
    tokio::select! {
        () = server.accept(&listener, config.max_connections, &mut connections) => {}
        () = shutdown => {}
    }
    drop(listener);
    tracing::info!(connections = connections.len(), "stopping");
    shutting_down.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(config.shutdown_timeout, finished).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut off: they did not finish in time");
    }
    connections.shutdown().await;
    Ok(())
}

struct Server {
    router: Router,
    builder: http1::Builder,
    write_timeout: Duration,
    stop: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
}

fn builder(config: &Config) -> http1::Builder {
    const MAX_HEAD: usize = 16 * 1024;
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(config.header_timeout).max_buf_size(MAX_HEAD);
    builder
}

impl Server {
    async fn accept(&self, listener: &TcpListener, max_connections: usize, connections: &mut JoinSet<()>) {
        let permits = Arc::new(Semaphore::new(max_connections));
        loop {
            while connections.try_join_next().is_some() {}
            // The semaphore is never closed, so this waits and does not fail.
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = self.connection(stream);
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // The usual cause is the limit on file descriptors: wait until connections have closed.
                    tracing::warn!(%error, "cannot accept a connection");
                    self.metrics.connection_errors.inc();
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn connection(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + use<> {
        // Responses are small and written at once, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let unread = UnreadInput::default();
        let stream = Linger::new(StallTimeout::new(stream, self.write_timeout), unread.clone());
        let service = ConnectionService::new(self.router.clone(), unread);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let (mut stop, metrics) = (self.stop.clone(), self.metrics.clone());
        async move {
            let _open = GaugeGuard::new(&metrics.connections);
            let mut connection = pin!(connection);
            let stopping = async move { drop(stop.wait_for(|stopping| *stopping).await) };
            let finished = tokio::select! {
                result = connection.as_mut() => Some(result),
                () = stopping => None,
            };
            let result = match finished {
                Some(result) => result,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                metrics.connection_errors.inc();
                tracing::debug!(%error, "a connection broke");
            }
        }
    }
}
