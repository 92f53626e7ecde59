//! `curl`: one request, to whatever the model says answers there.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Answer, Server, Silence};
use crate::lab::tools::FileOp;

/// The client for HTTP.
pub(super) struct Curl;

/// Status and body of a request.
struct Response {
    code: u16,
    body: Vec<u8>,
}

fn failed(status: u8, text: &str) -> Failure {
    Failure::Real(format!("curl: ({status}) {text}"), status)
}

/// Scheme, host, port and path.
fn url(text: &str) -> Result<(bool, String, u16, String), Failure> {
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some((scheme, _)) => return Err(Failure::Unmodelled(format!("the scheme {scheme}"))),
        None => (false, text),
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (place, Some(if tls { 443 } else { 80 })),
    };
    let port = port.ok_or_else(|| failed(3, "URL using bad/illegal format or missing URL"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((tls, host.to_owned(), port, format!("/{path}")))
}

/// What a server says to a request.
fn serve(server: Server, path: &str) -> Result<Response, Failure> {
    let text = |code, body: &str| {
        Ok(Response {
            code,
            body: body.as_bytes().to_vec(),
        })
    };
    let healthy = ["/healthz", "/livez", "/readyz"].contains(&path);
    match server {
        Server::Controller(up) if path == "/_ping" => {
            if up {
                text(200, "OK")
            } else {
                text(500, "{\"message\":\"unhealthy\"}\n")
            }
        }
        Server::Controller(_) if path == "/" => text(200, "<!doctype html>\n"),
        Server::Controller(_) => text(401, "{\"message\":\"unauthorized\"}\n"),
        Server::Mke3Api(false) => text(502, "Bad Gateway\n"),
        Server::Mke3Api(true) | Server::K0sApi if healthy => text(200, "ok"),
        Server::Mke3Api(true) | Server::K0sApi | Server::K0sJoin => text(401, "Unauthorized\n"),
        Server::Konnectivity => Err(failed(52, "Empty reply from server")),
        Server::Closed => Err(failed(
            56,
            "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
        )),
    }
}

/// Whether a file of authorities has this one.
fn trusts(authorities: &[u8], authority: &str) -> bool {
    let wanted = authority.trim();
    !wanted.is_empty() && String::from_utf8_lossy(authorities).contains(wanted)
}

/// Head and body of an answer in plain HTTP.
fn plain(bytes: &[u8]) -> Result<Response, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let head = text
        .split_once("\r\n\r\n")
        .map(|(head, _)| head)
        .filter(|head| head.starts_with("HTTP/1."))
        .ok_or_else(|| failed(1, "Received HTTP/0.9 when not allowed"))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| failed(8, "Weird server reply"))?;
    Ok(Response {
        code,
        body: bytes.get(head.len() + 4..).unwrap_or_default().to_vec(),
    })
}

impl Tool for Curl {
    fn name(&self) -> &'static str {
        "curl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("disable", 'q', false),
            ("silent", 's', false),
            ("show-error", 'S', false),
            ("insecure", 'k', false),
            ("fail", 'f', false),
            ("max-time", 'm', true),
            ("connect-timeout", '\0', true),
            ("noproxy", '\0', true),
            ("cacert", '\0', true),
            ("output", 'o', true),
            ("write-out", 'w', true),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        let [address] = parsed.words.as_slice() else {
            return Err(Failure::Unmodelled("other than one URL".to_owned()));
        };
        let (tls, host, port, path) = url(address)?;
        let mut shaken = false;
        let mut code = 0;
        let mut ended = Ok(());
        let asked = (|| {
            let reached = call.cluster.state().reach(call.host, &host, port);
            let answer = reached.map_err(|why| match why {
                Silence::Unknown => failed(6, &format!("Could not resolve host: {host}")),
                Silence::Dropped => failed(28, "Connection timed out after 3000 milliseconds"),
                Silence::Refused => failed(
                    7,
                    &format!("Failed to connect to {host} port {port} after 0 ms: Connection refused"),
                ),
            })?;
            match (answer, tls) {
                (Answer::Plain(bytes), false) => plain(&bytes),
                (Answer::Plain(_), true) => Err(failed(
                    35,
                    "OpenSSL/3.0.13: error:0A00010B:SSL routines::wrong version number",
                )),
                (Answer::Tls { .. }, false) => Ok(Response {
                    code: 400,
                    body: b"Client sent an HTTP request to an HTTPS server.\n".to_vec(),
                }),
                (Answer::Tls { authority, server }, true) => {
                    if !parsed.has("insecure") {
                        let known = match parsed.value("cacert") {
                            Some(file) if !caller.exists(file)? => {
                                return Err(failed(77, &format!("error setting certificate file: {file}")));
                            }
                            Some(file) => trusts(&caller.read(file)?, &authority),
                            None => false,
                        };
                        if !known {
                            return Err(failed(
                                60,
                                "SSL certificate problem: unable to get local issuer certificate",
                            ));
                        }
                    }
                    shaken = true;
                    serve(server, &path)
                }
            }
        })();
        match asked {
            Ok(response) => {
                code = response.code;
                if parsed.has("fail") && code >= 400 {
                    ended = Err(failed(22, &format!("The requested URL returned error: {code}")));
                } else {
                    match parsed.value("output") {
                        None | Some("-") => caller.out(&response.body)?,
                        Some("/dev/null") => {}
                        Some(path) => caller.change(FileOp::Write {
                            path: path.to_owned(),
                            bytes: response.body,
                            mode: 0o644,
                        })?,
                    }
                }
            }
            Err(failure) => ended = Err(failure),
        }
        if let Some(format) = parsed.value("write-out") {
            let text = format
                .replace("%{http_code}", &format!("{code:03}"))
                .replace("%{time_appconnect}", if shaken { "0.004211" } else { "0.000000" })
                .replace("\\n", "\n");
            if text.contains("%{") {
                return Err(Failure::Unmodelled(format!("--write-out {format}")));
            }
            caller.out(text.as_bytes())?;
        }
        match ended {
            Err(Failure::Real(_, status)) if parsed.has("silent") && !parsed.has("show-error") => Ok(status),
            Err(failure) => Err(failure),
            Ok(()) => Ok(0),
        }
    }
}
