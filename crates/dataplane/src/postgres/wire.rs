//! A connection that does nothing but move rows.
//!
//! Why not the `tokio-postgres` client, which asks all our questions? It hands over one whole
//! protocol message at a time. A row is one message, and a row may be hundreds of megabytes long,
//! so memory would have no bound; and at millions of short rows a second, an allocation and a
//! channel per row cost more than compressing them. Here messages are unwrapped in a fixed buffer
//! and rows pass as runs of bytes. Message shapes: "Frontend/Backend Protocol" in PostgreSQL's
//! manual, version 3.0; logging in is `postgres-protocol`'s.
//!
//! Queries are pipelined: [`Wire::send_copy_out`] may be called again before the earlier answer
//! was read, so that the server never waits for us between two segments.

use std::io;

use bytes::BytesMut;
use futures::FutureExt;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::{backend, frontend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::error::SqlState;

use super::connect::{self, Stream};
use super::server::Server;
use super::sql::literal;
use crate::error::bail;
use crate::{Error, Kind, Result};

/// The most that is read from the socket at once.
const BUFFER: usize = 256 * 1024;
/// Rows are handed over in runs of about this many bytes.
pub(crate) const RUN: usize = 128 * 1024;

/// A connection for rows.
pub(crate) struct Wire {
    stream: Stream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes of the current row that are still to come.
    row_left: usize,
    /// Header and data of one message to the server, written as one.
    out: Vec<u8>,
    /// What rows are encoded in; statements, which hold names, are always UTF-8.
    encoding: String,
}

/// What one call of [`Wire::copy_out_run`] brought.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Rows that began in this run.
    pub(crate) rows: u64,
    /// Whether the answer is at its end.
    pub(crate) ended: bool,
}

/// A message's tag and length, without the header.
struct Header {
    tag: u8,
    length: usize,
}

impl Wire {
    /// Connects to `database` and sets up the session: `encoding` is what rows are sent and
    /// expected in by [`Wire::send_copy_out`] and [`Wire::copy_in`].
    pub(crate) async fn connect(
        server: &Server,
        database: &str,
        encoding: &str,
        application: &str,
    ) -> Result<Self> {
        let stream = connect::open(server).await?;
        let mut wire = Wire {
            stream,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            row_left: 0,
            out: Vec::new(),
            encoding: encoding.to_owned(),
        };
        let login = wire.log_in(server, database, application);
        match tokio::time::timeout(server.connect_timeout, login).await {
            Ok(result) => result.map_err(|error| connect::refused(server, database, error))?,
            Err(_) => bail!(Unreachable, "server {server} did not finish logging us in"),
        }
        wire.execute(&format!(
            "{}; SET extra_float_digits = 3; SET synchronize_seqscans = off; \
             SET max_parallel_workers_per_gather = 0; SET synchronous_commit = off",
            connect::SESSION
        ))
        .await?;
        Ok(wire)
    }

