//! Backups and jobs over the API, with a real cluster behind them.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_catalog::clusters::{ClusterState, Connection, Engine, NewCluster, Plan, Provider};
use strongroom_catalog::storage_locations::NewLocation;
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::model::{ClusterId, Resource, Role, Secret};
use strongroom_testkit as testkit;
use tokio_util::sync::CancellationToken;

use crate::sessions::{by_session, cookie, with_founder};
use crate::support::TestService;

/// Attaches a server that has two databases, one of them without tables.
async fn attach(service: &TestService, plan: Plan, url: &str) -> (ClusterId, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let shown = format!("file://{}", folder.path().display());
    let mut write = service.app.catalog().begin().await.unwrap();
    let location = NewLocation {
        name: format!("location of {plan}"),
        region: "eu-west-1".to_owned(),
        url: Secret::new(&shown),
        url_shown: shown,
        encryption: None,
    };
    let location = write.create_location(&location).await.unwrap();
    let cluster = NewCluster {
        name: format!("cluster on {plan}"),
        engine: Engine::Postgres,
        plan,
        provider: Provider::SelfHosted,
        regions: vec!["eu-west-1".to_owned()],
        primary_region: "eu-west-1".to_owned(),
        state: ClusterState::Created,
        connection: Some(Connection { url: Secret::new(url), shown: "postgresql://db".to_owned() }),
        folder: None,
        location: Some(location.id),
        labels: BTreeMap::new(),
        delete_protection: false,
        creator: None,
    };
    let cluster = write.create_cluster(&cluster).await.unwrap();
    write.create_backup_settings(cluster.id, true, 60, 30, false).await.unwrap();
    write.commit().await.unwrap();
    (cluster.id, folder)
}

async fn work(service: &TestService) {
    let (worker, never) = (Worker::new(service.app.clone(), 0), CancellationToken::new());
    while worker.run_one(&never).await.unwrap() {}
}

