//! Databases and SQL users, on a real server.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::{EventFilter, Page, Role};
use strongroom_testkit::{Cluster, Proxy};

use crate::support::TestService;

/// A service with one attached cluster: an administrator's key, and the cluster's path.
async fn attached(server: &Cluster) -> (TestService, String, String) {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let body = json!({ "name": "ledger", "spec": { "plan": "ADVANCED" }, "strongroom": {
        "url": server.url("postgres"), "regions": ["local", "us-east1"], "primary_region": "local",
    } });
    let made = service.ask(&key, Method::POST, "/clusters", body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let path = format!("/clusters/{}", made.body["id"].as_str().unwrap());
    (service, key, path)
}

#[tokio::test]
async fn databases_are_made_renamed_and_dropped_on_the_server() {
    let server = Cluster::start();
    let (service, key, path) = attached(&server).await;
    let databases = format!("{path}/databases");
    let odd = r#"O'Neil "; DROP DATABASE postgres; --"#;
    for name in ["shop", odd] {
        let body = json!({ "name": name });
        let made = service.ask(&key, Method::POST, &databases, body.clone()).await;
        assert_eq!(made.status, StatusCode::OK, "{made:?}");
        assert_eq!((&made.body["name"], &made.body["table_count"]), (&json!(name), &json!("0")));
        let again = service.ask(&key, Method::POST, &databases, body).await;
        assert_eq!(
            (again.status, &again.body["code"]),
            (StatusCode::CONFLICT, &json!(6)),
            "{again:?}"
        );
    }
    assert_eq!(server.databases(), [odd, "postgres", "shop"]);
    server.psql(
        "shop",
        "CREATE TABLE a (); CREATE TABLE b () PARTITION BY RANGE (x)"
            .replace("b ()", "b (x int)")
            .as_str(),
    );
    let listed = service.get(&key, &databases).await;
    let shop = &listed.body["databases"][2];
    assert_eq!((&shop["name"], &shop["table_count"]), (&json!("shop"), &json!("2")), "{listed:?}");
    assert_eq!(
        shop["strongroom"],
        json!({ "primary_region": null, "regions": [], "owner": "postgres" })
    );

    // By pages.
    let first = service.get(&key, &format!("{databases}?pagination.limit=2")).await;
    assert_eq!(first.body["databases"].as_array().unwrap().len(), 2);
    let token = first.body["pagination"]["next_page"].as_str().unwrap();
    let query = [("pagination.page", token), ("pagination.limit", "2")];
    let rest = service.get_with(&key, &databases, &query).await;
    assert_eq!(rest.body["databases"][0]["name"], "shop", "{rest:?}");
    assert_eq!(rest.body["pagination"]["next_page"], Value::Null);

    let rename = async |name: &str, new_name: &str| {
        let body = json!({ "new_name": new_name });
        service.ask(&key, Method::PATCH, &format!("{databases}/{name}"), body).await
    };
    let renamed = rename("shop", "store").await;
    assert_eq!((renamed.status, &renamed.body["name"]), (StatusCode::OK, &json!("store")));
    assert_eq!(rename("shop", "x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rename("store", odd).await.status, StatusCode::CONFLICT);
    for wrong in ["", "pg_mine", "strongroom_staging_1", &"x".repeat(64)] {
        let refused = rename("store", wrong).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}: {refused:?}");
    }
    let own = rename("postgres", "x").await;
    assert_eq!(own.status, StatusCode::CONFLICT, "{own:?}");
    assert!(own.body["message"].as_str().unwrap().contains("the one that Strongroom connects to"));

    // The same with both names in the body, as other versions of the original's clients ask.
    let other = async |body: Value| service.ask(&key, Method::PATCH, &databases, body).await;
    let there = other(json!({ "name": "store", "new_name": "market" })).await;
    assert_eq!((there.status, &there.body["name"]), (StatusCode::OK, &json!("market")));
    let back = other(json!({ "name": "market", "new_name": "store" })).await;
    assert_eq!((back.status, &back.body["name"]), (StatusCode::OK, &json!("store")));
    let missing = other(json!({ "name": "market", "new_name": "x" })).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
    for half in [json!({ "name": "store" }), json!({ "new_name": "store" })] {
        let refused = other(half).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains("missing field"));
    }

    // Not while somebody uses it.
    let session =
        tokio_postgres::connect(&server.url("store"), tokio_postgres::NoTls).await.unwrap();
    let running = tokio::spawn(session.1);
    let drop = async || {
        service.ask(&key, Method::DELETE, &format!("{databases}/store"), Value::Null).await
    };
    let busy = drop().await;
    assert_eq!((busy.status, &busy.body["code"]), (StatusCode::CONFLICT, &json!(10)), "{busy:?}");
    std::mem::drop(session.0);
    running.await.unwrap().unwrap();
    let mut dropped = drop().await;
    for _ in 0..50 {
        // The server notices a moment later that the session has ended.
        if dropped.status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        dropped = drop().await;
    }
    assert_eq!(
        (dropped.status, &dropped.body["name"]),
        (StatusCode::OK, &json!("store")),
        "{dropped:?}"
    );
    assert_eq!(drop().await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.databases(), [odd, "postgres"]);

    let filter = EventFilter { from: None, ..EventFilter::default() };
    let events = service.app.catalog().audit_events(&filter, &Page::default()).await.unwrap().items;
    let told: Vec<_> = events.iter().map(|event| event.event.action.as_str()).collect();
    assert_eq!(
        told[..6],
        [
            "DATABASE_DROPPED",
            "DATABASE_RENAMED",
            "DATABASE_RENAMED",
            "DATABASE_RENAMED",
            "DATABASE_CREATED",
            "DATABASE_CREATED"
        ]
    );
}

#[tokio::test]
async fn a_database_is_declared_to_live_in_several_regions() {
    let server = Cluster::start();
    server.create_database("shop");
    let (service, key, path) = attached(&server).await;
    let shop = format!("{path}/databases/shop");
    let declare = async |ours: Value| {
        service.ask(&key, Method::PATCH, &shop, json!({ "strongroom": ours })).await
    };
    let both =
        declare(json!({ "primary_region": "us-east1", "regions": ["local", "us-east1"] })).await;
    assert_eq!(both.status, StatusCode::OK, "{both:?}");
    assert_eq!(both.body["strongroom"]["primary_region"], "us-east1");
    assert_eq!(both.body["strongroom"]["regions"], json!(["us-east1", "local"]));
    let settings = "SELECT array_to_string(setconfig, '|') FROM pg_db_role_setting";
    assert_eq!(
        server.psql("shop", settings),
        "strongroom.primary_region=us-east1|strongroom.regions=us-east1,local"
    );
    for (ours, message) in [
        (json!({ "regions": ["mars"] }), "region mars is none of cluster ledger"),
        (json!({ "primary_region": "x y" }), "can not be the name of a region"),
    ] {
        let refused = declare(ours).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
    }
    let single = declare(json!({ "regions": ["us-east1"] })).await;
    assert_eq!(single.body["strongroom"]["regions"], json!(["us-east1"]), "{single:?}");
    let none = declare(json!({ "regions": [] })).await;
    assert_eq!(none.body["strongroom"]["primary_region"], Value::Null, "{none:?}");
    assert_eq!(server.psql("shop", settings), "");
}

#[tokio::test]
async fn users_get_passwords_that_no_log_has() {
    let server = Cluster::builder().password("hush").setting("log_statement = 'all'").start();
    let (service, key, path) = attached(&server).await;
    let users = format!("{path}/sql-users");
    let names = async || {
        let listed = service.get(&key, &users).await;
        assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
        let users = listed.body["users"].as_array().unwrap().clone();
        users.iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["postgres"]);
    let body = json!({ "name": "ann \"x", "password": "s3cret väry" });
    let made = service.ask(&key, Method::POST, &users, body.clone()).await;
    assert_eq!(
        (made.status, &made.body),
        (StatusCode::OK, &json!({ "name": "ann \"x" })),
        "{made:?}"
    );
    let again = service.ask(&key, Method::POST, &users, body).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!(6)), "{again:?}");
    assert_eq!(names().await, ["ann \"x", "postgres"]);

    let signs_in = async |password: &str| {
        let url = server.user_url("ann \"x", Some(password), "postgres");
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok()
    };
    assert!(signs_in("s3cret väry").await);
    let password = format!("{users}/ann%20%22x/password");
    let body = json!({ "password": "another one" });
    let set = service.ask(&key, Method::PUT, &password, body.clone()).await;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    assert!(signs_in("another one").await && !signs_in("s3cret väry").await);
    let log = server.log();
    assert!(log.contains("SCRAM-SHA-256$"), "statements are logged: {log}");
    assert!(!log.contains("s3cret") && !log.contains("another one"), "{log}");

    let missing =
        service.ask(&key, Method::PUT, &format!("{users}/bob/password"), body.clone()).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
    let own = service.ask(&key, Method::PUT, &format!("{users}/postgres/password"), body).await;
    assert_eq!(own.status, StatusCode::BAD_REQUEST, "{own:?}");
    for body in [json!({ "name": "bob", "password": "" }), json!({ "name": "", "password": "x" })] {
        let refused = service.ask(&key, Method::POST, &users, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
    server.psql("postgres", "CREATE TABLE hers (); ALTER TABLE hers OWNER TO \"ann \"\"x\"");
    let ann = format!("{users}/ann%20%22x");
    let owner = service.ask(&key, Method::DELETE, &ann, Value::Null).await;
    assert_eq!(owner.status, StatusCode::CONFLICT, "{owner:?}");
    assert!(owner.body["details"][0]["hint"].as_str().unwrap().contains("REASSIGN OWNED"));
    server.psql("postgres", "DROP TABLE hers");
    let gone = service.ask(&key, Method::DELETE, &ann, Value::Null).await;
    assert_eq!(gone.status, StatusCode::OK, "{gone:?}");
    assert_eq!(
        service.ask(&key, Method::DELETE, &ann, Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
    let events = service
        .app
        .catalog()
        .audit_events(&EventFilter::default(), &Page::default())
        .await
        .unwrap();
    let told = format!("{events:?}");
    assert!(told.contains("SQL_USER_PASSWORD_CHANGED") && !told.contains("another one"));
}

#[tokio::test]
async fn what_the_server_does_after_the_client_hung_up_is_in_the_audit_log() {
    let server = Cluster::start();
    let (service, key, path) = attached(&server).await;
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    let running = tokio::spawn(connection);
    let password = json!({ "password": "hush hush" });
    for (method, path, body, action) in [
        (Method::POST, "databases", json!({ "name": "shop" }), "DATABASE_CREATED"),
        (Method::PATCH, "databases/shop", json!({ "new_name": "store" }), "DATABASE_RENAMED"),
        (Method::DELETE, "databases/store", Value::Null, "DATABASE_DROPPED"),
        (
            Method::POST,
            "sql-users",
            json!({ "name": "ann", "password": "hush" }),
            "SQL_USER_CREATED",
        ),
        (Method::PUT, "sql-users/ann/password", password, "SQL_USER_PASSWORD_CHANGED"),
        (Method::DELETE, "sql-users/ann", Value::Null, "SQL_USER_DELETED"),
    ]
    .map(|(method, under, body, action)| (method, format!("{path}/{under}"), body, action))
    {
        // What is to be written waits for this; what is read does not.
        let hold = "BEGIN; LOCK TABLE pg_authid, pg_database IN SHARE MODE";
        client.batch_execute(hold).await.unwrap();
        let request = service.request(method, &path).bearer_auth(&key);
        let request = if body.is_null() { request } else { request.json(&body) };
        let asking = tokio::spawn(request.send());
        let waits = "SELECT FROM pg_locks WHERE NOT granted";
        while client.query(waits, &[]).await.unwrap().is_empty() {
            assert!(!asking.is_finished(), "{action}: {:?}", asking.await);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        client.batch_execute("ROLLBACK").await.unwrap();

        let noted = async || {
            let filter = EventFilter { actions: vec![action.to_owned()], ..EventFilter::default() };
            let found = service.app.catalog().audit_events(&filter, &Page::default()).await;
            !found.unwrap().items.is_empty()
        };
        for _ in 0..200 {
            if noted().await {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(noted().await, "{action} is not in the audit log");
    }
    drop(client);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn few_questions_at_a_time_are_put_to_one_server() {
    let server = Cluster::start();
    let (service, key, path) = attached(&server).await;
    let proxy = Proxy::to(server.port());
    let body = json!({ "strongroom": { "url": server.url_at(proxy.port(), "postgres") } });
    let moved = service.ask(&key, Method::PATCH, &path, body).await;
    assert_eq!(moved.status, StatusCode::OK, "{moved:?}");
    let before = proxy.connections();
    proxy.stall();
    let mut asking = Vec::new();
    for under in ["sql-users", "databases", "nodes"].repeat(3) {
        let request = service.request(Method::GET, &format!("{path}/{under}")).bearer_auth(&key);
        asking.push(tokio::spawn(request.send()));
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(proxy.connections() - before, 2, "connections that wait for the server");
    proxy.heal();
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}
