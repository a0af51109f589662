//! A service of its own for each test: a catalog in a temporary folder, and a port that is free.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use strongroom_controlplane::model::{
    Address, Catalog, FakeClock, Grantee, KeySource, Resource, Role,
};
use strongroom_controlplane::{App, Config};

/// A running service.
pub(crate) struct TestService {
    pub(crate) app: App,
    #[allow(dead_code, reason = "for tests of what time does")]
    pub(crate) clock: Arc<FakeClock>,
    address: SocketAddr,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// A reply: its status, and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl TestService {
    /// Starts one whose clock stands still at the present moment.
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::now()));
        Self::start_in(tempfile::tempdir().unwrap(), clock).await
    }

    /// Ends it, and starts another one on what it has left.
    pub(crate) async fn restart(self) -> Self {
        self.app.catalog().close().await;
        Self::start_in(self._folder, self.clock).await
    }

    async fn start_in(folder: tempfile::TempDir, clock: Arc<FakeClock>) -> Self {
        let address = Address::Sqlite(folder.path().join("catalog.db"));
        let keys = KeySource::File(folder.path().join("master.key"));
        let catalog = Catalog::open(&address, keys, clock.clone()).await.unwrap();
        let app = App::start(catalog, Config::new(folder.path())).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = strongroom_api::router(app.clone());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        TestService { app, clock, address, client: reqwest::Client::new(), _folder: folder }
    }

    /// A new service account with these roles on the organization, by its API key.
    pub(crate) async fn key(&self, roles: &[Role]) -> String {
        let organization = self.app.organization().await.unwrap();
        let grants: Vec<_> =
            roles.iter().map(|role| (*role, Resource::Organization(organization.id))).collect();
        self.key_with(&grants).await
    }

    /// A new service account with these roles, by its API key.
    pub(crate) async fn key_with(&self, grants: &[(Role, Resource)]) -> String {
        let mut write = self.app.catalog().begin().await.unwrap();
        let account = write.create_service_account("test", "", None).await.unwrap();
        write.set_grants(Grantee::ServiceAccount(account.id), grants).await.unwrap();
        let (_, secret) = write.create_api_key(account.id, "test").await.unwrap();
        write.commit().await.unwrap();
        secret.expose().to_owned()
    }

    /// Asks the API, as the bearer of `key`.
    pub(crate) async fn ask(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.address);
        let mut request = self.client.request(method, url);
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    /// Follows a job to its end; what the stream of events was.
    pub(crate) fn events(&self, key: &str, job: &str) -> impl Future<Output = String> + use<> {
        let url = format!("http://{}/api/v1/jobs/{job}/events", self.address);
        let request = self.client.get(url).bearer_auth(key);
        async move { request.send().await.unwrap().text().await.unwrap() }
    }

    /// Asks for something.
    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, Method::GET, path, Value::Null).await
    }
}
