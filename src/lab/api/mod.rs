//! The MKE 3 API of a simulated cluster: over TLS on loopback, with a certificate of the CA that its hosts hold.

mod answers;
mod certificate;

pub use answers::Setup;
pub use certificate::{Authority, Identity};

use super::Lab;
use super::error::LabError;
use super::model::Cluster;
use crate::source::facts::Facts;
use answers::Service;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Bodies of requests that are read: a login is one.
const LARGEST: usize = 1 << 16;
/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// A connection that says nothing for so long is ended.
const IDLE: Duration = Duration::from_secs(120);

/// The server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    accept: JoinHandle<()>,
}

impl Server {
    /// The API of a cluster that has nothing else: no hosts that could be reached.
    ///
    /// # Errors
    /// When the facts do not tell enough, or no port can be had.
    pub async fn alone(facts: &Facts, setup: Setup) -> Result<Server, LabError> {
        let seed = super::model::seed(facts, &BTreeMap::new())?;
        start(Arc::new(Cluster::new(seed.state)), setup).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> usize {
        self.service.sessions()
    }

    /// Ends all sessions, as their lifetime does: the next call of each is answered with 401.
    pub fn end_sessions(&self) {
        self.service.end_sessions();
    }

    /// Method and path of every call, in order.
    pub fn calls(&self) -> Vec<String> {
        self.service.calls()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Lab {
    /// Starts the API of this cluster. Accounts become those of its auth store, and bindings objects of its Kubernetes.
    ///
    /// # Errors
    /// When no port can be had, or the bindings cannot be made.
    pub async fn serve_api(&self, setup: Setup) -> Result<Server, LabError> {
        start(self.cluster.clone(), setup).await
    }
}

async fn start(cluster: Arc<Cluster>, setup: Setup) -> Result<Server, LabError> {
    {
        let mut state = cluster.state();
        state.accounts.clear();
        state.know_accounts(&setup.accounts);
    }
    let failed = LabError::Api;
    let authority = Authority::of_mke3().map_err(failed)?;
    // A server certificate of MKE names the machine, and whatever else was asked for at its installation.
    let names = [setup.name.as_str(), "localhost", "127.0.0.1"].map(str::to_owned);
    let tls = authority
        .issue(&names)
        .and_then(|identity| identity.server())
        .map_err(failed)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
    let service = Arc::new(Service::new(setup, cluster));
    let accept = tokio::spawn(accept(listener, TlsAcceptor::from(tls), service.clone()));
    Ok(Server {
        address,
        service,
        accept,
    })
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, service: Arc<Service>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            // A client that goes, or never asks, is its own business.
            let _ = tokio::time::timeout(IDLE, connection(socket, tls, service)).await;
            drop(place);
        });
    }
}

async fn connection(socket: TcpStream, tls: TlsAcceptor, service: Arc<Service>) {
    // A cluster whose managers have no controller any more answers nobody.
    if !service.is_up() {
        return;
    }
    let Ok(stream) = tls.accept(socket).await else {
        return;
    };
    let answering = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(answer(&service, request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answering)
        .await;
}

async fn answer(service: &Service, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return response;
        }
    };
    service.answer(&head, &body)
}
