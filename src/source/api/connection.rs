//! One connection to an API: TLS, HTTP/1.1, one request at a time, each with a deadline and a largest answer.

use super::Address;
use super::client::Patience;
use super::error::Fault;
use super::tls;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(in crate::source) struct Answer {
    /// Status.
    pub status: u16,
    /// `X-Next-Page-Start`, empty without one.
    pub next_page: String,
    /// `Content-Type`.
    pub content_type: String,
    /// `Location`.
    pub location: String,
    /// `WWW-Authenticate`, all of them.
    pub challenges: Vec<String>,
    /// `Docker-Content-Digest`.
    pub content_digest: String,
    /// Body.
    pub body: Vec<u8>,
}

/// An open connection.
pub(in crate::source) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects and shakes hands; to `connect_to` instead of to what the name of the place resolves to, where that is given.
    pub(in crate::source) async fn open(
        place: &Address,
        connect_to: Option<SocketAddr>,
        config: Arc<ClientConfig>,
        patience: &Patience,
    ) -> Result<Connection, Fault> {
        within(patience.connect, connect(place, connect_to, config)).await
    }

    /// Whether another request can be sent.
    pub(in crate::source) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the answer to its end.
    pub(in crate::source) async fn call(
        &mut self,
        request: Request<Full<Bytes>>,
        patience: &Patience,
    ) -> Result<Answer, Fault> {
        within(patience.call, async {
            let response = self
                .sender
                .send_request(request)
                .await
                .map_err(|error| http_fault(&error))?;
            read(response, patience.largest).await
        })
        .await
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Fault::Slow(limit)))
}

async fn connect(
    place: &Address,
    connect_to: Option<SocketAddr>,
    config: Arc<ClientConfig>,
) -> Result<Connection, Fault> {
    let socket = TcpStream::connect(&*addresses(place, connect_to).await?)
        .await
        .map_err(|error| Fault::NoConnection(reason(&error)))?;
    // Requests are single packets and wait for their answer; without it they are only slower.
    let _ = socket.set_nodelay(true);
    let name = ServerName::try_from(place.host.clone())
        .map_err(|_| Fault::Unresolved("it cannot be the name of a host".to_owned()))?;
    let stream = TlsConnector::from(config)
        .connect(name, socket)
        .await
        .map_err(|error| tls::fault(&error))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http_fault(&error))?;
    let driver = tokio::spawn(async move {
        // What ends a connection is seen by the request that was on its way.
        let _ = connection.await;
    });
    Ok(Connection { sender, driver })
}

async fn addresses(place: &Address, connect_to: Option<SocketAddr>) -> Result<Vec<SocketAddr>, Fault> {
    if let Some(address) = connect_to {
        return Ok(vec![address]);
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((place.host.as_str(), place.port))
        .await
        .map_err(|error| Fault::Unresolved(reason(&error)))?
        .collect();
    if found.is_empty() {
        return Err(Fault::Unresolved("there is no address for it".to_owned()));
    }
    Ok(found)
}

/// The text of an I/O error without Rust's `(os error N)`.
fn reason(error: &io::Error) -> String {
    let text = crate::text::sanitize(&error.to_string());
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

fn http_fault(error: &hyper::Error) -> Fault {
    if error.is_parse() {
        Fault::NotHttp
    } else {
        // Incomplete, closed, reset, canceled: all of them leave us without the end of the answer.
        Fault::BrokenOff
    }
}

async fn read(response: Response<Incoming>, largest: usize) -> Result<Answer, Fault> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| http_fault(&error))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > largest {
                return Err(Fault::TooLarge(largest));
            }
            bytes.extend_from_slice(&data);
        }
    }
    let header = |name: HeaderName| text(&head.headers, &name);
    Ok(Answer {
        status: head.status.as_u16(),
        next_page: header(HeaderName::from_static("x-next-page-start")),
        content_type: header(CONTENT_TYPE),
        location: header(LOCATION),
        challenges: head
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect(),
        content_digest: header(HeaderName::from_static("docker-content-digest")),
        body: bytes,
    })
}

/// A header's value. MKE writes account names into headers as they are, which is UTF-8.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}
