//! Which server to talk to: a PostgreSQL URL, completed by the environment as libpq does.
//!
//! The rules come from "Connection Strings", "Environment Variables" and "The Password File" in
//! libpq's manual. What we do not support is refused by name instead of ignored.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::error::bail;
use crate::{Error, Kind, Result};

/// How far TLS is asked for; the names are libpq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always, without looking at the certificate.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority, made out for this host.
    VerifyFull,
}

impl SslMode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name or address.
    Tcp(String),
    /// The folder of a unix socket.
    Unix(PathBuf),
}

/// A server, and who we are to it. Prints itself without the password.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The role to connect as.
    pub user: String,
    /// Its password, if one is known.
    pub password: Option<String>,
    /// The database that the URL names, or the user's.
    pub database: String,
    /// How far TLS is asked for.
    pub ssl_mode: SslMode,
    /// The file with the certificates of the authorities to trust.
    pub ssl_root_cert: Option<PathBuf>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// Options for the server's command line.
    pub options: Option<String>,
}

impl Server {
    /// The server that `url` names; what it leaves open comes from `PGHOST` and friends. An empty
    /// `url` takes everything from there.
    pub fn parse(url: &str) -> Result<Self> {
        Server::parse_with(url, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The server that `url` alone names, for whoever connects on behalf of others: neither the
    /// environment nor the pass file of this process is theirs.
    pub fn of_url(url: &str) -> Result<Self> {
        if url.is_empty() {
            return Err(Error::new(Kind::Usage, "the server URL is empty")
                .hint("server URLs look like postgresql://user@host:5432/database"));
        }
        if parameters(url)?.contains_key("passfile") {
            return Err(Error::new(Kind::Usage, "the server URL names a pass file")
                .hint("write the password into the URL; it is kept sealed, and never shown"));
        }
        Server::parse_with(url, &|_| None)
    }

    /// A URL of this server without a password, as another user or for another database if those
    /// are given.
    pub fn url_without_password(&self, user: Option<&str>, database: Option<&str>) -> String {
        let encoded = |text: &str| {
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            let one = |byte: u8| match safe(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            };
            text.bytes().map(one).collect::<String>()
        };
        let user = encoded(user.unwrap_or(&self.user));
        let database = encoded(database.unwrap_or(&self.database));
        let (place, mut query) = match &self.host {
            Host::Tcp(name) if name.contains(':') => (format!("[{name}]:{}", self.port), vec![]),
            Host::Tcp(name) => (format!("{name}:{}", self.port), vec![]),
            Host::Unix(folder) => {
                let folder = encoded(&folder.display().to_string());
                (String::new(), vec![format!("host={folder}&port={}", self.port)])
            }
        };
        if self.ssl_mode != SslMode::Prefer {
            query.push(format!("sslmode={}", self.ssl_mode.name()));
        }
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        match self.host {
            Host::Tcp(_) => format!("postgresql://{user}@{place}/{database}{query}"),
            // Without a host in front there is no place for the user there.
            Host::Unix(_) => format!("postgresql:///{database}{query}&user={user}"),
        }
    }

    fn parse_with(url: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut given = if url.is_empty() { HashMap::new() } else { parameters(url)? };
        let mut take = |name: &str, variable: &str| given.remove(name).or_else(|| env(variable));
        let host = take("host", "PGHOST");
        let host = take("hostaddr", "PGHOSTADDR").or(host).unwrap_or_else(default_host);
        let port = take("port", "PGPORT").unwrap_or_else(|| "5432".to_owned());
        let user = take("user", "PGUSER")
            .or_else(|| env("USER"))
            .or_else(|| env("LOGNAME"))
            .unwrap_or_else(|| "postgres".to_owned());
        let database = take("dbname", "PGDATABASE").unwrap_or_else(|| user.clone());
        let password = take("password", "PGPASSWORD");
        let passfile = take("passfile", "PGPASSFILE");
        let ssl_mode = take("sslmode", "PGSSLMODE");
        let ssl_root_cert = take("sslrootcert", "PGSSLROOTCERT").map(PathBuf::from);
        let timeout = take("connect_timeout", "PGCONNECT_TIMEOUT");
        let options = take("options", "PGOPTIONS");
        given.remove("application_name");
        if let Some(name) = given.keys().min() {
            return Err(Error::new(
                Kind::Usage,
                format!("the server URL has the parameter '{name}', which is not supported"),
            )
            .hint(
                "supported: host, hostaddr, port, user, password, passfile, dbname, sslmode, \
                 sslrootcert, connect_timeout, options",
            ));
        }
        let names =
            [Some(&host), Some(&user), Some(&database), password.as_ref(), options.as_ref()];
        if names.into_iter().flatten().any(|name| name.contains('\0')) {
            return Err(Error::new(Kind::Usage, "the server URL has a zero byte (%00) in it")
                .hint("PostgreSQL has no such names: write the URL without it"));
        }
        if host.contains(',') {
            bail!(Usage, "the server URL names several hosts; name one");
        }
        let port: u16 = match port.parse() {
            Ok(port) if port != 0 => port,
            _ => bail!(Usage, "'{port}' is not a port of a server"),
        };
        let ssl_mode = match ssl_mode.as_deref() {
            None | Some("prefer" | "allow") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(other) => bail!(Usage, "'{other}' is not an sslmode"),
        };
        let connect_timeout = match timeout.as_deref().map(str::parse) {
            None => Duration::from_secs(15),
            Some(Ok(0)) => Duration::from_secs(3600),
            Some(Ok(seconds)) => Duration::from_secs(seconds),
            Some(Err(_)) => bail!(Usage, "connect_timeout is not a number of seconds"),
        };
        let host = if host.starts_with('/') || host.starts_with('@') {
            Host::Unix(PathBuf::from(host))
        } else {
            Host::Tcp(host)
        };
        let mut server = Server {
            host,
            port,
            user,
            password,
            database,
            ssl_mode,
            ssl_root_cert,
            connect_timeout,
            options,
        };
        if server.password.is_none() {
            let file = passfile
                .map(PathBuf::from)
                .or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".pgpass")));
            server.password = file
                .and_then(|file| std::fs::read_to_string(file).ok())
                .and_then(|text| server.password_in(&text));
        }
        Ok(server)
    }

    /// The password that a pass file's text has for this server.
    fn password_in(&self, text: &str) -> Option<String> {
        let host = match &self.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        };
        let port = self.port.to_string();
        let wanted = [&host, &port, &self.database, &self.user];
        text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = passfile_fields(line);
            let (password, names) = fields.split_last()?;
            let matches = names.len() == 4
                && names.iter().zip(wanted).all(|(field, want)| field == "*" || field == want);
            matches.then(|| password.clone())
        })
    }

    /// Environment variables that make libpq's programs connect as we do. The password goes this
    /// way because arguments can be seen by everybody on the machine.
    pub fn libpq_environment(&self, database: &str) -> Vec<(&'static str, String)> {
        let host = match &self.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let mut variables = vec![
            ("PGHOST", host),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", database.to_owned()),
            ("PGSSLMODE", self.ssl_mode.name().to_owned()),
            ("PGCONNECT_TIMEOUT", self.connect_timeout.as_secs().max(2).to_string()),
        ];
        variables.extend(self.password.clone().map(|password| ("PGPASSWORD", password)));
        variables.extend(self.options.clone().map(|options| ("PGOPTIONS", options)));
        let cert = self.ssl_root_cert.as_ref();
        variables.extend(cert.map(|cert| ("PGSSLROOTCERT", cert.display().to_string())));
        variables
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn default_host() -> String {
    let folders = ["/var/run/postgresql", "/tmp"];
    let has_socket = |folder: &&&str| std::path::Path::new(folder).join(".s.PGSQL.5432").exists();
    folders.iter().find(has_socket).unwrap_or(&"localhost").to_string()
}

/// The parameters that a URL spells, in libpq's names.
fn parameters(text: &str) -> Result<HashMap<String, String>> {
    let shape = "server URLs look like postgresql://user@host:5432/database";
    let url = Url::parse(text).map_err(|error| {
        Error::new(Kind::Usage, format!("the server URL can not be read: {error}")).hint(shape)
    })?;
    if !matches!(url.scheme(), "postgresql" | "postgres") {
        return Err(Error::new(
            Kind::Usage,
            format!("the server URL has the unknown scheme '{}'", url.scheme()),
        )
        .hint(shape));
    }
    let mut found = HashMap::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            found.insert(name.to_owned(), value);
        }
    };
    let host = url.host_str().unwrap_or_default();
    put("host", decoded(host.trim_start_matches('[').trim_end_matches(']'))?);
    put("port", url.port().map(|port| port.to_string()).unwrap_or_default());
    put("user", decoded(url.username())?);
    put("password", decoded(url.password().unwrap_or_default())?);
    put("dbname", decoded(url.path().trim_start_matches('/'))?);
    for (name, value) in url.query_pairs() {
        put(&name, value.into_owned());
    }
    Ok(found)
}

