//! The ops listener.

use crate::endpoints::ENDPOINTS;
use crate::gate::{self, Local};
use crate::problem::problem;
use crate::{Condition, History, InForce};
use axum::http::StatusCode;
use axum::{Extension, Router, middleware};
use hookflow_engine::Engine;
use hookflow_runtime::{Clock, Heartbeats, Tasks, Token};
use hookflow_text::{Code, Secret};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time. Operators and their probes are few; more wait.
const CONNECTIONS: usize = 256;
/// How long a request's head may take, and a connection be idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long to wait when the system has no socket left: accepting at once again would only spin.
const BREATH: Duration = Duration::from_millis(50);

/// What the console works with.
pub struct ConsoleParts {
    /// Where it will listen.
    pub listen: SocketAddr,
    /// Further names it may be called by.
    pub hosts: Vec<String>,
    /// What every request must carry, when there is one.
    pub token: Option<Secret>,
    /// Which build this is.
    pub version: &'static str,
    /// What must hold before the service is ready.
    pub conditions: Vec<Condition>,
    /// What is counted and measured.
    pub registry: Arc<Registry>,
    /// Tells what is in force, and reads the folder again.
    pub in_force: Arc<dyn InForce>,
    /// Shows the runs and the refused requests that are kept.
    pub history: History,
    /// Runs events again and cancels runs, once the service has started.
    pub engine: Arc<OnceLock<Engine>>,
    /// Tells the time.
    pub clock: Clock,
    /// Runs the connections, and knows of shutdown.
    pub tasks: Tasks,
    /// Knows which loops turn.
    pub heartbeats: Heartbeats,
}

/// The operator's door, not yet open.
pub struct Console {
    listen: SocketAddr,
    desk: Arc<Desk>,
}

/// What every endpoint works with.
pub(crate) struct Desk {
    pub(crate) hosts: Vec<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) version: &'static str,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) in_force: Arc<dyn InForce>,
    pub(crate) history: History,
    pub(crate) engine: Arc<OnceLock<Engine>>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) heartbeats: Heartbeats,
}

/// Why the console does not open.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Anybody who reaches the address could read and, later, change everything.
    #[error("the ops listener at {0} can be reached from other machines, so it needs `ops.token`")]
    TokenNeeded(SocketAddr),
    /// The system does not give the address.
    #[error("the ops listener cannot listen at {0}")]
    Bind(SocketAddr, #[source] io::Error),
}

/// The console with its address.
pub struct Bound {
    /// Where it listens: the port is never 0.
    pub addr: SocketAddr,
    listener: TcpListener,
    router: Router,
    desk: Arc<Desk>,
}

impl Console {
    /// A console that is still closed.
    ///
    /// # Errors
    /// When the address is not on loopback and there is no token.
    pub fn new(parts: ConsoleParts) -> Result<Self, ConsoleError> {
        let ConsoleParts {
            listen,
            hosts,
            token,
            version,
            conditions,
            registry,
            in_force,
            history,
            engine,
            clock,
            tasks,
            heartbeats,
        } = parts;
        if token.is_none() && !listen.ip().to_canonical().is_loopback() {
            return Err(ConsoleError::TokenNeeded(listen));
        }
        let desk = Arc::new(Desk {
            hosts,
            token,
            version,
            conditions,
            registry,
            in_force,
            history,
            engine,
            clock,
            tasks,
            heartbeats,
        });
        Ok(Self { listen, desk })
    }

    /// Takes the address.
    ///
    /// # Errors
    /// When the system does not give it.
    pub async fn bind(self) -> Result<Bound, ConsoleError> {
        let Self { listen, desk } = self;
        let bind = async {
            let listener = TcpListener::bind(listen).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (addr, listener) = bind.await.map_err(|error| ConsoleError::Bind(listen, error))?;
        Ok(Bound { addr, listener, router: router(&desk), desk })
    }
}

fn router(desk: &Arc<Desk>) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        router = router.route(endpoint.path, (endpoint.routes)());
    }
    router
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, Code("ops.method"), "The method is not taken here")
        })
        .fallback(async || problem(StatusCode::NOT_FOUND, Code("ops.unknown"), "There is nothing here"))
        .layer(middleware::from_fn_with_state(Arc::clone(desk), gate::gate))
        .with_state(Arc::clone(desk))
}

impl Bound {
    /// Serves until it is dropped, not only until shutdown begins: while the service drains, `/readyz` must say so.
    /// So it does not belong into a task that the drain waits for.
    pub async fn serve(self) {
        let heartbeat = self.desk.heartbeats.register("console");
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(seat) = heartbeat.wait(Arc::clone(&seats).acquire_owned()).await else { break };
            match heartbeat.wait(self.listener.accept()).await {
                Ok((stream, _)) => {
                    let connection = converse(self.router.clone(), stream, self.desk.tasks.soft());
                    self.desk.tasks.spawn("console-connection", async move {
                        connection.await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(target: "console", %error, "no connection could be accepted");
                    self.desk.clock.sleep(BREATH).await;
                }
            }
        }
        heartbeat.end();
    }
}

/// Answers on one connection. Once shutdown has begun, each connection has one more answer.
async fn converse(router: Router, stream: TcpStream, mut soft: Token) {
    let Ok(local) = stream.local_addr() else { return };
    let router = router.layer(Extension(Local(local.ip().to_canonical())));
    let mut draining = soft.is_set();
    let mut connection = pin!(
        http1::Builder::new()
            .keep_alive(!draining)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    loop {
        tokio::select! {
            biased;
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(target: "console", %error, "a connection broke");
                }
                return;
            }
            () = soft.wait(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests;
