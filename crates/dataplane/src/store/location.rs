//! Collection URLs: which stores there are, what their URLs may say, and what their errors mean.
//!
//! Parameters of `s3://` URLs have the names that CockroachDB's storage URLs give them, so that one
//! URL serves both. What is not understood is refused by name: a misspelt secret must not end as a
//! silent fallback to somebody else's credentials.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::error::bail;
use crate::{Error, Kind, Result};

/// An open store and where the collection lies in it.
pub(super) struct Opened {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) root: Path,
    pub(super) place: Place,
    /// The folder, where it is one of this machine.
    pub(super) local: Option<PathBuf>,
}

/// Where a collection lies, without what opens it: of two URLs with the same place, what is written by
/// one is found by the other. Shown, it is the URL without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Lies);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Lies {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In a bucket.
    Bucket {
        /// Who is asked for it: scheme, host and port. None: Amazon.
        endpoint: Option<String>,
        region: String,
        bucket: String,
        folder: String,
    },
}

impl Place {
    /// The place that a URL names. Nothing is opened or made.
    pub fn of(url: &str) -> Result<Self> {
        let url = parsed(url)?;
        match url.scheme() {
            "file" => folder_of(&url).map(|folder| Place(Lies::Folder(folder))),
            _ => open_bucket(&url).map(|opened| opened.place),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Lies::Folder(folder) => write!(f, "file://{}", folder.display()),
            Lies::Bucket { endpoint, bucket, folder, .. } => {
                write!(f, "s3://{bucket}/{folder}")?;
                endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, "?AWS_ENDPOINT={endpoint}"))
            }
        }
    }
}

pub(super) fn open(text: &str, create: bool) -> Result<Opened> {
    let url = parsed(text)?;
    match url.scheme() {
        "file" => open_folder(&url, create),
        _ => open_bucket(&url),
    }
}

/// Reads a URL whose scheme is one of ours.
fn parsed(text: &str) -> Result<Url> {
    let hint = "collections are file:///absolute/folder or s3://bucket/folder?AWS_REGION=...";
    if text.starts_with('/') {
        return Err(Error::new(
            Kind::Usage,
            format!("the collection '{text}' is a path and not a URL"),
        )
        .hint(format!("write file://{text}")));
    }
    let url = Url::parse(text).map_err(|error| {
        Error::new(Kind::Usage, format!("the collection URL can not be read: {error}")).hint(hint)
    })?;
    match url.scheme() {
        "file" | "s3" => Ok(url),
        other => Err(Error::new(
            Kind::Usage,
            format!("the collection URL has the scheme '{other}', which is not supported"),
        )
        .hint(hint)),
    }
}

/// The URL of the folder `inner` in the collection at `text`, which may be one that is shown.
pub fn within(text: &str, inner: &str) -> Result<String> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !inner.split('/').all(plain) || !inner.bytes().all(harmless) {
        bail!(Usage, "'{inner}' is not the name of a folder in a collection");
    }
    // Not parsed and printed again: what is wrong with the URL is told by whoever opens it.
    let (before, parameters) = match text.split_once('?') {
        Some((before, parameters)) => (before, Some(parameters)),
        None => (text, None),
    };
    let joined = format!("{}/{inner}", before.trim_end_matches('/'));
    Ok(parameters.map_or(joined.clone(), |parameters| format!("{joined}?{parameters}")))
}

/// The folder that a URL names.
fn folder_of(url: &Url) -> Result<PathBuf> {
    if url.query().is_some() {
        bail!(Usage, "a file:// collection URL takes no parameters");
    }
    let folder: PathBuf = url.to_file_path().map_err(|()| {
        Error::new(Kind::Usage, "the collection URL names no folder of this machine")
            .hint("three slashes, then the absolute folder: file:///var/backups/strongroom")
    })?;
    if folder.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::new(Kind::Usage, "the collection URL has a zero byte (%00) in it")
            .hint("no folder has such a name: write the URL without it"));
    }
    Ok(folder)
}