fn decoded(text: &str) -> Result<String> {
    // The query parser is the url crate's only public percent-decoder; '+' must survive it.
    let query = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    let value = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value);
    Ok(value.map(|value| value.into_owned()).unwrap_or_default())
}

/// The fields of one line of a pass file: `:` separates, `\` quotes.
fn passfile_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, env: &[(&str, &str)]) -> Result<Server> {
        Server::parse_with(url, &|name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn the_url_is_completed_by_the_environment() {
        let server =
            parse("postgresql://ann:s%40c%2Bret@db.example:6000/shop", &[("PGUSER", "bob")])
                .unwrap();
        assert_eq!(server.host, Host::Tcp("db.example".into()));
        assert_eq!((server.port, server.user.as_str()), (6000, "ann"));
        assert_eq!(server.password.as_deref(), Some("s@c+ret"));
        assert_eq!(server.database, "shop");
        let env =
            [("PGHOST", "/run/pg"), ("PGPORT", "7000"), ("PGPASSWORD", "x"), ("PGUSER", "bob")];
        let server = parse("postgresql://", &env).unwrap();
        assert_eq!(server.host, Host::Unix("/run/pg".into()));
        assert_eq!((server.port, server.database.as_str()), (7000, "bob"));
        assert_eq!(server.password.as_deref(), Some("x"));
        let server = parse("postgresql:///shop?host=/tmp/s&port=7001&user=eve", &[]).unwrap();
        assert_eq!(server.host, Host::Unix("/tmp/s".into()));
        assert_eq!((server.port, server.user.as_str()), (7001, "eve"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in [
            "mysql://host/db",
            "host/db",
            "postgresql://host:notaport/db",
            "postgresql://host/db?sslmode=maybe",
            "postgresql://host/db?sslcert=x",
            "postgresql:///db?host=a,b",
        ] {
            assert_eq!(parse(url, &[]).unwrap_err().kind(), Kind::Usage, "{url}");
        }
    }

    #[test]
    fn a_pass_file_is_read_as_libpq_reads_it() {
        let server = parse("postgresql://ann@db:6000/shop", &[]).unwrap();
        let text = "# comment\nother:*:*:*:no\ndb:6000:*:ann:se\\:cr\\\\et\n*:*:*:*:later\n";
        assert_eq!(server.password_in(text).as_deref(), Some("se:cr\\et"));
        assert_eq!(server.password_in("db:1:*:*:no\n"), None);
    }

    #[test]
    fn a_url_of_somebody_else_is_completed_by_nothing_of_ours() {
        let server = Server::of_url("postgresql://db.example").unwrap();
        assert_eq!((server.user.as_str(), server.password), ("postgres", None));
        for url in ["", "postgresql://db/x?passfile=/etc/shadow"] {
            assert_eq!(Server::of_url(url).unwrap_err().kind(), Kind::Usage, "{url}");
        }
    }

    #[test]
    fn a_url_without_the_password_still_finds_the_server() {
        for (url, shown) in [
            ("postgresql://ann:hush@db/shop", "postgresql://ann@db:5432/shop"),
            (
                "postgresql://a%25b:x@[::1]:7/s%2Fh?sslmode=require",
                "postgresql://a%25b@[::1]:7/s%2Fh?sslmode=require",
            ),
            (
                "postgresql:///shop?host=/run/pg&user=ann&password=hush",
                "postgresql:///shop?host=%2Frun%2Fpg&port=5432&user=ann",
            ),
        ] {
            let server = Server::of_url(url).unwrap();
            assert_eq!(server.url_without_password(None, None), shown);
            let again = Server::of_url(shown).unwrap();
            assert_eq!((&again.host, again.port), (&server.host, server.port), "{shown}");
            assert_eq!(
                (again.user, again.database),
                (server.user.clone(), server.database.clone())
            );
            let other = server.url_without_password(Some("bob"), Some("till"));
            assert!(other.contains("bob") && other.contains("/till"), "{other}");
        }
    }

    #[test]
    fn a_server_never_prints_its_password() {
        let server = parse("postgresql://ann:secret@db/shop", &[]).unwrap();
        assert!(!format!("{server} {server:?}").contains("secret"));
    }
}
