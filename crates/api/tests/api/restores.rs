//! Restores and drills by the API: the whole road, from an attached cluster to rows in another one.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::model::{ClusterId, Resource, Role};
use strongroom_controlplane::{App, Scheduler};
use strongroom_testkit::Cluster;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, TestService};

/// A service with a backup of a shop, and a cluster to restore into.
struct Shops {
    service: TestService,
    key: String,
    source: String,
    target: String,
    target_server: Cluster,
    _source_server: Cluster,
}

/// Runs jobs on this thread until there is none. `hold` moves between threads as little as workers do.
async fn work(app: &App) {
    let worker = Worker::new(app.clone(), 0);
    while worker.run_one(&CancellationToken::new()).await.unwrap() {}
}

impl Shops {
    async fn open() -> Self {
        let (source_server, target_server) = (Cluster::start(), Cluster::start());
        source_server.create_database("shop");
        source_server.psql("shop", "CREATE TABLE orders AS SELECT generate_series(1, 2000) AS id");
        let service = TestService::start().await;
        let key = service.key(&[Role::OrgAdmin, Role::ClusterAdmin]).await;
        let mut ids = Vec::new();
        for (name, server) in [("source", &source_server), ("target", &target_server)] {
            let url = server.url("postgres");
            let body = json!({
                "name": name, "spec": { "plan": "ADVANCED" }, "strongroom": { "url": url },
            });
            let made = service.ask(&key, Method::POST, "/clusters", body).await;
            assert_eq!(made.status, StatusCode::OK, "{made:?}");
            ids.push(made.body["id"].as_str().unwrap().to_owned());
        }
        Scheduler::new(service.app.clone()).tick().await.unwrap();
        work(&service.app).await;
        let target = ids.pop().unwrap();
        let source = ids.pop().unwrap();
        Shops { service, key, source, target, target_server, _source_server: source_server }
    }

    fn path(&self, more: &str) -> String {
        format!("/clusters/{}{more}", self.target)
    }

    fn body(&self) -> Value {
        json!({
            "type": "DATABASE", "source_cluster_id": self.source,
            "objects": [{ "database": "shop" }], "restore_opts": {},
        })
    }

    async fn post(&self, more: &str, body: Value) -> Answer {
        self.service.ask(&self.key, Method::POST, &self.path(more), body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_planned_restored_and_shown_as_the_original_does() {
    let shops = Shops::open().await;
    let plan = shops.post("/restore-plans", shops.body()).await;
    assert_eq!(plan.status, StatusCode::OK, "{plan:?}");
    let plan = plan.body;
    assert_eq!((&plan["refused"], &plan["rows"]), (&Value::Null, &json!("2000")), "{plan}");
    assert_eq!(plan["creates"][0]["kind"], "database");
    assert_eq!(plan["creates"][1]["rows"], "2000");
    assert!(plan["statement"].as_str().unwrap().starts_with("RESTORE DATABASE shop FROM '"));

    let made = shops.post("/restores", shops.body()).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let restore = &made.body;
    assert_eq!(
        (&restore["status"], &restore["type"], &restore["completed_at"]),
        (&json!("PENDING"), &json!("DATABASE"), &Value::Null)
    );
    assert_eq!(restore["source_cluster_name"], "source");
    assert_eq!(restore["destination_cluster_name"], "target");
    assert_eq!(restore["objects"], json!([{ "database": "shop" }]));
    assert_eq!(restore["backup_id"], plan["backup_id"]);
    assert_eq!(restore["crdb_job_id"], restore["id"]);
    let cancel = &restore["strongroom"]["actions"][0];
    assert_eq!((&cancel["name"], &cancel["allowed"]), (&json!("cancel"), &json!(true)));

    work(&shops.service.app).await;
    let path = shops.path(&format!("/restores/{}", restore["id"].as_str().unwrap()));
    let done = shops.service.get(&shops.key, &path).await.body;
    assert_eq!((&done["status"], &done["completion_percent"]), (&json!("SUCCESS"), &json!(1.0)));
    assert!(done["completed_at"].is_string(), "{done}");
    assert_eq!(done["strongroom"]["state"], "SUCCEEDED");
    assert!(!done["strongroom"]["set_again"].as_array().unwrap().is_empty());
    assert_eq!(done["client_error_code"], Value::Null);
    assert_eq!(shops.target_server.psql("shop", "SELECT count(*) FROM orders"), "2000");
    let listed = shops.service.get(&shops.key, &shops.path("/restores")).await.body;
    assert_eq!(listed["restores"], json!([done]));
    let late = shops.path("/restores?start_time=2100-01-01T00:00:00Z");
    assert_eq!(shops.service.get(&shops.key, &late).await.body["restores"], json!([]));
    let again =
        shops.service.ask(&shops.key, Method::POST, &format!("{path}/cancel"), Value::Null).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)));

