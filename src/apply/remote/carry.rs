//! Files between hosts and the operator's machine.

use super::Fetched;
use crate::apply::outputs::FileOutput;
use crate::apply::runner::{Content, HostRunner, RunnerError};
use crate::ssh::Fut;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::io;
use tokio::io::AsyncRead;

/// The hash of bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The digits of `sha256:…`.
pub(super) fn hex(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).to_owned()
}

/// Copies an output from the host that made it, checked against what was recorded.
pub(super) async fn copy(
    from: &HostRunner,
    file: &FileOutput,
    to: &mut (dyn io::Write + Send),
) -> Result<(), RunnerError> {
    from.copy_file(&file.path, file.size.0, &hex(&file.sha256), to)
        .await
}

/// Puts a file on a host, unless it is there.
pub(super) async fn put(
    to: &HostRunner,
    hash: &str,
    bytes: &Fetched,
    executable: bool,
) -> Result<(), RunnerError> {
    match bytes {
        Fetched::Bytes(bytes) => {
            let content = Content::Bytes(bytes);
            to.deliver_files(vec![(hash.to_owned(), content)], executable)
                .await
        }
        Fetched::File(file) => {
            let path = file.to_path_buf();
            let open = move || -> Fut<'static, io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
                let path = path.clone();
                Box::pin(async move {
                    let file = tokio::fs::File::open(path).await?;
                    Ok(Box::new(file) as Box<dyn AsyncRead + Send + Unpin>)
                })
            };
            to.deliver_files(vec![(hash.to_owned(), Content::Reader(&open))], executable)
                .await
        }
    }
}
