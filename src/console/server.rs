//! Serving browsers: so many connections, so much time for a request's head, and an end that lets answers finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::worker::Stop;

/// Connections at once; those beyond wait to be taken.
const CONNECTIONS: usize = 512;
/// How long a browser may take to say what it wants.
const HEAD: Duration = Duration::from_secs(15);
/// How long answers may take to finish at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Takes the address, so that whoever is told of it can come.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|e| format!("[console] listen: {listen}: {e}"))
}

/// Serves until it is wished to stop.
pub async fn serve(listener: TcpListener, router: Router, mut stop: Stop) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.wished() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let (router, stop) = (router.clone(), stop.clone());
                let conversed = async move {
                    converse(stream, from, router, stop).await;
                    drop(place);
                };
                connections.spawn(conversed.in_current_span());
            }
            Err(e) => {
                tracing::warn!(error = %e, "the console can't accept a connection; will try again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    let finished = async { while connections.join_next().await.is_some() {} };
    // Live counts end by themselves; what is not done by then is cut.
    let _ = tokio::time::timeout(FAREWELL, finished).await;
}

async fn converse(stream: TcpStream, from: SocketAddr, router: Router, mut stop: Stop) {
    let with_peer = tower_service(router, from, stop.clone());
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    let connection = server.serve_connection(TokioIo::new(stream), with_peer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.wished() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a browser left before its answer was whole");
    }
}

fn tower_service(
    router: Router,
    from: SocketAddr,
    stop: Stop,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> {
    let router = router.layer(axum::middleware::map_request(move |mut request: Request| {
        let stop = stop.clone();
        async move {
            request.extensions_mut().insert(Peer(from));
            request.extensions_mut().insert(stop);
            request
        }
    }));
    TowerToHyperService::new(router)
}
