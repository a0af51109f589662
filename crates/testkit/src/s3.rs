//! An S3 server in the test's own process: the real protocol, over real HTTP, with signatures checked.
//!
//! The protocol is the `s3s` crate's and the objects are plain files by `s3s-fs`, so a test can damage an
//! object by writing to its file. Around them this module adds what tests need: faults on demand, a record
//! of what was asked for, and conditional writes that are atomic (`s3s-fs` checks `If-None-Match` and then
//! writes, so two writers at once could both win; S3 lets one win).

use std::convert::Infallible;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, StdError};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::sync::{Mutex, oneshot};

use crate::postgres::percent_encode;
use crate::s3_faults::{Answer, Fault, Record, SentBytes, Served};

const BUCKET: &str = "backups";
const ACCESS_KEY: &str = "STRONGROOMTESTKEY";
// With characters that must be encoded in a URL, as real ones have.
const SECRET_KEY: &str = "test/secret+key=for&tests";

/// A running S3 server with one empty bucket. Dropped, it stops and its objects are gone.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    record: Arc<Record>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    root: TempDir,
}

impl S3Server {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let root = tempfile::Builder::new().prefix("strongroom-s3-").tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();

        let mut builder = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("an S3 root"));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let record = Arc::new(Record::new());
        let server = Arc::new(Server {
            service: builder.build(),
            record: Arc::clone(&record),
            conditional: Mutex::new(()),
        });

        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free TCP port");
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime for the S3 server");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, server) => {}
                    _ = stopped => {}
                }
            });
            // Not waiting for requests that are stalled on purpose.
            runtime.shutdown_background();
        });
        Self { port, record, stop: Some(stop), thread: Some(thread), root }
    }

    /// The TCP port on 127.0.0.1, for a [`crate::Proxy`] in front.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The access key and the secret key that requests must be signed with.
    pub fn keys(&self) -> (&'static str, &'static str) {
        (ACCESS_KEY, SECRET_KEY)
    }

    /// The server's address, as `AWS_ENDPOINT` wants it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The URL of a place in the bucket, with all that is needed to reach it.
    pub fn url(&self, path: &str) -> String {
        self.url_at(self.port, path)
    }

    /// As [`S3Server::url`], through another port: that of a [`crate::Proxy`] in front of this server.
    pub fn url_at(&self, port: u16, path: &str) -> String {
        let url = self.url_without_keys(port, path);
        let secret = percent_encode(SECRET_KEY);
        format!("{url}&AWS_ACCESS_KEY_ID={ACCESS_KEY}&AWS_SECRET_ACCESS_KEY={secret}")
    }

    /// A URL without credentials, for tests that give them in another way or give wrong ones.
    pub fn url_without_keys(&self, port: u16, path: &str) -> String {
        let path = path.trim_start_matches('/');
        format!("s3://{BUCKET}/{path}?AWS_ENDPOINT=http://127.0.0.1:{port}&AWS_REGION=us-east-1")
    }

    /// The directory whose files are the bucket's objects.
    pub fn bucket_dir(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// The keys of all objects, sorted.
    pub fn keys_of_objects(&self) -> Vec<String> {
        let bucket = self.bucket_dir();
        let mut keys = Vec::new();
        collect_files(&bucket, &mut |file| {
            let key = file.strip_prefix(&bucket).unwrap();
            keys.push(key.to_str().expect("a key in UTF-8").to_owned());
        });
        keys.sort();
        keys
    }

    /// Makes the server misbehave from now on. Of several faults, the first that hits a request counts.
    pub fn inject(&self, fault: Fault) {
        self.record.inject(fault);
    }

    /// Ends all faults; stalled requests are served.
    pub fn heal(&self) {
        self.record.heal();
    }

    /// What has been answered since the start or the last [`S3Server::forget`].
    pub fn served(&self) -> Vec<Served> {
        self.record.served()
    }

    /// Forgets what has been answered so far, so that the next count starts at none.
    pub fn forget(&self) {
        self.record.forget();
    }

    /// The number of requests answered with this method.
    pub fn requests(&self, method: &str) -> usize {
        self.served().iter().filter(|served| served.method == method).count()
    }

    /// The bytes that GETs of objects whose key contains this text have been sent.
    pub fn bytes_read(&self, key_part: &str) -> u64 {
        self.served()
            .iter()
            .filter(|served| served.method == "GET" && !served.key.is_empty())
            .filter(|served| served.key.contains(key_part))
            .map(|served| served.bytes)
            .sum()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn collect_files(dir: &Path, found: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { collect_files(&path, found) } else { found(&path) }
    }
}

/// What all connections share.
struct Server {
    service: S3Service,
    record: Arc<Record>,
    /// Held from the check of a conditional write to its end.
    conditional: Mutex<()>,
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener for tokio");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(Server::answer(server, request).await) }
            });
            // A client that goes away is its own business.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Server {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Recorded> {
        let method = request.method().clone();
        let key = key_of(request.uri().path());
        let query = request.uri().query().unwrap_or_default().to_owned();

        let mut healed = self.record.until_healed();
        let fault = self.record.fault_for(&method, &key);
        let response = match fault {
            Some(Answer::Status(status)) => error(status),
            Some(Answer::Stall) => {
                let _ = healed.changed().await;
                self.serve(request.map(Body::from)).await
            }
            Some(Answer::Late) => {
                let (parts, body) = request.into_parts();
                let server = Arc::clone(&self);
                // A task of its own, which the end of the connection does not end.
                let serving = tokio::spawn(async move {
                    let body = Body::from(body.collect().await.ok()?.to_bytes());
                    let _ = healed.changed().await;
                    Some(server.serve(Request::from_parts(parts, body)).await)
                });
                let served = serving.await.ok().flatten();
                served.unwrap_or_else(|| error(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Some(Answer::CutBody) | None => self.serve(request.map(Body::from)).await,
        };

        let sent = self.record.add(Served {
            method: method.to_string(),
            key,
            query,
            status: response.status().as_u16(),
            bytes: 0,
        });
        response.map(|body| Recorded {
            cut_at: (fault == Some(Answer::CutBody))
                .then(|| body.size_hint().exact().unwrap_or_default() / 2),
            sent,
            body: Box::pin(body),
        })
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let headers = request.headers();
        let is_conditional_write = request.method() != Method::GET
            && (headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MATCH));
        let _guard = match is_conditional_write {
            true => Some(self.conditional.lock().await),
            false => None,
        };
        match self.service.call(request).await {
            Ok(response) => response,
            Err(failure) => {
                eprintln!("S3 server: {failure:?}");
                error(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// The key in a path-style request, `/bucket/key`, or nothing for one about the bucket.
fn key_of(path: &str) -> String {
    let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    percent_decode(key)
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer as S3 gives it when it cannot serve.
fn error(status: StatusCode) -> Response<Body> {
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => "SlowDown",
        StatusCode::FORBIDDEN => "AccessDenied",
        StatusCode::NOT_FOUND => "NoSuchKey",
        _ => "InternalError",
    };
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>a fault that the test asked for</Message></Error>"
    );
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, "application/xml".parse().unwrap());
    response
}

/// The body of an answer, whose bytes are counted as they leave, and which may be told to end too early.
struct Recorded {
    body: Pin<Box<Body>>,
    sent: SentBytes,
    cut_at: Option<u64>,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.cut_at.is_some_and(|cut_at| self.sent.load(Ordering::Relaxed) >= cut_at) {
            return Poll::Ready(Some(Err("cut by the test".into())));
        }
        let frame = self.body.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.cut_at.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
