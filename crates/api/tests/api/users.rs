//! Users, their passwords and their roles.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::Role;

use crate::sessions::{by_session, cookie, with_founder};
use crate::support::TestService;

/// A service with an Org Administrator who can sign in, and the key of another one.
async fn with_key() -> (TestService, String) {
    let service = with_founder().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    (service, key)
}

async fn made(service: &TestService, key: &str, email: &str) -> String {
    let body = json!({ "email": email, "name": "Bob", "password": "a long password" });
    let made = service.ask(key, Method::POST, "/users", body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_is_made_seen_renamed_and_removed() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "Bob@Example.org").await;
    let seen = service.get(&key, &format!("/users/{id}")).await;
    assert_eq!(seen.body["email"], "bob@example.org");
    assert_eq!(seen.body["has_password"], true);
    assert_eq!(seen.body["disabled"], false);
    let member = json!([{ "name": "ORG_MEMBER", "resource": { "type": "ORGANIZATION" } }]);
    assert_eq!(seen.body["roles"], member);

    let again = json!({ "email": "bob@example.org", "name": "Bob" });
    let again = service.ask(&key, Method::POST, "/users", again).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!(6)));

    let found = service.get(&key, "/users/persons-by-email?email=BOB@example.org").await;
    assert_eq!(found.body, json!({ "user": { "id": id, "email": "bob@example.org" } }));
    let nobody = service.get(&key, "/users/persons-by-email?email=nobody@example.org").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);

    let path = format!("/users/{id}");
    let renamed = service.ask(&key, Method::PATCH, &path, json!({ "name": "Robert" })).await;
    assert_eq!(renamed.body["name"], "Robert");
    let listed = service.get(&key, "/users?pagination.limit=1").await;
    let next = listed.body["pagination"]["next_page"].as_str().unwrap();
    let listed = service.get(&key, &format!("/users?pagination.page={next}")).await;
    assert_eq!(listed.body["users"][0], renamed.body);

    let removed = service.ask(&key, Method::DELETE, &path, Value::Null).await;
    assert_eq!(removed.body, renamed.body);
    assert_eq!(service.get(&key, &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "bob@example.org").await;
    let session = cookie(&service, "bob@example.org", "a long password").await;
    let ask = async || by_session(&service, &session, Method::GET, "/session", Value::Null).await;
    assert_eq!(ask().await.status, StatusCode::OK);
    let disabled = json!({ "disabled": true });
    let path = format!("/users/{id}");
    let disabled = service.ask(&key, Method::PATCH, &path, disabled).await;
    assert_eq!(disabled.body["disabled"], true, "{disabled:?}");
    assert_eq!(ask().await.status, StatusCode::UNAUTHORIZED);
    let body = json!({ "email": "bob@example.org", "password": "a long password" });
    let refused = service.ask("", Method::POST, "/session", body.clone()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    service.ask(&key, Method::PATCH, &path, json!({ "disabled": false })).await;
    assert_eq!(service.ask("", Method::POST, "/session", body).await.status, StatusCode::OK);
    assert_eq!(ask().await.status, StatusCode::UNAUTHORIZED, "the old session stays ended");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (service, key) = with_key().await;
    let users = service.get(&key, "/users").await;
    let id = users.body["users"][0]["id"].as_str().unwrap();
    let organization = service.get(&key, "/organization").await.body["id"].clone();
    let organization = organization.as_str().unwrap();
    let role = format!("/roles/{id}/ORGANIZATION/{organization}/ORG_ADMIN");
    for (method, path, body) in [
        (Method::DELETE, format!("/users/{id}"), Value::Null),
        (Method::PATCH, format!("/users/{id}"), json!({ "disabled": true })),
        (Method::DELETE, role.clone(), Value::Null),
        (Method::PUT, format!("/roles/{id}"), json!({ "roles": [] })),
    ] {
        let refused = service.ask(&key, method, &path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}: {refused:?}");
        assert_eq!(refused.body["code"], 9, "{path}: {refused:?}");
    }
    let bob = made(&service, &key, "bob@example.org").await;
    let path = format!("/roles/{bob}/ORGANIZATION/{organization}/ORG_ADMIN");
    service.ask(&key, Method::POST, &path, Value::Null).await;
    let now = service.ask(&key, Method::DELETE, &role, Value::Null).await;
    assert_eq!(now.status, StatusCode::OK, "{now:?}");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_by_administrators() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "bob@example.org").await;
    let ann = service.get(&key, "/users").await.body["users"][0]["id"].clone();
    let path = format!("/users/{id}/password");
    let session = cookie(&service, "bob@example.org", "a long password").await;
    let change = async |body: Value| by_session(&service, &session, Method::PUT, &path, body).await;
    let missing = change(json!({ "password": "another one" })).await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST, "{missing:?}");
    let wrong = json!({ "password": "another one", "current_password": "wrong" });
    assert_eq!(change(wrong).await.status, StatusCode::FORBIDDEN);
    let short = json!({ "password": "short", "current_password": "a long password" });
    assert_eq!(change(short).await.status, StatusCode::BAD_REQUEST);
    let others = format!("/users/{}/password", ann.as_str().unwrap());
    let body = json!({ "password": "another one", "current_password": "a long password" });
    let refused = by_session(&service, &session, Method::PUT, &others, body.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");

    assert_eq!(change(body).await.status, StatusCode::OK);
    let ended = by_session(&service, &session, Method::GET, "/session", Value::Null).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    cookie(&service, "bob@example.org", "another one").await;
    let set = service.ask(&key, Method::PUT, &path, json!({ "password": "a third one" })).await;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    cookie(&service, "bob@example.org", "a third one").await;
}