fn open_folder(url: &Url, create: bool) -> Result<Opened> {
    let folder = folder_of(url)?;
    let place = Place(Lies::Folder(folder.clone()));
    let shown = place.to_string();
    if create {
        use std::os::unix::fs::DirBuilderExt;
        // Rows and password verifiers lie here: for nobody else, unless the owner says so.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| io_error(&format!("creating collection {shown}"), &error))?;
    }
    if !folder.is_dir() {
        return Err(Error::new(Kind::NotFound, format!("collection {shown} does not exist"))
            .hint("check the folder's name; backup creates it"));
    }
    let objects = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|error| translate(&format!("opening collection {shown}"), error))?
        .with_fsync(true)
        // Of a backup that was removed, no empty folders stay.
        .with_automatic_cleanup(true);
    let (objects, local) = (Arc::new(objects), Some(folder));
    Ok(Opened { objects, root: Path::default(), place, local })
}

fn open_bucket(url: &Url) -> Result<Opened> {
    let Some(bucket) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(Error::new(Kind::Usage, "the collection URL names no bucket")
            .hint("it looks like s3://bucket/folder?AWS_REGION=..."));
    };
    // Spaces stand for the plus signs that somebody forgot to encode in a secret key.
    let mut given: HashMap<String, String> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.replace(' ', "+")))
        .collect();
    let mut take = |name: &str| given.remove(name).filter(|value| !value.is_empty());
    let auth = take("AUTH").unwrap_or_default();
    let (access_key, secret_key) = (take("AWS_ACCESS_KEY_ID"), take("AWS_SECRET_ACCESS_KEY"));
    let token = take("AWS_SESSION_TOKEN");
    let (endpoint, region) = (take("AWS_ENDPOINT"), take("AWS_REGION"));
    if let Some(name) = given.keys().min() {
        return Err(Error::new(Kind::Usage, format!("unknown S3 query parameter: {name}")).hint(
            "supported: AUTH, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, \
             AWS_ENDPOINT, AWS_REGION",
        ));
    }
    if !matches!(auth.as_str(), "" | "implicit" | "specified") {
        bail!(Usage, "AUTH is '{auth}'; it is 'specified' or 'implicit'");
    }
    let specified = access_key.is_some() || secret_key.is_some();
    if auth == "implicit" && specified {
        bail!(Usage, "AUTH=implicit takes the credentials of this machine; the URL has others");
    }
    if auth == "specified" || specified {
        if access_key.is_none() {
            bail!(Usage, "the collection URL has no AWS_ACCESS_KEY_ID");
        }
        if secret_key.is_none() {
            bail!(Usage, "the collection URL has no AWS_SECRET_ACCESS_KEY");
        }
    }
    let patience = patience()?;
    let endpoint = endpoint.or_else(|| std::env::var("AWS_ENDPOINT_URL").ok());
    let plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(
            ClientOptions::new()
                .with_connect_timeout(patience.min(Duration::from_secs(15)))
                .with_timeout(patience)
                .with_allow_http(plain),
        )
        .with_retry(RetryConfig { retry_timeout: patience, ..Default::default() });
    if let Some(key) = access_key {
        builder = builder.with_access_key_id(key);
    }
    if let Some(key) = secret_key {
        builder = builder.with_secret_access_key(key);
    }
    if let Some(token) = token {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    let folder = url.path().trim_matches('/');
    // As the builder takes them: the environment may have set what the URL does not say.
    let set = |key| builder.get_config_value(&key);
    let endpoint = set(AmazonS3ConfigKey::S3Endpoint).or(set(AmazonS3ConfigKey::Endpoint));
    let place = Place(Lies::Bucket {
        endpoint: endpoint.map(|endpoint| origin(&endpoint)),
        region: set(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned()),
        bucket: bucket.to_owned(),
        folder: folder.to_owned(),
    });
    let shown = place.to_string();
    let root = Path::from_url_path(folder)
        .map_err(|error| Error::new(Kind::Usage, format!("collection {shown}: {error}")))?;
    let objects = builder
        .build()
        .map_err(|error| translate(&format!("opening collection {shown}"), error))?;
    Ok(Opened { objects: Arc::new(objects), root, place, local: None })
}

/// Who an endpoint is: scheme, host and port, and no secret that somebody put before or behind them.
fn origin(endpoint: &str) -> String {
    match Url::parse(endpoint) {
        Ok(url) => url.origin().ascii_serialization(),
        // Whoever asks it is told what is wrong with it.
        Err(_) => "unreadable".to_owned(),
    }
}

/// How long a store may take before we give up on one request, repeats included.
fn patience() -> Result<Duration> {
    match std::env::var("STRONGROOM_STORE_TIMEOUT") {
        Err(_) => Ok(Duration::from_secs(120)),
        Ok(text) => match text.parse() {
            Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            _ => bail!(Usage, "STRONGROOM_STORE_TIMEOUT is not a number of seconds"),
        },
    }
}