    async fn log_in(&mut self, server: &Server, database: &str, application: &str) -> Result<()> {
        let mut message = BytesMut::new();
        let mut parameters = vec![
            ("user", server.user.as_str()),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("application_name", application),
        ];
        if let Some(options) = &server.options {
            parameters.push(("options", options));
        }
        frontend::startup_message(parameters, &mut message).map_err(broken)?;
        self.stream.write_all(&message).await.map_err(broken)?;
        let mut scram: Option<sasl::ScramSha256> = None;
        loop {
            let header = self.header().await?;
            let body = self.body(header.length).await?;
            let Some(parsed) = parse(header.tag, &body)? else {
                continue;
            };
            let mut reply = BytesMut::new();
            let password = || {
                server.password.as_deref().map(str::as_bytes).ok_or_else(|| {
                    Error::new(Kind::Denied, "the server asks for a password, and none was given")
                })
            };
            use backend::Message as M;
            match parsed {
                M::AuthenticationOk | M::BackendKeyData(_) | M::ParameterStatus(_) => {}
                M::NoticeResponse(_) => {}
                M::AuthenticationCleartextPassword => {
                    frontend::password_message(password()?, &mut reply).map_err(broken)?;
                }
                M::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(server.user.as_bytes(), password()?, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut reply).map_err(broken)?;
                }
                M::AuthenticationSasl(_) => {
                    let binding = sasl::ChannelBinding::unsupported();
                    let exchange = sasl::ScramSha256::new(password()?, binding);
                    frontend::sasl_initial_response(
                        sasl::SCRAM_SHA_256,
                        exchange.message(),
                        &mut reply,
                    )
                    .map_err(broken)?;
                    scram = Some(exchange);
                }
                M::AuthenticationSaslContinue(body) => {
                    let Some(exchange) = &mut scram else {
                        return Err(unexpected(header.tag));
                    };
                    exchange.update(body.data()).map_err(denied)?;
                    frontend::sasl_response(exchange.message(), &mut reply).map_err(broken)?;
                }
                M::AuthenticationSaslFinal(body) => {
                    let Some(exchange) = &mut scram else {
                        return Err(unexpected(header.tag));
                    };
                    exchange.finish(body.data()).map_err(denied)?;
                }
                M::ErrorResponse(body) => return Err(response_error(&body)),
                M::ReadyForQuery(_) => return Ok(()),
                _ => bail!(
                    Unsupported,
                    "the server asks for a way of logging in that is not supported"
                ),
            }
            if !reply.is_empty() {
                self.stream.write_all(&reply).await.map_err(broken)?;
            }
        }
    }

    /// Sends a query without waiting for its answer.
    async fn send_query(&mut self, sql: &str) -> Result<()> {
        let mut message = BytesMut::with_capacity(sql.len() + 8);
        frontend::query(sql, &mut message)
            .map_err(|_| Error::new(Kind::Usage, "a name holds a zero byte"))?;
        self.stream.write_all(&message).await.map_err(broken)
    }

    /// Sends a `COPY ... TO STDOUT` without waiting for its rows.
    pub(crate) async fn send_copy_out(&mut self, sql: &str) -> Result<()> {
        self.send_query(&self.copy(sql)).await
    }

    fn copy(&self, sql: &str) -> String {
        format!("{sql} (ENCODING {})", literal(&self.encoding))
    }

    /// Runs `sql` and waits for its end; rows are dropped.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<()> {
        self.send_query(sql).await?;
        self.ready().await
    }

    /// The whole answer to a query, in the text form of `COPY`. For short answers.
    pub(crate) async fn text(&mut self, query: &str) -> Result<String> {
        self.send_copy_out(&format!("COPY ({query}) TO STDOUT")).await?;
        self.text_answer().await
    }

    /// The whole answer to a `COPY ... TO STDOUT` that was sent.
    pub(crate) async fn text_answer(&mut self) -> Result<String> {
        let mut answer = Vec::new();
        while !self.copy_out_run(&mut answer).await?.ended {}
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Reads to the end of the answer under way.
    async fn ready(&mut self) -> Result<()> {
        let mut failure = None;
        loop {
            let header = self.header().await?;
            let body = self.body(header.length).await?;
            match parse(header.tag, &body)? {
                Some(backend::Message::ErrorResponse(body)) => {
                    failure.get_or_insert(response_error(&body));
                }
                Some(backend::Message::ReadyForQuery(_)) => return failure.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    /// Reads the next rows of the `COPY ... TO STDOUT` under way, appending them to `out`: about
    /// [`RUN`] bytes, cut anywhere. In the text form a message is a row.
    pub(crate) async fn copy_out_run(&mut self, out: &mut Vec<u8>) -> Result<Run> {
        let mut run = Run::default();
        let full = out.len() + RUN;
        while out.len() < full {
            if self.row_left > 0 {
                if self.start == self.end {
                    self.fill(1).await?;
                }
                let length = self.row_left.min(self.end - self.start).min(full - out.len());
                out.extend_from_slice(&self.buffer[self.start..self.start + length]);
                self.start += length;
                self.row_left -= length;
                continue;
            }
            if self.end - self.start < 5 {
                self.fill(5).await?;
            }
            let header = self.peek_header()?;
            if header.tag == b'd' {
                self.start += 5;
                self.row_left = header.length;
                run.rows += 1;
                continue;
            }
            match header.tag {
                // The answer's beginning, its end, notices and settings carry no rows.
                b'H' | b'c' | b'C' | b'N' | b'S' | b'T' => {
                    self.start += 5;
                    self.body(header.length).await?;
                }
                _ => {
                    self.ready().await?;
                    run.ended = true;
                    return Ok(run);
                }
            }
        }
        Ok(run)
    }

    /// Starts a `COPY ... FROM STDIN`.
    pub(crate) async fn copy_in(&mut self, sql: &str) -> Result<()> {
        self.send_query(&self.copy(sql)).await?;
        loop {
            let header = self.header().await?;
            if header.tag == b'G' {
                self.body(header.length).await?;
                return Ok(());
            }
            let body = self.body(header.length).await?;
            if let Some(backend::Message::ErrorResponse(body)) = parse(header.tag, &body)? {
                let error = response_error(&body);
                self.ready().await?;
                return Err(error);
            }
        }
    }

    /// Sends rows, cut anywhere. Fails early if the server has already refused an earlier one.
    pub(crate) async fn copy_in_data(&mut self, rows: &[u8]) -> Result<()> {
        self.out.clear();
        self.out.push(b'd');
        let length = u32::try_from(rows.len() + 4)
            .map_err(|_| Error::new(Kind::Failed, "a run of rows is longer than 4 GiB"))?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(rows);
        if let Err(error) = self.stream.write_all(&self.out).await {
            // What the server said before it hung up is better than "broken pipe".
            self.ready().await?;
            return Err(broken(error));
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            match self.stream.read(&mut self.buffer).now_or_never() {
                None => return Ok(()),
                Some(Ok(0)) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Some(Ok(read)) => self.end = read,
                Some(Err(error)) => return Err(broken(error)),
            }
        }
        // Only notices and errors come during a COPY FROM.
        if self.buffer[self.start] == b'E' {
            let mut message = BytesMut::new();
            frontend::copy_fail("stopped", &mut message).map_err(broken)?;
            self.stream.write_all(&message).await.map_err(broken)?;
            self.ready().await?;
        }
        Ok(())
    }

    /// Ends a `COPY ... FROM STDIN`; the number of rows that the server took.
    pub(crate) async fn copy_in_end(&mut self) -> Result<u64> {
        let mut message = BytesMut::new();
        frontend::copy_done(&mut message);
        self.stream.write_all(&message).await.map_err(broken)?;
        let mut rows = 0;
        let mut failure = None;
        loop {
            let header = self.header().await?;
            let body = self.body(header.length).await?;
            match parse(header.tag, &body)? {
                Some(backend::Message::CommandComplete(body)) => {
                    let tag = body.tag().map_err(broken)?;
                    rows = tag.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
                }
                Some(backend::Message::ErrorResponse(body)) => {
                    failure.get_or_insert(response_error(&body));
                }
                Some(backend::Message::ReadyForQuery(_)) => return failure.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    /// Makes at least `wanted` bytes available in the buffer.
    async fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.buffer.len() - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < wanted {
            let read = self.stream.read(&mut self.buffer[self.end..]).await.map_err(broken)?;
            if read == 0 {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            self.end += read;
        }
        Ok(())
    }

    fn peek_header(&self) -> Result<Header> {
        let bytes = &self.buffer[self.start..self.start + 5];
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        if length < 4 {
            return Err(unexpected(bytes[0]));
        }
        Ok(Header { tag: bytes[0], length: length - 4 })
    }

    async fn header(&mut self) -> Result<Header> {
        self.fill(5).await?;
        let header = self.peek_header()?;
        self.start += 5;
        Ok(header)
    }

    /// The body of a message that is not a row; those are short.
    async fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(length.min(BUFFER));
        while body.len() < length {
            self.fill(1).await?;
            let part = (length - body.len()).min(self.end - self.start);
            body.extend_from_slice(&self.buffer[self.start..self.start + part]);
            self.start += part;
        }
        Ok(body)
    }
}

/// Parses one whole message with the library; `None` for tags that it does not know.
fn parse(tag: u8, body: &[u8]) -> Result<Option<backend::Message>> {
    let mut whole = BytesMut::with_capacity(body.len() + 5);
    whole.extend_from_slice(&[tag]);
    whole.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    whole.extend_from_slice(body);
    backend::Message::parse(&mut whole).map_err(broken)
}

fn response_error(body: &backend::ErrorResponseBody) -> Error {
    let mut fields = body.fields();
    let (mut code, mut severity, mut message, mut detail, mut place) =
        (String::new(), String::new(), String::new(), None, None);
    use postgres_protocol::message::backend::ErrorField;
    let text = |field: &ErrorField<'_>| String::from_utf8_lossy(field.value_bytes()).into_owned();
    while let Ok(Some(field)) = fallible_iterator::FallibleIterator::next(&mut fields) {
        match field.type_() {
            b'C' => code = text(&field),
            b'S' => severity = text(&field),
            b'M' => message = text(&field),
            b'D' => detail = Some(text(&field)),
            b'W' => place = Some(text(&field)),
            _ => {}
        }
    }
    // The server quotes the row in its context line; rows stay out of our messages.
    let place = place.as_deref().and_then(|place| place.split([':', '\n']).next());
    if let Some(detail) = detail.filter(|_| !place.is_some_and(|place| place.starts_with("COPY"))) {
        message = format!("{message}: {detail}");
    }
    if let Some(place) = place {
        message = format!("{message} [{place}]");
    }
    connect::server_error(&SqlState::from_code(&code), &severity, &message)
}

fn broken(error: io::Error) -> Error {
    Error::new(Kind::Unreachable, format!("the connection to the server broke: {error}"))
        .hint("see the server's log, and try again")
}

fn denied(error: io::Error) -> Error {
    Error::new(Kind::Denied, format!("logging in failed: {error}"))
}

fn unexpected(tag: u8) -> Error {
    let tag = char::from(tag);
    Error::new(Kind::Failed, format!("the server sent a message '{tag}' out of turn"))
}