    // The name is taken by now, and that is told with everything that helps.
    let conflict = shops.post("/restores", shops.body()).await;
    assert_eq!((conflict.status, &conflict.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)));
    let hint = conflict.body["details"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("new_db_name shop_restored") && hint.contains("DROP DATABASE"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_gets_another_name_and_a_waiting_restore_is_cancelled() {
    let shops = Shops::open().await;
    let mut body = shops.body();
    body["type"] = json!("TABLE");
    body["objects"] = json!([{ "database": "shop", "table": "orders", "new_name": "again" }]);
    body["restore_opts"] = json!({ "into_db": "postgres" });
    let made = shops.post("/restores", body.clone()).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    assert_eq!(
        made.body["restore_opts"],
        json!({ "into_db": "postgres", "new_table_name": "again" })
    );
    let statement = made.body["strongroom"]["statement"].as_str().unwrap();
    assert!(statement.ends_with("WITH into_db = 'postgres', new_table_name = 'again'"));
    let cancel = format!("/restores/{}/cancel", made.body["id"].as_str().unwrap());
    let cancelled = shops.post(&cancel, Value::Null).await;
    assert_eq!(cancelled.status, StatusCode::OK, "{cancelled:?}");
    assert_eq!(
        (&cancelled.body["status"], &cancelled.body["client_error_code"]),
        (&json!("FAILED"), &json!(1))
    );
    assert_eq!(cancelled.body["strongroom"]["state"], "CANCELED");
    shops.service.clock.advance(jiff::SignedDuration::from_secs(1));
    let again = shops.post("/restores", body).await;
    work(&shops.service.app).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    for (order, expected) in [
        ("", [&made, &again]),
        ("?pagination.sort_order=ASC", [&made, &again]),
        ("?pagination.sort_order=DESC", [&again, &made]),
    ] {
        let path = shops.path(&format!("/restores{order}"));
        let listed = shops.service.get(&shops.key, &path).await.body;
        let ids: Vec<_> =
            listed["restores"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, expected.map(|restore| &restore.body["id"]), "{order}");
    }
    assert_eq!(shops.target_server.psql("postgres", "SELECT count(*) FROM again"), "2000");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_restore_is_decided_by_roles_on_both_clusters() {
    let shops = Shops::open().await;
    let cluster = |id: &str| Resource::Cluster(id.parse::<ClusterId>().unwrap());
    let (source, target) = (cluster(&shops.source), cluster(&shops.target));
    for (grants, expected) in [
        (vec![], StatusCode::NOT_FOUND),
        (vec![(Role::ClusterAdmin, target)], StatusCode::NOT_FOUND),
        (
            vec![(Role::ClusterAdmin, target), (Role::ClusterDeveloper, source)],
            StatusCode::FORBIDDEN,
        ),
        (vec![(Role::ClusterMonitor, target), (Role::ClusterAdmin, source)], StatusCode::FORBIDDEN),
        (vec![(Role::ClusterOperatorWriter, target), (Role::ClusterAdmin, source)], StatusCode::OK),
    ] {
        let key = shops.service.key_with(&grants).await;
        for more in ["/restore-plans", "/restores"] {
            let path = shops.path(more);
            let answer = shops.service.ask(&key, Method::POST, &path, shops.body()).await;
            assert_eq!(answer.status, expected, "{grants:?}: {answer:?}");
        }
    }
    // Whoever has no role on the source sees that something was restored, and not where from.
    let key = shops.service.key_with(&[(Role::ClusterAdmin, target)]).await;
    let listed = shops.service.get(&key, &shops.path("/restores")).await.body;
    let restore = &listed["restores"][0];
    assert_eq!(restore["destination_cluster_name"], "target", "{listed}");
    assert_eq!(restore["strongroom"]["destination_cluster_id"], shops.target);
    assert_eq!(restore["source_cluster_name"], "");
    assert_eq!(restore["strongroom"]["source_cluster_id"], Value::Null);
    assert!(!listed.to_string().contains(&shops.source), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_or_meant_is_refused() {
    let shops = Shops::open().await;
    for (body, part) in [
        (json!({}), "missing field `type`"),
        (json!({ "type": "SCHEMA" }), "unknown variant `SCHEMA`"),
        (json!({ "type": "CLUSTER", "colour": "red" }), "unknown field `colour`"),
        (json!({ "type": "CLUSTER", "restore_opts": { "wipe": true } }), "unknown field `wipe`"),
        (json!({ "type": "DATABASE", "source_cluster_id": shops.source }), "objects is empty"),
        (
            json!({
                "type": "CLUSTER", "source_cluster_id": shops.source,
                "restore_opts": { "confirm_cluster_name": "sauce" },
            }),
            "'sauce' is not the name of the destination cluster",
        ),
        (
            json!({
                "type": "TABLE", "source_cluster_id": shops.source,
                "objects": [
                    { "database": "shop", "table": "a", "new_name": "b" },
                    { "database": "shop", "table": "c" },
                ],
            }),
            "new_name gives one table another name",
        ),
    ] {
        let refused = shops.post("/restores", body.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(part), "{refused:?}");
    }
    let nowhere = format!("/restores/{}", shops.source);
    let unknown = shops.service.get(&shops.key, &shops.path(&nowhere)).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_asked_for_and_its_findings_are_shown() {
    let shops = Shops::open().await;
    let path = format!("/clusters/{}/drills", shops.source);
    let asked = shops.service.ask(&shops.key, Method::POST, &path, json!({})).await;
    assert_eq!((asked.status, &asked.body["state"]), (StatusCode::OK, &json!("PENDING")));
    work(&shops.service.app).await;
    let listed = shops.service.get(&shops.key, &path).await.body;
    let drill = &listed["drills"][0];
    assert_eq!(
        (&drill["state"], &drill["tables_checked"], &drill["rows_checked"]),
        (&json!("SUCCEEDED"), &json!("1"), &json!("2000")),
        "{listed}"
    );
    assert_eq!(drill["differences"], json!([]));
    let one = format!("{path}/{}", drill["id"].as_str().unwrap());
    assert_eq!(shops.service.get(&shops.key, &one).await.body, *drill);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_tell_how_backups_do() {
    let shops = Shops::open().await;
    let service = &shops.service;
    service.clock.advance(SignedDuration::from_hours(3));
    let url = format!("http://{}/metrics", service.address);
    let answered = service.client.get(&url).send().await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    assert!(answered.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = answered.text().await.unwrap();
    let value = |line: &str| -> f64 {
        let found = text.lines().find_map(|text| text.strip_prefix(line));
        found.unwrap_or_else(|| panic!("no {line} in {text}")).trim().parse().unwrap()
    };
    let labels = format!("{{cluster=\"source\",cluster_id=\"{}\"}}", shops.source);
    let age = value(&format!("strongroom_backup_last_success_age_seconds{labels}"));
    assert!((3.0 * 3600.0 - 60.0..3.0 * 3600.0 + 60.0).contains(&age), "{age}");
    assert_eq!(value(&format!("strongroom_backup_missed{labels}")), 1.0);
    assert!(value(&format!("strongroom_backup_stored_bytes{labels}")) > 0.0);
    assert!(value(&format!("strongroom_backup_next_timestamp_seconds{labels}")) > 1.7e9);
    assert_eq!(value("strongroom_jobs_ended{kind=\"backup\",state=\"succeeded\"}"), 2.0);
    assert_eq!(value("strongroom_jobs_open{kind=\"backup\",state=\"pending\"}"), 0.0);
    let count = "strongroom_job_duration_seconds_count{kind=\"backup\",state=\"succeeded\"}";
    assert_eq!(value(count), 2.0);

    // What has ended is counted for a day.
    service.clock.advance(SignedDuration::from_hours(22));
    let later = service.client.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(!later.contains("strongroom_jobs_ended{"), "{later}");
    assert!(later.contains("strongroom_jobs_open{"), "{later}");

    // From elsewhere, a role is needed.
    let passed_on = service.client.get(&url).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(passed_on.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let watcher = service.key(&[Role::MetricsViewer]).await;
    let member = service.key(&[Role::OrgMember]).await;
    for (key, expected) in [(watcher, StatusCode::OK), (member, StatusCode::FORBIDDEN)] {
        let asked = service.client.get(&url).header("x-forwarded-for", "203.0.113.9");
        assert_eq!(asked.bearer_auth(key).send().await.unwrap().status(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_ready_once_a_worker_has_begun() {
    let service = TestService::start().await;
    let ask = async || {
        let url = format!("http://{}/readyz", service.address);
        let answered = service.client.get(url).send().await.unwrap();
        (answered.status(), answered.text().await.unwrap())
    };
    let (status, text) = ask().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("no worker of this process has begun yet"), "{text}");
    let end = CancellationToken::new();
    let (worker, ended) = (Worker::new(service.app.clone(), 0), end.clone());
    let running = tokio::spawn(async move { worker.run(&ended).await });
    for _ in 0..100 {
        if ask().await.0 == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ask().await, (StatusCode::OK, "ready\n".to_owned()));
    service.app.catalog().close().await;
    assert_eq!(ask().await.0, StatusCode::SERVICE_UNAVAILABLE);
    end.cancel();
    running.await.unwrap();
}