/// What an error of a store means.
pub(super) fn translate(doing: &str, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let text = error.to_string();
    // Without credentials, the cloud's machine that we may run on is asked for its own.
    if text.contains("/latest/api/token") || text.contains("/latest/meta-data/iam") {
        return Error::new(
            Kind::Denied,
            format!("{doing}: no credentials for the store were found"),
        )
        .hint("give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the URL or the environment");
    }
    let local = matches!(&error, E::Generic { store: "LocalFileSystem", .. });
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            // So TLS tells of a connection that ends in the middle.
            if io.kind() == std::io::ErrorKind::UnexpectedEof && !local {
                return unreachable(doing, io);
            }
            return io_error(doing, io);
        }
        cause = inner.source();
    }
    // Looked for in its place alone: the text also holds object names, which are full of numbers.
    let status = text.split_once("status code: ").map_or("", |(_, status)| first_line(status));
    match &error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            Error::new(Kind::Denied, format!("{doing}: the store refused our credentials"))
                .hint("check the access key, the secret key and what they may do in this bucket")
        }
        E::NotFound { .. } => Error::new(Kind::NotFound, format!("{doing}: it does not exist"))
            .hint("check the bucket's name, endpoint and region"),
        _ if status.starts_with("401") || status.starts_with("403") => {
            Error::new(Kind::Denied, format!("{doing}: the store refused our credentials"))
                .hint("check the access key, the secret key and what they may do in this bucket")
        }
        _ if !status.is_empty() => {
            let status = status.split(": ").next().unwrap_or(status).trim_end_matches(':');
            Error::new(Kind::Unreachable, format!("{doing}: the store answers with {status}"))
                .hint("the store failed: try again, or see its log")
        }
        _ if text.contains("error sending request") || text.contains("timed out") => {
            Error::new(Kind::Unreachable, format!("{doing}: the store does not answer")).hint(
                "check AWS_ENDPOINT and AWS_REGION, and that the store can be reached from here",
            )
        }
        _ if text.contains("credential") => Error::new(
            Kind::Denied,
            format!("{doing}: no credentials for the store were found"),
        )
        .hint("give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the URL or the environment"),
        _ => Error::new(Kind::Unreachable, format!("{doing}: {}", first_line(&text)))
            .hint("the store failed: try again, or see its log"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

fn io_error(doing: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind as E;
    let message = format!("{doing}: {error}");
    match error.kind() {
        E::StorageFull | E::QuotaExceeded | E::FileTooLarge => {
            Error::new(Kind::Exhausted, message).hint("make room on the collection's disk")
        }
        E::PermissionDenied | E::ReadOnlyFilesystem => {
            Error::new(Kind::Denied, message).hint("check who may write to the collection's folder")
        }
        E::NotFound => Error::new(Kind::NotFound, message),
        E::ConnectionRefused
        | E::ConnectionReset
        | E::ConnectionAborted
        | E::NotConnected
        | E::HostUnreachable
        | E::NetworkUnreachable
        | E::TimedOut
        | E::BrokenPipe => unreachable(doing, error),
        _ => Error::new(Kind::Failed, message),
    }
}

fn unreachable(doing: &str, error: &std::io::Error) -> Error {
    Error::new(Kind::Unreachable, format!("{doing}: {error}"))
        .hint("check AWS_ENDPOINT and AWS_REGION, and that the store can be reached from here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_urls_are_refused_with_the_way_out() {
        for (url, message) in [
            ("/var/backups", "a path and not a URL"),
            ("var/backups", "can not be read"),
            ("ftp://host/x", "the scheme 'ftp'"),
            ("file://relative/x", "names no folder"),
            ("file:///x?a=b", "takes no parameters"),
            ("s3:///x", "names no bucket"),
            ("s3://b/x?AWS_ACESS_KEY_ID=x", "unknown S3 query parameter: AWS_ACESS_KEY_ID"),
            ("s3://b/x?AUTH=maybe", "AUTH is 'maybe'"),
            ("s3://b/x?AWS_ACCESS_KEY_ID=x", "no AWS_SECRET_ACCESS_KEY"),
            ("s3://b/x?AUTH=implicit&AWS_ACCESS_KEY_ID=x&AWS_SECRET_ACCESS_KEY=y", "AUTH=implicit"),
        ] {
            let error = open(url, false).err().unwrap();
            assert_eq!(error.kind(), Kind::Usage, "{url}");
            assert!(error.message().contains(message), "{url}: {error}");
        }
    }

    #[test]
    fn a_folder_goes_onto_the_path_and_leaves_the_parameters() {
        for (url, expected) in [
            ("file:///var/x", "file:///var/x/0192"),
            ("file:///var/x//", "file:///var/x/0192"),
            ("s3://b?AWS_REGION=r", "s3://b/0192?AWS_REGION=r"),
            ("s3://b/p/?AWS_SECRET_ACCESS_KEY=a/b?c", "s3://b/p/0192?AWS_SECRET_ACCESS_KEY=a/b?c"),
        ] {
            assert_eq!(within(url, "0192").unwrap(), expected);
        }
        for inner in ["", "..", "a/../b", "/a", "a/", "a?b", "a#b", "a%2f"] {
            assert!(within("file:///var/x", inner).is_err(), "{inner}");
        }
        let opened = within("s3://b/x?AWS_ACCESS_KEY_ID=A&AWS_SECRET_ACCESS_KEY=hush", "c1");
        let opened = open(&opened.unwrap(), false).ok().unwrap();
        assert_eq!(opened.place.to_string(), "s3://b/x/c1");
    }

    #[test]
    fn the_number_of_an_error_is_told_from_those_in_names() {
        let error = |status: &str| {
            let text = format!(
                "Error performing PUT http://h:40312/b/22-104031.40 in 2s, after 10 retries - Server \
                 returned non-2xx status code: {status}: <?xml version=\"1.0\"?>\n<Error>403</Error>"
            );
            translate("writing", object_store::Error::Generic { store: "S3", source: text.into() })
        };
        let failed = error("500 Internal Server Error");
        assert_eq!(failed.kind(), Kind::Unreachable);
        assert_eq!(failed.message(), "writing: the store answers with 500 Internal Server Error");
        assert_eq!(error("403 Forbidden").kind(), Kind::Denied);
    }

    #[test]
    fn a_bucket_is_shown_without_its_secrets() {
        let keys = "AWS_ACCESS_KEY_ID=AKIA&AWS_SECRET_ACCESS_KEY=hush&AWS_REGION=r";
        for (endpoint, shown) in [
            ("", "s3://b/x/y"),
            ("http://h:9000/", "s3://b/x/y?AWS_ENDPOINT=http://h:9000"),
            (
                "https://ann:hush@H.example.org/?t=hush",
                "s3://b/x/y?AWS_ENDPOINT=https://h.example.org",
            ),
            ("hush", "s3://b/x/y?AWS_ENDPOINT=unreadable"),
        ] {
            let url = format!("s3://b/x/y?{keys}&AWS_ENDPOINT={endpoint}");
            assert_eq!(Place::of(&url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_place_is_the_same_with_other_keys_only() {
        let place = |url: &str| Place::of(url).unwrap();
        let here = "s3://b/x?AWS_REGION=r&AWS_ENDPOINT=http://h:9000";
        let keys = "AWS_ACCESS_KEY_ID=i&AWS_SECRET_ACCESS_KEY=s";
        for same in [
            format!("{here}&{keys}"),
            format!("s3://b/x/?{keys}&AWS_ENDPOINT=http://H:9000/&AWS_REGION=r"),
        ] {
            assert_eq!(place(&same), place(here), "{same}");
        }
        for other in [
            "s3://b/x?AWS_REGION=r&AWS_ENDPOINT=http://other:9000",
            "s3://b/x?AWS_REGION=r&AWS_ENDPOINT=http://h:9001",
            "s3://b/x?AWS_REGION=r",
            "s3://b/x?AWS_REGION=s&AWS_ENDPOINT=http://h:9000",
            "s3://c/x?AWS_REGION=r&AWS_ENDPOINT=http://h:9000",
            "s3://b/y?AWS_REGION=r&AWS_ENDPOINT=http://h:9000",
            "file:///b/x",
        ] {
            assert_ne!(place(other), place(here), "{other}");
        }
        // A folder is not looked for.
        assert_eq!(place("file:///no/where/"), place("file:///no/where"));
        assert_ne!(place("file:///no/where"), place("file:///no/other"));
    }
}
