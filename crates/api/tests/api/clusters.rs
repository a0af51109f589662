//! Clusters: attached after a look at the server, seen by those who may, changed and deleted.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::{
    Backup, ClusterId, ClusterState, Engine, EventFilter, NewCluster, Page, Plan, Provider,
    Resource, Role, Secret,
};
use strongroom_testkit::Cluster;

use crate::support::{Answer, TestService};

/// A body that attaches a server.
fn a_cluster(name: &str, url: &str) -> Value {
    json!({ "name": name, "spec": { "plan": "ADVANCED" }, "strongroom": { "url": url } })
}

async fn attach(service: &TestService, key: &str, body: Value) -> Answer {
    service.ask(key, Method::POST, "/clusters", body).await
}

fn path(cluster: &Value) -> String {
    format!("/clusters/{}", cluster["id"].as_str().unwrap())
}

fn hint(answer: &Answer) -> &str {
    answer.body["details"][0]["hint"].as_str().unwrap_or_default()
}

/// Makes a location in this region, and returns its id.
async fn location(service: &TestService, key: &str, region: &str) -> Value {
    let folder = service.app.config().data_dir.join(region);
    let url = format!("file://{}", folder.display());
    let body = json!({ "name": region, "region": region, "url": url });
    let made = service.ask(key, Method::POST, "/storage-locations", body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    made.body["id"].clone()
}

#[tokio::test]
async fn a_server_is_attached_seen_changed_and_deleted() {
    let server = Cluster::builder().password("hush hush").start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin, Role::ClusterAdmin]).await;
    let url = server.url("postgres");
    let mut body = a_cluster("ledger", &url);
    body["provider"] = json!("AWS");
    body["spec"]["labels"] = json!({ "team": "money" });
    let made = attach(&service, &key, body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let cluster = &made.body;
    assert_eq!(cluster["name"], "ledger");
    assert_eq!((&cluster["plan"], &cluster["cloud_provider"]), (&json!("ADVANCED"), &json!("AWS")));
    assert_eq!(
        (&cluster["state"], &cluster["upgrade_status"]),
        (&json!("CREATED"), &json!("FINALIZED"))
    );
    assert_eq!(cluster["operation_status"], "UNSPECIFIED");
    assert_eq!(cluster["labels"], json!({ "team": "money" }));
    assert_eq!(cluster["regions"][0]["name"], "local");
    assert_eq!(cluster["regions"][0]["sql_dns"], "127.0.0.1");
    let major = server.version().to_string();
    assert!(cluster["cockroach_version"].as_str().unwrap().starts_with(&format!("v{major}.")));
    let ours = &cluster["strongroom"];
    let shown = format!("postgresql://postgres@127.0.0.1:{}/postgres", server.port());
    assert_eq!(ours["connection_url"], shown);
    assert_eq!(ours["managed_backups"], json!({ "available": true, "reason": null }));
    assert_eq!(ours["last_backup_at"], Value::Null);
    assert!(ours["next_backup_at"].is_string(), "its first backup is due at once");
    assert_eq!((&ours["missed"], &ours["last_backup_failed"]), (&json!(false), &json!(false)));

    let path = path(cluster);
    let listed = service.get(&key, "/clusters").await;
    assert_eq!(listed.body["clusters"][0], *cluster);
    assert_eq!(listed.body["pagination"], json!({ "next_page": null, "previous_page": null }));
    assert_eq!(service.get(&key, &path).await.body, *cluster);
    let nodes = service.get(&key, &format!("{path}/nodes")).await;
    let name = format!("127.0.0.1:{}", server.port());
    assert_eq!(
        nodes.body["nodes"],
        json!([{ "name": name, "region_name": "local", "status": "LIVE" }])
    );
    let string = format!("{path}/connection-string?database=shop&sql_user=ann");
    let string = service.get(&key, &string).await;
    let expected = format!("postgresql://ann@127.0.0.1:{}/shop", server.port());
    assert_eq!(string.body["connection_string"], expected, "{string:?}");
    assert_eq!(string.body["params"]["Database"], "shop");
    let config = service.get(&key, &format!("{path}/backups-config")).await;
    assert_eq!(
        (&config.body["enabled"], &config.body["frequency_minutes"]),
        (&json!(true), &json!(60))
    );

    let body = json!({
        "delete_protection": "ENABLED", "labels": { "team": "books" },
        "strongroom": { "name": "books", "plan": "SERVERLESS" },
    });
    let changed = service.ask(&key, Method::PATCH, &path, body).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(
        (&changed.body["name"], &changed.body["plan"]),
        (&json!("books"), &json!("STANDARD"))
    );
    assert_eq!(changed.body["strongroom"]["plan"], "SERVERLESS");
    // A client that sends back the plan that it was shown changes nothing.
    let same = service.ask(&key, Method::PATCH, &path, json!({ "plan": "STANDARD" })).await;
    assert_eq!(same.body["strongroom"]["plan"], "SERVERLESS");
    let refused = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)));
    let body = json!({ "delete_protection": "DISABLED" });
    service.ask(&key, Method::PATCH, &path, body).await;
    let deleted = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!((deleted.status, &deleted.body["state"]), (StatusCode::OK, &json!("DELETED")));
    assert_eq!(service.get(&key, "/clusters").await.body["clusters"], json!([]));
    let all = service.get(&key, "/clusters?show_inactive=true").await;
    assert_eq!(all.body["clusters"][0]["id"], cluster["id"]);
    assert_eq!(service.get(&key, &path).await.body["state"], "DELETED");
    let again = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{again:?}");
    // What is gone is not there; what stays is.
    for gone in ["/databases", "/sql-users", "/connection-string"] {
        let gone = service.get(&key, &format!("{path}{gone}")).await;
        assert_eq!(
            (gone.status, &gone.body["code"]),
            (StatusCode::NOT_FOUND, &json!(5)),
            "{gone:?}"
        );
        assert_eq!(gone.body["message"], "cluster books was deleted");
    }
    let gone = service.ask(&key, Method::PATCH, &path, json!({ "labels": {} })).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{gone:?}");
    let backups = service.get(&key, &format!("{path}/backups")).await;
    assert_eq!(backups.status, StatusCode::OK, "{backups:?}");

    let events = service
        .app
        .catalog()
        .audit_events(&EventFilter::default(), &Page::default())
        .await
        .unwrap();
    let told: Vec<_> = events.items.iter().map(|event| event.event.action.as_str()).collect();
    assert_eq!(
        told,
        [
            "CLUSTER_DELETED",
            "CLUSTER_CHANGED",
            "CLUSTER_CHANGED",
            "CLUSTER_CREATED",
            "STORAGE_LOCATION_CREATED"
        ],
        "what changes nothing is no event"
    );
    let everything = format!("{:?}{}{}", events.items, all.body, string.body);
    assert!(!everything.contains("hush"), "no secret anywhere: {everything}");
}