#[tokio::test]
async fn backups_are_listed_oldest_first_unless_it_is_said_otherwise() {
    let service = TestService::start().await;
    let (cluster, _folder) = attach(&service, Plan::Dedicated, "postgresql://db").await;
    let key = service.key(&[Role::ClusterOperatorWriter]).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(json!(service.backup_of(cluster).await.id));
        service.clock.advance(jiff::SignedDuration::from_mins(1));
    }
    let path = format!("/clusters/{cluster}/backups");
    let ids = |answer: &Value| {
        let backups = answer["backups"].as_array().unwrap();
        backups.iter().map(|backup| backup["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&service.get(&key, &path).await.body), taken);
    let ascending = service.get(&key, &format!("{path}?pagination.sort_order=ASC")).await.body;
    assert_eq!(ids(&ascending), taken);
    let first = service.get(&key, &format!("{path}?pagination.limit=2")).await.body;
    let token = first["pagination"]["next_page"].as_str().unwrap();
    let rest = service.get_with(&key, &path, &[("pagination.page", token)]).await.body;
    assert_eq!([ids(&first), ids(&rest)].concat(), taken);
    taken.reverse();
    let descending = [("pagination.sort_order", "DESC"), ("pagination.limit", "2")];
    let first = service.get_with(&key, &path, &descending).await.body;
    let token = first["pagination"]["next_page"].as_str().unwrap();
    let rest = service.get_with(&key, &path, &[("pagination.page", token)]).await.body;
    assert_eq!([ids(&first), ids(&rest)].concat(), taken, "a token has its own order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_asked_for_followed_and_listed() {
    let server = testkit::Cluster::builder().start();
    server.create_database("shop");
    server.psql("shop", "CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) n");
    let service = TestService::start().await;
    let (cluster, _folder) = attach(&service, Plan::Dedicated, &server.url("shop")).await;
    let key = service.key(&[Role::ClusterOperatorWriter]).await;
    let path = format!("/clusters/{cluster}/backups");

    let asked = service.ask(&key, Method::POST, &path, json!({})).await;
    assert_eq!(asked.status, StatusCode::OK, "{asked:?}");
    let job = asked.body["id"].as_str().unwrap().to_owned();
    assert_eq!((&asked.body["kind"], &asked.body["state"]), (&json!("BACKUP"), &json!("PENDING")));
    assert!(asked.body["description"].as_str().unwrap().starts_with("BACKUP INTO 'file://"));
    assert_eq!(
        asked.body["actions"][0],
        json!({"name": "cancel", "allowed": true, "reason": null})
    );
    let again = service.ask(&key, Method::POST, &path, json!({"type": "FULL"})).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!(10)));
    let incomplete = service.get(&key, &format!("/clusters/{cluster}/incomplete-backups")).await;
    assert_eq!(incomplete.body["incomplete_backups"][0]["id"], json!(job));

    let following = tokio::spawn(service.events(&key, &job));
    work(&service).await;
    let events = following.await.unwrap();
    assert!(events.starts_with("event: job\ndata: {"), "{events}");
    assert!(events.contains("\"state\":\"SUCCEEDED\""), "{events}");

    let listed = service.get(&key, &format!("{path}?type=FULL&database=shop")).await;
    let backup = &listed.body["backups"][0];
    let id = backup["id"].as_str().unwrap();
    assert_eq!(backup["strongroom"]["rows"], json!("100"));
    assert_eq!(backup["strongroom"]["databases"], json!(1), "those without tables do not count");
    assert_eq!(backup["strongroom"]["full_id"], json!(id));
    assert_eq!(listed.body["pagination"], json!({"next_page": null, "previous_page": null}));
    let done = service.get(&key, &format!("/jobs/{job}")).await;
    assert_eq!(done.body["backup_id"], json!(id));
    assert_eq!(done.body["actions"][0]["allowed"], json!(false));
    assert_eq!(service.get(&key, &format!("{path}/{id}")).await.body, *backup);
    for nothing in ["?type=INCREMENTAL", "?database=other", "?start_time=2999-01-01T00:00:00Z"] {
        let listed = service.get(&key, &format!("{path}{nothing}")).await;
        assert_eq!(listed.body["backups"], json!([]), "{nothing}");
    }
    let days = service.get(&key, &format!("/clusters/{cluster}/backup-days")).await;
    assert_eq!(days.body["days"][0]["complete"], json!(1));
    let history = service.get(&key, &format!("/clusters/{cluster}/storage-history")).await;
    assert_eq!(history.body["points"][0]["stored_bytes"], backup["strongroom"]["size_bytes"]);

    // The next one builds on it.
    let asked = service.ask(&key, Method::POST, &path, json!({})).await;
    assert!(asked.body["description"].as_str().unwrap().starts_with("BACKUP INTO LATEST IN"));
    let job = asked.body["id"].as_str().unwrap();
    let cancel = format!("/jobs/{job}/cancel");
    let canceled = service.ask(&key, Method::POST, &cancel, Value::Null).await;
    assert_eq!(canceled.body["state"], json!("CANCELED"));
    let again = service.ask(&key, Method::POST, &cancel, Value::Null).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)));
    let path = format!("/clusters/{cluster}/jobs?kind=BACKUP&state=CANCELED");
    let jobs = service.get(&key, &path).await;
    assert_eq!(jobs.body["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_and_a_foreign_cluster_does_not_exist() {
    let service = TestService::start().await;
    let nowhere = "postgresql://postgres@127.0.0.1:1/x";
    let (mine, _one) = attach(&service, Plan::Serverless, nowhere).await;
    let (other, _two) = attach(&service, Plan::Dedicated, nowhere).await;
    let admin = service.key(&[Role::OrgAdmin]).await;
    let asked =
        service.ask(&admin, Method::POST, &format!("/clusters/{mine}/backups"), json!({})).await;
    let job = asked.body["id"].as_str().unwrap().to_owned();
    let developer = service.key_with(&[(Role::ClusterDeveloper, Resource::Cluster(mine))]).await;
    let foreign = service.key_with(&[(Role::ClusterAdmin, Resource::Cluster(other))]).await;
    let backup = "0192f0c1-2345-7abc-8def-0123456789ab";
    for (method, path, body, see) in [
        (Method::GET, format!("/clusters/{mine}/backups"), Value::Null, true),
        (Method::POST, format!("/clusters/{mine}/backups"), json!({}), false),
        (Method::GET, format!("/clusters/{mine}/backups/{backup}"), Value::Null, true),
        (Method::GET, format!("/clusters/{mine}/backup-days"), Value::Null, true),
        (Method::GET, format!("/clusters/{mine}/storage-history"), Value::Null, true),
        (Method::GET, format!("/clusters/{mine}/incomplete-backups"), Value::Null, true),
        (Method::GET, format!("/clusters/{mine}/jobs"), Value::Null, true),
        (Method::GET, format!("/jobs/{job}"), Value::Null, true),
        (Method::GET, format!("/jobs/{job}/events"), Value::Null, true),
        (Method::POST, format!("/jobs/{job}/cancel"), Value::Null, false),
    ] {
        let unsigned = service.ask("", method.clone(), &path, body.clone()).await;
        assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let hidden = service.ask(&foreign, method.clone(), &path, body.clone()).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{method} {path}: {hidden:?}");
        if path.ends_with("/events") {
            continue;
        }
        let seen = service.ask(&developer, method.clone(), &path, body).await;
        let expected = match (see, path.ends_with(backup)) {
            (false, _) => StatusCode::FORBIDDEN,
            (true, true) => StatusCode::NOT_FOUND,
            (true, false) => StatusCode::OK,
        };
        assert_eq!(seen.status, expected, "{method} {path}: {seen:?}");
    }
    for (path, body) in [
        (format!("/clusters/{mine}/backups"), json!({"type": "DIFFERENTIAL"})),
        (format!("/clusters/{mine}/backups"), json!({"kind": "FULL"})),
        (format!("/clusters/{mine}/backups"), json!({"type": "INCREMENTAL"})),
        ("/clusters/latest/backups".to_owned(), json!({})),
    ] {
        let refused = service.ask(&admin, Method::POST, &path, body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {body}: {refused:?}");
    }
    for query in [
        "backups?type=full",
        "backups?start_time=now",
        "jobs?kind=NOTHING",
        "jobs?state=x",
        "backups?pagination.limit=0",
        "backups?pagination.page=%00",
        "backup-days?from=1999-01-01T00:00:00Z",
    ] {
        let refused = service.get(&admin, &format!("/clusters/{mine}/{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}: {refused:?}");
    }
}

/// A job that waits, as nobody works; its path.
async fn waiting_job(service: &TestService) -> (String, tempfile::TempDir) {
    let nowhere = "postgresql://postgres@127.0.0.1:1/x";
    let (cluster, folder) = attach(service, Plan::Dedicated, nowhere).await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let path = format!("/clusters/{cluster}/backups");
    let asked = service.ask(&key, Method::POST, &path, json!({})).await;
    assert_eq!(asked.status, StatusCode::OK, "{asked:?}");
    (format!("/jobs/{}/events", asked.body["id"].as_str().unwrap()), folder)
}

#[tokio::test]
async fn who_may_no_longer_see_a_job_is_told_nothing_more_of_it() {
    let service = with_founder().await;
    let (path, _folder) = waiting_job(&service).await;
    let admin = service.key(&[Role::OrgAdmin]).await;
    let person = async |email: &str| {
        let body = json!({ "email": email, "name": "Bob", "password": "a long password" });
        let made = service.ask(&admin, Method::POST, "/users", body).await;
        let id = made.body["id"].as_str().unwrap().to_owned();
        let role = format!("/roles/{id}/ORGANIZATION//CLUSTER_MONITOR");
        let granted = service.ask(&admin, Method::POST, &role, Value::Null).await;
        assert_eq!(granted.status, StatusCode::OK, "{granted:?}");
        (id, role, cookie(&service, email, "a long password").await)
    };
    let (key, stays) = (service.key(&[Role::OrgAdmin]).await, service.key(&[Role::OrgAdmin]).await);
    let (_, _, out) = person("out@example.org").await;
    let (disabled_id, _, disabled) = person("disabled@example.org").await;
    let (_, role, demoted) = person("demoted@example.org").await;

    let follow = async |header: &str, value: &str| {
        let reply = service.request(Method::GET, &path).header(header, value).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        reply
    };
    let following = [
        ("the key was deleted", follow("authorization", &format!("Bearer {key}")).await),
        ("signed out", follow("cookie", &out).await),
        ("disabled", follow("cookie", &disabled).await),
        ("the role was taken away", follow("cookie", &demoted).await),
    ]
    .map(|(why, reply)| (why, tokio::spawn(reply.text())));
    let goes_on = follow("authorization", &format!("Bearer {stays}")).await;
    let goes_on = tokio::spawn(goes_on.text());

    let prefix = key.rsplit_once('_').unwrap().0;
    for done in [
        service.ask(&admin, Method::DELETE, &format!("/api-keys/{prefix}"), Value::Null).await,
        by_session(&service, &out, Method::DELETE, "/session", Value::Null).await,
        service
            .ask(
                &admin,
                Method::PATCH,
                &format!("/users/{disabled_id}"),
                json!({ "disabled": true }),
            )
            .await,
        service.ask(&admin, Method::DELETE, &role, Value::Null).await,
    ] {
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
    }
    for (why, followed) in following {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(15), followed).await;
        let told = ended.unwrap_or_else(|_| panic!("{why}, and still told")).unwrap().unwrap();
        assert!(told.starts_with("event: job\ndata: {"), "{why}: {told}");
    }
    assert!(!goes_on.is_finished());
    goes_on.abort();
}

#[tokio::test]
async fn so_many_jobs_are_followed_at_a_time() {
    let service = TestService::start().await;
    let (path, _folder) = waiting_job(&service).await;
    let follow = async |key: &str| {
        service.request(Method::GET, &path).bearer_auth(key).send().await.unwrap()
    };
    let key = service.key(&[Role::ClusterMonitor]).await;
    let mut followed = Vec::new();
    for _ in 0..20 {
        followed.push(follow(&key).await);
        assert_eq!(followed.last().unwrap().status(), StatusCode::OK);
    }
    let refused = service.get(&key, &path).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{refused:?}");
    assert_eq!(refused.headers["retry-after"], "5");
    let other = service.key(&[Role::ClusterMonitor]).await;
    assert_eq!(follow(&other).await.status(), StatusCode::OK);
    drop(followed.pop());
    for _ in 0..100 {
        // The service sees within its next keep-alive or look that the connection is gone.
        let again = follow(&key).await;
        if again.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a place that was left is not free");
}
