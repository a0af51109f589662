//! Storage locations: made, checked, changed and deleted by administrators; their secrets stay inside.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::Role;
use strongroom_testkit::{Fault, S3Server};

use crate::support::{Answer, TestService};

async fn create(service: &TestService, key: &str, body: Value) -> Answer {
    service.ask(key, Method::POST, "/storage-locations", body).await
}

#[tokio::test]
async fn the_first_start_makes_one_in_the_data_directory() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let listed = service.get(&key, "/storage-locations").await;
    let only = &listed.body["storage_locations"][0];
    assert_eq!(
        (&only["name"], &only["region"]),
        (&json!("default"), &json!("local")),
        "{listed:?}"
    );
    let folder = service.app.config().data_dir.join("backups");
    assert_eq!(only["url"], format!("file://{}", folder.display()));
    assert!(folder.is_dir());
    let path = format!("/storage-locations/{}", only["id"].as_str().unwrap());
    let checked = service.ask(&key, Method::POST, &format!("{path}/check"), Value::Null).await;
    assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing is left of the check");

    // Whoever has removed it does not get it back by starting again.
    let deleted = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.body), (StatusCode::OK, json!({})));
    let service = service.restart().await;
    let listed = service.get(&key, "/storage-locations").await;
    assert_eq!(listed.body["storage_locations"], json!([]));
}

#[tokio::test]
async fn a_bucket_is_kept_with_its_keys_and_shown_without() {
    let s3 = S3Server::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let body = json!({
        "name": "frankfurt", "region": "eu-central-1", "url": s3.url("backups"),
        "passphrase": "correct horse battery staple",
    });
    let made = create(&service, &key, body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let shown = format!("s3://{}/backups?AWS_ENDPOINT={}", s3.bucket(), s3.endpoint());
    assert_eq!(made.body["url"], shown);
    assert_eq!(made.body["encrypted"], true);
    let path = format!("/storage-locations/{}", made.body["id"].as_str().unwrap());
    let checked = service.ask(&key, Method::POST, &format!("{path}/check"), Value::Null).await;
    assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
    assert_eq!(s3.keys_of_objects(), Vec::<String>::new(), "nothing is left of the check");

    // Other keys of the same bucket: wrong ones are told by the next check.
    let url = s3.url("backups");
    let (place, _) = url.split_once("&AWS_SECRET_ACCESS_KEY=").unwrap();
    let wrong = format!("{place}&AWS_SECRET_ACCESS_KEY=wrong");
    let changed = service.ask(&key, Method::PATCH, &path, json!({ "url": wrong })).await;
    assert_eq!(changed.body, made.body, "what is shown stays");
    let refused = service.ask(&key, Method::POST, &format!("{path}/check"), Value::Null).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("the store refused our credentials"), "{message}");
    assert!(refused.body["details"][0]["hint"].as_str().unwrap().contains("secret key"));

    for answer in [
        service.get(&key, "/storage-locations").await,
        service.get(&key, &path).await,
        changed,
        refused,
        made,
    ] {
        let text = answer.body.to_string();
        for secret in [s3.keys().0, s3.keys().1, "wrong", "horse"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let catalog = service.app.catalog();
    let events = catalog.audit_events(&Default::default(), &Default::default()).await.unwrap();
    let told: Vec<_> = events.items.iter().map(|event| event.event.action.as_str()).collect();
    assert_eq!(told[..2], ["STORAGE_LOCATION_CHANGED", "STORAGE_LOCATION_CREATED"]);
    assert!(!format!("{:?}", events.items).contains("horse"));
}

#[tokio::test]
async fn a_store_that_does_not_delete_is_found_out() {
    let s3 = S3Server::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let body = json!({ "name": "s3", "region": "local", "url": s3.url("x") });
    let made = create(&service, &key, body).await;
    let path = format!("/storage-locations/{}/check", made.body["id"].as_str().unwrap());
    s3.inject(Fault::status(403).on("POST"));
    let refused = service.ask(&key, Method::POST, &path, Value::Null).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.starts_with("storage location s3: deleting object PROBE-"), "{message}");
    s3.heal();
    let checked = service.ask(&key, Method::POST, &path, Value::Null).await;
    assert_eq!(checked.status, StatusCode::OK, "{checked:?}");
}

#[tokio::test]
async fn what_the_engine_refuses_is_refused_in_its_words() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    for (url, message) in [
        ("/var/backups", "a path and not a URL"),
        ("ftp://host/x", "the scheme 'ftp'"),
        ("s3://b/x?AWS_ACESS_KEY_ID=x", "unknown S3 query parameter: AWS_ACESS_KEY_ID"),
        ("file:///proc/nowhere", "creating collection file:///proc/nowhere"),
    ] {
        let body = json!({ "name": "x", "region": "local", "url": url });
        let refused = create(&service, &key, body).await;
        assert!(refused.status.is_client_error(), "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
    }
    let folder = format!("file://{}", service.app.config().data_dir.join("more").display());
    for (field, value) in [
        ("name", json!("  ")),
        ("name", json!("x".repeat(101))),
        ("region", json!("US East")),
        ("passphrase", json!("short")),
        ("colour", json!("red")),
    ] {
        let mut body = json!({ "name": "x", "region": "local", "url": folder });
        body[field] = value;
        let refused = create(&service, &key, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{field}: {refused:?}");
    }
    let body = json!({ "name": "default", "region": "local", "url": folder });
    let taken = create(&service, &key, body).await;
    assert_eq!((taken.status, &taken.body["code"]), (StatusCode::CONFLICT, &json!(6)), "{taken:?}");
}

#[tokio::test]
async fn only_administrators_manage_them() {
    let service = TestService::start().await;
    let admin = service.key(&[Role::OrgAdmin]).await;
    let listed = service.get(&admin, "/storage-locations").await;
    let id = listed.body["storage_locations"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/storage-locations/{id}");
    let body = json!({ "name": "x", "region": "local", "url": "file:///tmp/x" });
    for (role, sees) in [
        (Role::ClusterAdmin, true),
        (Role::ClusterCreator, true),
        (Role::ClusterOperatorWriter, false),
        (Role::OrgMember, false),
    ] {
        let key = service.key(&[role]).await;
        let seen = service.get(&key, &path).await.status;
        assert_eq!(seen == StatusCode::OK, sees, "{role}");
        for (method, path, body) in [
            (Method::POST, "/storage-locations", body.clone()),
            (Method::PATCH, path.as_str(), json!({ "name": "y" })),
            (Method::POST, &format!("{path}/check"), Value::Null),
            (Method::DELETE, path.as_str(), Value::Null),
        ] {
            let refused = service.ask(&key, method, path, body).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{role}: {refused:?}");
        }
    }
    let missing = service.get(&admin, &format!("/storage-locations/{}", uuid::Uuid::nil())).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let wrong = service.get(&admin, "/storage-locations/x").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