#[tokio::test]
async fn what_can_not_be_attached_is_refused_before_anything_is_written() {
    let server = Cluster::builder().password("hush hush").start();
    server.psql("postgres", "CREATE TABLE secrets (id int); CREATE ROLE reader LOGIN PASSWORD 'r'");
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let reader = server.user_url("reader", Some("r"), "postgres");
    let nobody = server.user_url("postgres", Some("wrong"), "postgres");
    let missing = server.url("nowhere");
    let major = server.version();
    let grant = if major >= 14 { "GRANT pg_read_all_data TO" } else { "GRANT SELECT ON" };
    for (url, status, message, remedy) in [
        ("", StatusCode::BAD_REQUEST, "not said how to connect", "strongroom.url"),
        ("mysql://x/y", StatusCode::BAD_REQUEST, "unknown scheme 'mysql'", "postgresql://"),
        (
            "postgresql://127.0.0.1:1/x",
            StatusCode::SERVICE_UNAVAILABLE,
            "can not be reached",
            "port",
        ),
        (&nobody, StatusCode::BAD_REQUEST, "password authentication failed", "check user"),
        (&missing, StatusCode::NOT_FOUND, "\"nowhere\" does not exist", "a database that exists"),
        (&reader, StatusCode::BAD_REQUEST, "may not read public.secrets", grant),
    ] {
        let refused = attach(&service, &key, a_cluster("x", url)).await;
        assert_eq!(refused.status, status, "{url}: {refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
        assert!(hint(&refused).contains(remedy), "{url}: {refused:?}");
        assert!(!refused.body.to_string().contains("hush"), "{refused:?}");
    }
    let url = server.url("postgres");
    for (change, message) in [
        (json!({ "name": "" }), "it is empty"),
        (json!({ "spec": {} }), "which plan"),
        (json!({ "spec": { "plan": "GOLD" } }), "unknown variant `GOLD`"),
        (json!({ "provider": "IBM" }), "unknown variant `IBM`"),
        (json!({ "colour": "red" }), "unknown field `colour`"),
        (json!({ "spec": { "plan": "BASIC", "labels": { "": "x" } } }), "the label ''"),
        (json!({ "spec": { "plan": "BASIC", "parent_id": "x" } }), "is not a UUID"),
    ] {
        let mut body = a_cluster("x", &url);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = attach(&service, &key, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{change}: {refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
    }
    let all = service.get(&key, "/clusters?show_inactive=true").await;
    assert_eq!(all.body["clusters"], json!([]), "nothing was written");
}

#[tokio::test]
async fn a_look_at_a_server_tells_what_is_missing_and_what_mends_it() {
    let server = Cluster::start();
    server.create_database("shop");
    server.create_database("closed");
    server.psql(
        "postgres",
        "REVOKE CONNECT ON DATABASE closed FROM PUBLIC; CREATE ROLE reader LOGIN",
    );
    server.psql(
        "shop",
        "CREATE TABLE open (id int); CREATE TABLE ruled (id int); \
         ALTER TABLE ruled ENABLE ROW LEVEL SECURITY; SELECT lo_create(4711)",
    );
    let service = TestService::start().await;
    let key = service.key(&[Role::ClusterCreator]).await;
    let check = async |url: String| {
        let body = json!({ "url": url });
        service.ask(&key, Method::POST, "/clusters/check-connection", body).await
    };
    let fine = check(server.url("postgres")).await;
    assert_eq!(fine.status, StatusCode::OK, "{fine:?}");
    assert_eq!(fine.body["problems"], json!([]));
    assert_eq!(fine.body["privileges"].as_array().unwrap().len(), 5);
    let identifier = server.psql("postgres", "SELECT system_identifier FROM pg_control_system()");
    assert_eq!(fine.body["system_identifier"], identifier);

    // Mended one after the other, as it is told, until nothing is in the way.
    let mut told = Vec::new();
    let checked = loop {
        let checked = check(server.user_url("reader", None, "postgres")).await;
        assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
        let problems = checked.body["problems"].as_array().unwrap().clone();
        let Some(problem) = problems.iter().find(|problem| problem["blocking"] == true) else {
            break checked;
        };
        let message = problem["message"].as_str().unwrap().to_owned();
        let remedy = problem["remedy"].as_str().unwrap().to_owned();
        assert!(!told.contains(&message), "{message} was not mended by {remedy}");
        let database = if message.contains("\"shop\"") { "shop" } else { "postgres" };
        let statement = remedy.rsplit_once("them: ").map_or(&*remedy, |(_, each)| each);
        let statement = statement.split_once("\": ").map_or(statement, |(_, inner)| inner);
        server.psql(database, statement);
        told.push(message);
    };
    let told = told.join("\n");
    for part in ["connect to database \"closed\"", "may not read", "row security", "large objects"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(checked.body["problems"].to_string().contains("no superuser"));
    let other = service.key(&[Role::ClusterOperatorWriter]).await;
    let body = json!({ "url": server.url("postgres") });
    let refused = service.ask(&other, Method::POST, "/clusters/check-connection", body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let admin = service.key(&[Role::OrgAdmin]).await;
    let attached =
        attach(&service, &admin, a_cluster("shop", &server.user_url("reader", None, "postgres")))
            .await;
    assert_eq!(attached.status, StatusCode::OK, "{attached:?}");
}

#[tokio::test]
async fn backups_go_into_the_region_or_the_primary_one() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let local =
        service.get(&key, "/storage-locations").await.body["storage_locations"][0]["id"].clone();
    let url = server.url("postgres");
    let attached = async |ours: Value| {
        let mut body = a_cluster("x", &url);
        body["strongroom"].as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
        let answer = attach(&service, &key, body).await;
        if answer.status == StatusCode::OK {
            let deleted = service.ask(&key, Method::DELETE, &path(&answer.body), Value::Null).await;
            assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
        }
        answer
    };
    let only = attached(json!({})).await;
    assert_eq!(only.body["strongroom"]["storage_location_id"], local, "{only:?}");

    let nowhere = attached(json!({ "regions": ["us-east1"] })).await;
    assert_eq!(nowhere.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        nowhere.body["message"],
        "there is no storage location in region us-east1 for the cluster's backups"
    );
    assert!(hint(&nowhere).contains("make one with region 'us-east1'"), "{nowhere:?}");
    let east = location(&service, &key, "us-east1").await;
    let west = location(&service, &key, "us-west1").await;

    let unclear = attached(json!({})).await;
    assert!(hint(&unclear).contains("local, us-east1, us-west1"), "{unclear:?}");
    let both = json!(["us-east1", "us-west1", "eu"]);
    let unclear = attached(json!({ "regions": both })).await;
    assert!(hint(&unclear).contains("primary_region"), "{unclear:?}");
    for (primary, location, other) in [("us-east1", &east, &west), ("us-west1", &west, &east)] {
        let placed = attached(json!({ "regions": both, "primary_region": primary })).await;
        let ours = &placed.body["strongroom"];
        assert_eq!((&ours["storage_location_id"], &ours["regions"]), (location, &both));
        assert_eq!(ours["primary_region"], primary);
        let elsewhere = json!({
            "regions": both, "primary_region": primary, "storage_location_id": other,
        });
        let refused = attached(elsewhere).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        let single = attached(json!({ "storage_location_id": location })).await;
        assert_eq!(single.body["strongroom"]["primary_region"], primary, "{single:?}");
    }
    let regions = service.get(&key, "/clusters/available-regions").await;
    let names: Vec<_> =
        regions.body["regions"].as_array().unwrap().iter().map(|region| &region["name"]).collect();
    assert_eq!(names, ["local", "us-east1", "us-west1"]);

    // The original's own words for regions.
    let spec = json!({ "serverless": { "regions": ["us-east1", "us-west1"], "primary_region": "us-west1" } });
    let body =
        json!({ "name": "y", "provider": "GCP", "spec": spec, "strongroom": { "url": url } });
    let made = attach(&service, &key, body).await;
    assert_eq!(
        (&made.body["plan"], &made.body["strongroom"]["storage_location_id"]),
        (&json!("STANDARD"), &west),
        "{made:?}"
    );

    // The place can change until there are backups in it.
    let east_first = json!({ "strongroom": { "primary_region": "us-east1" } });
    let moved = service.ask(&key, Method::PATCH, &path(&made.body), east_first).await;
    assert_eq!(moved.body["strongroom"]["storage_location_id"], east, "{moved:?}");
    let id: ClusterId = made.body["id"].as_str().unwrap().parse().unwrap();
    service.backup_of(id).await;
    let west_again = json!({ "strongroom": { "primary_region": "us-west1" } });
    let refused = service.ask(&key, Method::PATCH, &path(&made.body), west_again).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let more = json!({ "strongroom": { "regions": ["us-east1", "eu"] } });
    let more = service.ask(&key, Method::PATCH, &path(&made.body), more).await;
    assert_eq!(more.body["strongroom"]["regions"], json!(["us-east1", "eu"]), "{more:?}");
}

#[tokio::test]
async fn dedicated_clusters_on_azure_have_no_managed_backups() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let mut body = a_cluster("blue", &server.url("postgres"));
    body["provider"] = json!("AZURE");
    let made = attach(&service, &key, body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let managed = &made.body["strongroom"]["managed_backups"];
    assert_eq!(managed["available"], false);
    assert!(managed["reason"].as_str().unwrap().contains("limited access"), "{managed}");
    assert_eq!(made.body["strongroom"]["next_backup_at"], Value::Null);
    let actions = made.body["strongroom"]["actions"].as_array().unwrap();
    let take = actions.iter().find(|action| action["name"] == "take_backup").unwrap();
    assert_eq!((&take["allowed"], &take["reason"]), (&json!(false), &managed["reason"]));

    let config = format!("{}/backups-config", path(&made.body));
    assert_eq!(service.get(&key, &config).await.body["enabled"], false);
    let refused = service.ask(&key, Method::PATCH, &config, json!({ "enabled": true })).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(refused.body["message"].as_str().unwrap().contains("limited access"));

    // A serverless one has; and one that becomes serverless begins.
    let change = json!({ "strongroom": { "plan": "STANDARD" } });
    let changed = service.ask(&key, Method::PATCH, &path(&made.body), change).await;
    assert_eq!(changed.body["strongroom"]["managed_backups"]["available"], true, "{changed:?}");
    assert_eq!(service.get(&key, &config).await.body["enabled"], true);
    let back = json!({ "strongroom": { "plan": "DEDICATED" } });
    let refused = service.ask(&key, Method::PATCH, &path(&made.body), back).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

#[tokio::test]
async fn whoever_attaches_a_cluster_becomes_its_admin_and_others_do_not_see_it() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let creator = service.key(&[Role::ClusterCreator]).await;
    let made = attach(&service, &creator, a_cluster("mine", &server.url("postgres"))).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let actions = made.body["strongroom"]["actions"].as_array().unwrap();
    assert!(actions.iter().all(|action| action["allowed"] == true), "{actions:?}");
    let path = path(&made.body);
    let change = json!({ "labels": { "a": "b" } });
    let changed = service.ask(&creator, Method::PATCH, &path, change.clone()).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");

    let id: ClusterId = made.body["id"].as_str().unwrap().parse().unwrap();
    let stranger = service.key(&[Role::ClusterCreator, Role::OrgMember]).await;
    let developer = service.key_with(&[(Role::ClusterDeveloper, Resource::Cluster(id))]).await;
    assert_eq!(service.get(&stranger, "/clusters").await.body["clusters"], json!([]));
    assert_eq!(
        service.get(&developer, "/clusters").await.body["clusters"][0]["id"],
        made.body["id"]
    );
    for (method, path, body) in [
        (Method::GET, path.clone(), Value::Null),
        (Method::PATCH, path.clone(), change),
        (Method::DELETE, path.clone(), Value::Null),
        (Method::GET, format!("{path}/nodes"), Value::Null),
        (Method::GET, format!("{path}/connection-string"), Value::Null),
        (Method::GET, format!("{path}/backups-config"), Value::Null),
        (Method::PATCH, format!("{path}/backups-config"), json!({ "frequency_minutes": 5 })),
        (Method::GET, format!("{path}/databases"), Value::Null),
        (Method::POST, format!("{path}/databases"), json!({ "name": "x" })),
        (Method::DELETE, format!("{path}/databases/x"), Value::Null),
        (Method::GET, format!("{path}/sql-users"), Value::Null),
        (Method::POST, format!("{path}/sql-users"), json!({ "name": "x", "password": "y" })),
        (Method::PUT, format!("{path}/sql-users/x/password"), json!({ "password": "y" })),
        (Method::DELETE, format!("{path}/sql-users/x"), Value::Null),
    ] {
        let nobody = service.ask("", method.clone(), &path, body.clone()).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let hidden = service.ask(&stranger, method.clone(), &path, body.clone()).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{method} {path}: {hidden:?}");
        let seen = service.ask(&developer, method.clone(), &path, body).await;
        let expected = if method == Method::GET { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(seen.status, expected, "{method} {path}: {seen:?}");
    }

    // What somebody may not see, is not named to them either.
    let again = attach(&service, &stranger, a_cluster("other", &server.url("postgres"))).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    assert!(again.body["message"].as_str().unwrap().ends_with("as a cluster that you may not see"));
    let again = attach(&service, &creator, a_cluster("other", &server.url("template1"))).await;
    assert!(again.body["message"].as_str().unwrap().ends_with("as cluster mine"), "{again:?}");
    // By another address it may be a copy: told, and let through.
    let elsewhere = server.url("postgres").replace("127.0.0.1", "localhost");
    let body = json!({ "url": elsewhere });
    let told = service.ask(&creator, Method::POST, "/clusters/check-connection", body).await;
    assert_eq!(told.body["problems"][0]["blocking"], false, "{told:?}");
    assert!(told.body["problems"].to_string().contains("attached as cluster mine"), "{told:?}");
    let taken = attach(&service, &creator, a_cluster("mine", &elsewhere)).await;
    assert_eq!((taken.status, &taken.body["code"]), (StatusCode::CONFLICT, &json!(6)));
    let copy = attach(&service, &creator, a_cluster("copy", &elsewhere)).await;
    assert_eq!(copy.status, StatusCode::OK, "{copy:?}");
}

#[tokio::test]
async fn backups_of_a_deleted_cluster_stay_listed() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let made = attach(&service, &key, a_cluster("ledger", &server.url("postgres"))).await;
    let id: ClusterId = made.body["id"].as_str().unwrap().parse().unwrap();
    let taken: Backup = service.backup_of(id).await;
    let seen = service.get(&key, &path(&made.body)).await;
    assert_eq!(seen.body["strongroom"]["last_backup_at"], json!(taken.data_from));
    let deleted = service.ask(&key, Method::DELETE, &path(&made.body), Value::Null).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    let kept = service.app.catalog().latest_backup(id, None).await.unwrap();
    assert_eq!(kept.map(|backup| backup.id), Some(taken.id));
    let seen = service.get(&key, &path(&made.body)).await;
    assert_eq!(seen.body["strongroom"]["last_backup_at"], json!(taken.data_from));
    let actions = seen.body["strongroom"]["actions"].as_array().unwrap();
    let allowed: Vec<_> = actions.iter().filter(|action| action["allowed"] == true).collect();
    assert_eq!(allowed.len(), 1, "{actions:?}");
    assert_eq!(allowed[0]["name"], "restore_from");
    // Its location is needed for as long as they are there.
    let location = seen.body["strongroom"]["storage_location_id"].as_str().unwrap();
    let path = format!("/storage-locations/{location}");
    let refused = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.body["message"].as_str().unwrap().contains("1 backups lie in it"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_cluster_of_a_rebuilt_catalog_waits_for_its_connection() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let locations = service.app.catalog().locations(None, &Page::default()).await.unwrap().items;
    let new = NewCluster {
        name: "ledger".into(),
        engine: Engine::Postgres,
        plan: Plan::Dedicated,
        provider: Provider::SelfHosted,
        regions: vec!["local".into()],
        primary_region: "local".into(),
        state: ClusterState::Locked,
        connection: None,
        folder: None,
        location: Some(locations[0].id),
        labels: Default::default(),
        delete_protection: false,
        creator: None,
    };
    let mut write = service.app.catalog().begin().await.unwrap();
    let cluster = write.create_cluster(&new).await.unwrap();
    write.create_backup_settings(cluster.id, true, 60, 30, false).await.unwrap();
    write.commit().await.unwrap();
    let path = format!("/clusters/{}", cluster.id);
    let seen = service.get(&key, &path).await;
    assert_eq!(
        (&seen.body["state"], &seen.body["strongroom"]["next_backup_at"]),
        (&json!("LOCKED"), &Value::Null),
        "{seen:?}"
    );
    let unknown = service.get(&key, &format!("{path}/databases")).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{unknown:?}");
    assert!(hint(&unknown).contains("strongroom.url"), "{unknown:?}");
    let body = json!({ "strongroom": { "url": server.url("postgres") } });
    let known = service.ask(&key, Method::PATCH, &path, body).await;
    assert_eq!(known.body["state"], "CREATED", "{known:?}");
    assert!(known.body["strongroom"]["next_backup_at"].is_string(), "{known:?}");
}

#[tokio::test]
async fn the_connection_can_be_changed_after_another_look() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let made = attach(&service, &key, a_cluster("ledger", &server.url("postgres"))).await;
    let path = path(&made.body);
    let change = |url: String| json!({ "strongroom": { "url": url } });
    let gone = change("postgresql://127.0.0.1:1/x".to_owned());
    let refused = service.ask(&key, Method::PATCH, &path, gone).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    let url = server.url("template1").replace("//postgres@", "//postgres:new@");
    let changed = service.ask(&key, Method::PATCH, &path, change(url.clone())).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let id: ClusterId = made.body["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(service.app.catalog().connection(id).await.unwrap(), Secret::new(url));
    server.stop();
    let nodes = service.get(&key, &format!("{path}/nodes")).await;
    assert_eq!(nodes.body["nodes"][0]["status"], "NOT_READY", "{nodes:?}");
    let databases = service.get(&key, &format!("{path}/databases")).await;
    assert_eq!(databases.status, StatusCode::SERVICE_UNAVAILABLE, "{databases:?}");
}

/// The names of the regions that are shown as primary.
fn primaries(cluster: &Value) -> Vec<&str> {
    let regions = cluster["regions"].as_array().unwrap().iter();
    regions
        .filter(|region| region["primary"] == true)
        .map(|region| region["name"].as_str().unwrap())
        .collect()
}

/// The numbers of nodes that are shown of the regions.
fn node_counts(cluster: &Value) -> Vec<i64> {
    let regions = cluster["regions"].as_array().unwrap().iter();
    regions.map(|region| region["node_count"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn what_clients_of_the_original_say_of_machines_comes_back() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    for region in ["us-east1", "us-west1"] {
        location(&service, &key, region).await;
    }
    let body = json!({
        "name": "serverless", "provider": "GCP", "strongroom": { "url": server.url("postgres") },
        "spec": { "plan": "STANDARD", "customer_cloud_account": { "id": "x" }, "edition": "x",
            "host": "x", "serverless": {
                "regions": ["us-east1", "us-west1"], "primary_region": "us-west1",
                "upgrade_type": "AUTOMATIC", "with_empty_ip_allowlist": true, "spend_limit": 100,
                "usage_limits": { "request_unit_limit": "9007199254740993", "storage_mib_limit": 5 },
        } },
    });
    let made = attach(&service, &key, body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let limits = json!({ "request_unit_limit": "9007199254740993", "storage_mib_limit": "5" });
    let shown = &made.body["config"]["serverless"];
    assert_eq!((&shown["upgrade_type"], &shown["usage_limits"]), (&json!("AUTOMATIC"), &limits));
    assert_eq!((primaries(&made.body), node_counts(&made.body)), (vec!["us-west1"], vec![0, 0]));
    let path = path(&made.body);
    assert_eq!(service.get(&key, &path).await.body, made.body);

    let patch = async |body: Value| service.ask(&key, Method::PATCH, &path, body).await;
    let fewer = json!({ "usage_limits": { "provisioned_virtual_cpus": "2" }, "spend_limit": null });
    let changed = patch(json!({ "serverless": fewer })).await;
    let shown = &changed.body["config"]["serverless"];
    assert_eq!(shown["usage_limits"], json!({ "provisioned_virtual_cpus": "2" }), "{changed:?}");
    assert_eq!(shown["upgrade_type"], "AUTOMATIC", "what is left out stays");
    assert_eq!(service.get(&key, &path).await.body, changed.body);

    let machines = json!({
        "region_nodes": { "us-east1": 3, "us-west1": 2 }, "cidr_range": "172.28.0.0/16",
        "network_visibility": "PRIVATE", "region_machine_specs": {}, "cmek_region_specs": [{}],
        "hardware": { "storage_gib": 35, "disk_iops": 450,
            "machine_spec": { "machine_type": "m6i.xlarge", "num_virtual_cpus": 4 } },
    });
    let changed = patch(json!({ "plan": "ADVANCED", "dedicated": machines })).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert_eq!(
        changed.body["config"]["dedicated"],
        json!({ "machine_type": "m6i.xlarge", "num_virtual_cpus": 4, "storage_gib": 35,
            "memory_gib": 0.0, "disk_iops": 450 })
    );
    assert_eq!(changed.body["cidr_range"], "172.28.0.0/16");
    assert_eq!(changed.body["network_visibility"], "PRIVATE");
    assert_eq!(node_counts(&changed.body), [3, 2]);
    assert!(primaries(&changed.body).is_empty(), "only serverless clusters have a primary region");
    assert_eq!(changed.body["strongroom"]["primary_region"], "us-west1");

    for (wrong, message) in [
        (json!({ "serverless": { "upgrade_type": "NEVER" } }), "unknown variant `NEVER`"),
        (json!({ "serverless": { "usage_limits": { "cpus": "1" } } }), "unknown field `cpus`"),
        (
            json!({ "serverless": { "usage_limits": { "storage_mib_limit": "1x" } } }),
            "an integer of 64 bits",
        ),
        (json!({ "serverless": { "usage_limits": { "storage_mib_limit": "-1" } } }), "-1 is no"),
        (json!({ "dedicated": { "hardware": { "storage_gb": 1 } } }), "unknown field `storage_gb`"),
        (json!({ "dedicated": { "cidr_range": "x".repeat(64) } }), "can not be kept"),
        (json!({ "spend_limit": 1 }), "unknown field `spend_limit`"),
    ] {
        let refused = patch(wrong.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}: {refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
    }
    assert_eq!(
        service.get(&key, &path).await.body,
        changed.body,
        "what is refused changes nothing"
    );
}

#[tokio::test]
async fn the_version_of_a_server_is_confirmed_and_never_changed() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let mut body = a_cluster("ledger", &server.url("postgres"));
    body["spec"]["plan"] = json!("BASIC");
    let made = attach(&service, &key, body).await;
    assert_eq!(made.body["config"]["serverless"]["upgrade_type"], "AUTOMATIC", "{made:?}");
    assert!(primaries(&made.body).is_empty(), "there is but one region");
    let path = path(&made.body);
    let patch = async |version: &str| {
        service.ask(&key, Method::PATCH, &path, json!({ "cockroach_version": version })).await
    };
    let major = server.version();
    for same in [format!("v{major}"), format!("v{major}.4"), major.to_string()] {
        let answer = patch(&same).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &made.body), "{same}");
    }
    for other in [format!("v{}.4", major + 1), "v1".to_owned(), "latest".to_owned(), String::new()]
    {
        let refused = patch(&other).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{other}: {refused:?}");
        assert!(
            refused.body["message"].as_str().unwrap().contains("its version is not ours to change"),
            "{refused:?}"
        );
        assert!(hint(&refused).contains("upgrade PostgreSQL"), "{refused:?}");
    }

    let versions = service.get(&key, "/cluster-versions").await.body["versions"].clone();
    let ends: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["version"].as_str().unwrap(), one["support_end"].as_str().unwrap()))
        .collect();
    // As PostgreSQL publishes them.
    assert_eq!(
        ends,
        [
            ("v18", "2030-11-14T00:00:00Z"),
            ("v17", "2029-11-08T00:00:00Z"),
            ("v16", "2028-11-09T00:00:00Z"),
            ("v15", "2027-11-11T00:00:00Z"),
            ("v14", "2026-11-12T00:00:00Z"),
            ("v13", "2025-11-13T00:00:00Z"),
        ]
    );
    assert_eq!(versions[1]["allowed_upgrades"], json!(["v18"]));
}

#[tokio::test]
async fn a_unix_socket_of_the_services_machine_is_for_org_administrators() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::ClusterCreator, Role::ClusterAdmin]).await;
    let made = attach(&service, &key, a_cluster("ledger", &server.url("postgres"))).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let socket = server.socket_url("postgres");
    let (check, patch) = (json!({ "url": socket }), json!({ "strongroom": { "url": socket } }));
    for (method, path, body) in [
        (Method::POST, "/clusters/check-connection".to_owned(), check.clone()),
        (Method::POST, "/clusters".to_owned(), a_cluster("books", &socket)),
        (Method::PATCH, path(&made.body), patch.clone()),
    ] {
        let refused = service.ask(&key, method, &path, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {refused:?}");
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("a unix socket of the service's own machine"), "{message}");
        assert!(message.ends_with("needs the role Org Administrator"), "{message}");
        assert!(hint(&refused).starts_with("name the server's host"), "{refused:?}");
    }
    let admin = service.key(&[Role::OrgAdmin]).await;
    let checked = service.ask(&admin, Method::POST, "/clusters/check-connection", check).await;
    assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
    let changed = service.ask(&admin, Method::PATCH, &path(&made.body), patch).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
}
