//! Opening connections: the byte stream (TCP or unix socket, TLS on request) under both of our
//! clients, `tokio-postgres` for questions and definitions and [`super::wire`] for rows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::error::SqlState;

use super::server::{Host, Server, SslMode};
use crate::{Error, Kind, Result};

/// Every session begins with this: what a database or a role has set for its users must change
/// neither what values look like nor how long we may take. (The last timeouts came with PostgreSQL
/// 14 and 17.)
pub(crate) const SESSION: &str = "\
    SET search_path = pg_catalog; SET client_min_messages = error; SET row_security = off; \
    SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
    SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres; SET timezone = 'UTC'; \
    SET bytea_output = 'hex'; SET xmloption = content; SET lc_monetary = 'C'; SET jit = off; \
    SELECT set_config('idle_session_timeout', '0', false) \
        WHERE current_setting('server_version_num')::int >= 140000; \
    SELECT set_config('transaction_timeout', '0', false) \
        WHERE current_setting('server_version_num')::int >= 170000";

/// A connection's bytes, both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connected stream, encrypted if that was agreed.
pub(crate) type Stream = Box<dyn Duplex>;

/// A client for questions and definitions. The connection ends when this is dropped.
pub struct Client {
    inner: tokio_postgres::Client,
    server: Server,
}

impl std::ops::Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl Client {
    /// Connects to `database`, showing `application` in the server's list of sessions.
    pub async fn connect(server: &Server, database: &str, application: &str) -> Result<Self> {
        let stream = open(server).await?;
        let mut config = tokio_postgres::Config::new();
        config.user(&server.user).dbname(database).application_name(application);
        if let Some(password) = &server.password {
            config.password(password);
        }
        if let Some(options) = &server.options {
            config.options(options);
        }
        let connecting = config.connect_raw(stream, tokio_postgres::NoTls);
        let (inner, connection) = tokio::time::timeout(server.connect_timeout, connecting)
            .await
            .map_err(|_| timed_out(server))?
            .map_err(|error| refused(server, database, error.into()))?;
        tokio::spawn(async move {
            // An error here reaches the caller as the error of the query under way.
            let _ = connection.await;
        });
        inner.batch_execute(SESSION).await?;
        Ok(Client { inner, server: server.clone() })
    }