#[tokio::test]
async fn people_see_themselves_and_nobody_else() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "bob@example.org").await;
    let session = cookie(&service, "bob@example.org", "a long password").await;
    let users = service.get(&key, "/users").await;
    let ann = users.body["users"][0]["id"].as_str().unwrap();
    for (path, status) in [
        (format!("/users/{id}"), StatusCode::OK),
        (format!("/roles/{id}"), StatusCode::OK),
        (format!("/users/{ann}"), StatusCode::FORBIDDEN),
        (format!("/roles/{ann}"), StatusCode::FORBIDDEN),
        ("/users".to_owned(), StatusCode::FORBIDDEN),
        ("/roles".to_owned(), StatusCode::FORBIDDEN),
        ("/auditlogevents".to_owned(), StatusCode::FORBIDDEN),
    ] {
        let seen = by_session(&service, &session, Method::GET, &path, Value::Null).await;
        assert_eq!(seen.status, status, "{path}: {seen:?}");
    }
}

#[tokio::test]
async fn roles_are_granted_and_taken_away_as_the_original_does() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "bob@example.org").await;
    let organization = service.get(&key, "/organization").await.body["id"].clone();
    let organization = organization.as_str().unwrap();
    let on = |name: &str| json!({ "name": name, "resource": { "type": "ORGANIZATION" } });

    let path = format!("/roles/{id}/ORGANIZATION/{organization}/CLUSTER_ADMIN");
    for _ in 0..2 {
        let granted = service.ask(&key, Method::POST, &path, Value::Null).await;
        assert_eq!(granted.body, json!({ "roles": [on("CLUSTER_ADMIN"), on("ORG_MEMBER")] }));
    }
    // As the original's clients name the organization: by nothing.
    let hole = format!("/roles/{id}/ORGANIZATION//METRICS_VIEWER");
    let granted = service.ask(&key, Method::POST, &hole, Value::Null).await;
    assert_eq!(granted.body["roles"].as_array().unwrap().len(), 3, "{granted:?}");
    let taken = service.ask(&key, Method::DELETE, &hole, Value::Null).await;
    assert_eq!(taken.body["roles"].as_array().unwrap().len(), 2, "{taken:?}");

    let empty_id =
        json!({ "name": "ORG_MEMBER", "resource": { "type": "ORGANIZATION", "id": "" } });
    let body = json!({ "roles": [empty_id] });
    let set = service.ask(&key, Method::PUT, &format!("/roles/{id}"), body).await;
    assert_eq!(set.body, json!({ "roles": [on("ORG_MEMBER")] }), "{set:?}");
    assert_eq!(service.get(&key, &format!("/roles/{id}")).await.body, set.body);
    let none = json!({ "roles": null });
    let none = service.ask(&key, Method::PUT, &format!("/roles/{id}"), none).await;
    assert_eq!(none.body, json!({ "roles": [] }), "{none:?}");

    // As the original's Terraform provider asks.
    let all = service.get(&key, "/roles?pagination.page=&pagination.limit=100").await;
    let grants = all.body["grants"].as_array().unwrap();
    let of_bob = grants.iter().find(|grants| grants["user_id"] == *id).unwrap();
    assert_eq!(of_bob["roles"], json!([]));
    assert_eq!(grants.len(), 3, "two users and the service account");
    assert_eq!(all.body["pagination"], json!({ "next_page": null, "previous_page": null }));
}

#[tokio::test]
async fn a_role_is_refused_where_it_makes_no_sense() {
    let (service, key) = with_key().await;
    let id = made(&service, &key, "bob@example.org").await;
    let other = "0192f0c1-2345-7abc-8def-0123456789ab";
    for (path, status) in [
        (format!("/roles/{id}/CLUSTER/{other}/ORG_ADMIN"), StatusCode::BAD_REQUEST),
        (format!("/roles/{id}/CLUSTER/{other}/CLUSTER_ADMIN"), StatusCode::NOT_FOUND),
        (format!("/roles/{id}/FOLDER/{other}/CLUSTER_ADMIN"), StatusCode::NOT_FOUND),
        (format!("/roles/{id}/ORGANIZATION/{other}/CLUSTER_ADMIN"), StatusCode::NOT_FOUND),
        (format!("/roles/{other}/ORGANIZATION//CLUSTER_ADMIN"), StatusCode::NOT_FOUND),
        (format!("/roles/{id}/ORGANIZATION//KING"), StatusCode::BAD_REQUEST),
        (format!("/roles/{id}/PLANET/{other}/CLUSTER_ADMIN"), StatusCode::BAD_REQUEST),
    ] {
        let refused = service.ask(&key, Method::POST, &path, Value::Null).await;
        assert_eq!(refused.status, status, "{path}: {refused:?}");
    }
}
