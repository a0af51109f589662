//! A service of its own for each test: a catalog in a temporary folder, and a port that is free.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use strongroom_controlplane::model::{
    Address, Backup, BackupType, Catalog, ClusterId, ClusterState, Engine, FakeClock, Grantee,
    KeySource, NewBackup, NewCluster, Plan, Provider, Resource, Role,
};
use strongroom_controlplane::{App, Config};

/// A running service.
pub(crate) struct TestService {
    pub(crate) app: App,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// A reply: its status, and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) headers: HeaderMap,
}

impl TestService {
    /// Starts one whose clock stands still at the present moment.
    pub(crate) async fn start() -> Self {
        // Tests ask as fast as they can.
        Self::start_with(|config| config.requests_per_second = None).await
    }

    /// Starts one that serves in another way.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::now()));
        Self::start_in(tempfile::tempdir().unwrap(), clock, change).await
    }

    /// Ends it, and starts another one on what it has left.
    pub(crate) async fn restart(self) -> Self {
        self.app.catalog().close().await;
        let quick = |config: &mut Config| config.requests_per_second = None;
        Self::start_in(self._folder, self.clock, quick).await
    }

    async fn start_in(
        folder: tempfile::TempDir,
        clock: Arc<FakeClock>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let address = Address::Sqlite(folder.path().join("catalog.db"));
        let keys = KeySource::File(folder.path().join("master.key"));
        let catalog = Catalog::open(&address, keys, clock.clone()).await.unwrap();
        let mut config = Config::new(folder.path());
        change(&mut config);
        let app = App::start(catalog, config).await.unwrap();
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

    /// A new cluster, which nothing answers for.
    pub(crate) async fn cluster(&self, name: &str) -> ClusterId {
        let new = NewCluster {
            name: name.to_owned(),
            engine: Engine::Postgres,
            plan: Plan::Dedicated,
            provider: Provider::SelfHosted,
            regions: vec!["here".to_owned()],
            primary_region: "here".to_owned(),
            state: ClusterState::Created,
            connection: None,
            folder: None,
            location: None,
            labels: BTreeMap::new(),
            delete_protection: false,
            creator: None,
        };
        let mut write = self.app.catalog().begin().await.unwrap();
        let cluster = write.create_cluster(&new).await.unwrap();
        write.create_backup_settings(cluster.id, true, 60, 30, false).await.unwrap();
        write.commit().await.unwrap();
        cluster.id
    }

    /// Records a backup of a cluster, as if one had been taken now.
    pub(crate) async fn backup_of(&self, cluster: ClusterId) -> Backup {
        let catalog = self.app.catalog();
        let location = catalog.cluster(cluster).await.unwrap().location.unwrap();
        let now = self.app.now();
        let engine_id = now.strftime("%Y/%m/%d-%H%M%S.00").to_string().parse().unwrap();
        let new = NewBackup {
            cluster,
            location,
            engine_id,
            kind: BackupType::Full,
            parent: None,
            full: engine_id,
            data_from: now,
            finished_at: now,
            expires_at: None,
            size_bytes: 1,
            stored_bytes: 1,
            rows: 1,
            databases: Vec::new(),
            key_id: None,
            job: None,
        };
        let mut write = catalog.begin().await.unwrap();
        let recorded = write.record_backup(&new, None).await.unwrap();
        write.commit().await.unwrap();
        recorded
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
        answer(request).await
    }

    /// A request to the API, to which a test adds what it wants.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}/api/v1{path}", self.address))
    }

    /// Asks for something, with these parameters.
    pub(crate) async fn get_with(&self, key: &str, path: &str, query: &[(&str, &str)]) -> Answer {
        let base = format!("http://{}/api/v1{path}", self.address);
        let url = reqwest::Url::parse_with_params(&base, query).unwrap();
        answer(self.client.get(url).bearer_auth(key)).await
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

/// Sends a request.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, body, headers }
}