    /// The server it is connected to.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The first column of the first row of the answer to `sql`, as text.
    pub async fn scalar(&self, sql: &str) -> Result<Option<String>> {
        let messages = self.inner.simple_query(sql).await?;
        Ok(messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }
}

/// Opens the stream to a server: connected, and TLS agreed where asked for.
pub(crate) async fn open(server: &Server) -> Result<Stream> {
    match tokio::time::timeout(server.connect_timeout, open_unbounded(server)).await {
        Ok(opened) => opened,
        Err(_) => Err(timed_out(server)),
    }
}

async fn open_unbounded(server: &Server) -> Result<Stream> {
    let unreachable = |error: io::Error| {
        Error::new(Kind::Unreachable, format!("server {server} can not be reached: {error}"))
            .hint("check host and port, and that the server runs and accepts connections from here")
    };
    let name = match &server.host {
        Host::Unix(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", server.port));
            return Ok(Box::new(UnixStream::connect(path).await.map_err(unreachable)?));
        }
        Host::Tcp(name) => name,
    };
    let mut stream = TcpStream::connect((name.as_str(), server.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    // A peer that vanished without a word is noticed within about a minute.
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(unreachable)?;
    if server.ssl_mode == SslMode::Disable {
        return Ok(Box::new(stream));
    }
    let mut request = Default::default();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(unreachable)?;
    let answer = stream.read_u8().await.map_err(unreachable)?;
    if answer != b'S' {
        if server.ssl_mode == SslMode::Prefer {
            return Ok(Box::new(stream));
        }
        return Err(Error::new(Kind::Denied, format!("server {server} does not offer TLS"))
            .hint("enable ssl on the server, or use sslmode=prefer or sslmode=disable"));
    }
    let config = tls_config(server)?;
    let host = ServerName::try_from(name.clone())
        .map_err(|_| Error::new(Kind::Usage, format!("'{name}' is not a host name for TLS")))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(host, stream)
        .await
        .map_err(|error| {
            Error::new(Kind::Denied, format!("TLS with server {server} failed: {error}"))
                .hint("check the server's certificate and sslrootcert")
        })?;
    Ok(Box::new(stream))
}

/// The most bytes of a file of certificates. All of the web's have a quarter of that.
const LONGEST_ROOTS: u64 = 1 << 20;

fn tls_config(server: &Server) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable =
        |error: rustls::Error| Error::new(Kind::Failed, format!("TLS can not be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    if matches!(server.ssl_mode, SslMode::Prefer | SslMode::Require)
        && server.ssl_root_cert.is_none()
    {
        let verifier = Arc::new(Lenient { provider, inner: None });
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    match &server.ssl_root_cert {
        Some(file) => {
            let bad = |reason: String| {
                let file = file.display();
                Error::new(Kind::Usage, format!("sslrootcert {file} can not be used: {reason}"))
            };
            // It may be named by somebody else, and is read to its end.
            let found = std::fs::metadata(file).map_err(|e| bad(e.to_string()))?;
            if !found.is_file() || found.len() > LONGEST_ROOTS {
                return Err(bad("it is no file of certificates".to_owned()));
            }
            for cert in CertificateDer::pem_file_iter(file).map_err(|e| bad(e.to_string()))? {
                let cert = cert.map_err(|e| bad(e.to_string()))?;
                roots.add(cert).map_err(|e| bad(e.to_string()))?;
            }
        }
        None => {
            for cert in rustls_native_certs::load_native_certs().certs {
                // A certificate of the system that can not be read only means less trust.
                let _ = roots.add(cert);
            }
        }
    }
    if server.ssl_mode == SslMode::VerifyFull {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let inner = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    )
    .build()
    .map_err(|error| Error::new(Kind::Usage, format!("sslrootcert can not be used: {error}")))?;
    let verifier = Arc::new(Lenient { provider, inner: Some(inner) });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// libpq's weaker modes: `require` (no `inner`) looks at nothing, `verify-ca` at all but the name.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    inner: Option<Arc<rustls::client::WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn timed_out(server: &Server) -> Error {
    let seconds = server.connect_timeout.as_secs();
    Error::new(Kind::Unreachable, format!("server {server} did not answer within {seconds} s"))
        .hint("check host, port and firewall, or raise connect_timeout")
}

/// Says what a refused connection means; `error` is what the server said.
pub(crate) fn refused(server: &Server, database: &str, error: Error) -> Error {
    let user = &server.user;
    let doing = format!("connecting to database \"{database}\" on {server} as \"{user}\"");
    let error = error.context(doing);
    match error.kind() {
        Kind::Denied => error.hint(
            "check user and password (in the URL, PGPASSWORD or a pass file) and pg_hba.conf",
        ),
        Kind::NotFound => {
            error.hint("the server URL ends with a database that exists, such as .../postgres")
        }
        _ => error,
    }
}

/// An error that the server reported, by its SQLSTATE.
pub(crate) fn server_error(code: &SqlState, severity: &str, message: &str) -> Error {
    let (kind, hint) = match code.code() {
        "28000" | "28P01" => (Kind::Denied, None),
        "42501" => {
            (Kind::Denied, Some("connect as a role that may do this: the owner, or a superuser"))
        }
        "3D000" | "42P01" | "3F000" => (Kind::NotFound, None),
        "42P04" | "42P06" | "42P07" | "42710" | "42723" => (Kind::Conflict, None),
        "53200" => (
            Kind::Exhausted,
            Some(
                "raise max_locks_per_transaction on the server (each table needs a lock while it \
                 is read), or give the server more memory",
            ),
        ),
        "53300" => (
            Kind::Exhausted,
            Some(
                "the server has no connection slot left: use fewer --workers, or raise max_connections",
            ),
        ),
        "53100" => (Kind::Exhausted, Some("the server's disk is full: make room there")),
        "55P03" | "40P01" | "55006" => (Kind::Busy, None),
        "57P01" | "57P02" | "57P03" | "08006" | "08003" => {
            (Kind::Unreachable, Some("the server ended the connection: see its log, and try again"))
        }
        "57014" => (Kind::Failed, Some("the server cancelled the statement: see its log")),
        "0A000" => (Kind::Unsupported, None),
        _ => (Kind::Failed, None),
    };
    let error = Error::new(kind, format!("{message} (SQLSTATE {}, {severity})", code.code()));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            let mut text = db.message().to_owned();
            if let Some(detail) = db.detail() {
                text = format!("{text}: {detail}");
            }
            let translated = server_error(db.code(), db.severity(), &text);
            return match db.hint() {
                Some(hint) => translated.hint(hint),
                None => translated,
            };
        }
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        if error.is_closed()
            || text.contains("error communicating")
            || text.contains("unexpected EOF")
        {
            return Error::new(
                Kind::Unreachable,
                format!("the connection to the server broke: {text}"),
            )
            .hint("see the server's log, and try again");
        }
        if text.contains("password") {
            return Error::new(Kind::Denied, text);
        }
        Error::new(Kind::Failed, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever attaches a cluster names the file, and a service would read a device for ever.
    #[test]
    fn only_a_file_of_certificates_is_read_for_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let long = write("long", &vec![b'\n'; LONGEST_ROOTS as usize + 1]);
        let torn = write("torn", b"-----BEGIN CERTIFICATE-----\n");
        let garbage =
            write("garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let nowhere = folder.path().join("nowhere").display().to_string();
        for file in ["/dev/zero", "/", &long, &torn, &garbage, &nowhere] {
            let url = format!("postgresql://a@localhost/b?sslmode=verify-full&sslrootcert={file}");
            let refused = tls_config(&Server::parse(&url).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{file}: {refused}");
            assert!(refused.message().starts_with(&format!("sslrootcert {file} ")), "{refused}");
        }
    }
}
