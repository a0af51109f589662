//! Service accounts and API keys.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::Role;

use crate::support::TestService;

async fn with_key() -> (TestService, String) {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    (service, key)
}

#[tokio::test]
async fn a_program_gets_a_key_and_loses_it() {
    let (service, admin) = with_key().await;
    let body = json!({ "name": "ci", "description": "builds", "roles": [] });
    let account = service.ask(&admin, Method::POST, "/service-accounts", body).await;
    assert_eq!(account.status, StatusCode::OK, "{account:?}");
    let id = account.body["id"].as_str().unwrap();
    let member = json!([{ "name": "ORG_MEMBER", "resource": { "type": "ORGANIZATION" } }]);
    assert_eq!(account.body["roles"], member);
    assert_eq!(account.body["creator_name"], "test");
    assert_eq!(account.body["group_roles"], json!([]));

    let body = json!({ "name": "of the build", "service_account_id": id });
    let made = service.ask(&admin, Method::POST, "/api-keys", body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let secret = made.body["secret"].as_str().unwrap();
    let key = made.body["api_key"]["id"].as_str().unwrap();
    assert_eq!(made.body["api_key"]["service_account_id"], id);
    assert_eq!(service.get(secret, "/organization").await.status, StatusCode::OK);

    // By the id, and by how the secret begins, which is all that Terraform has when it imports one.
    let prefix = secret.rsplit_once('_').unwrap().0;
    for name in [key, prefix] {
        let seen = service.get(&admin, &format!("/api-keys/{name}")).await;
        assert_eq!(seen.body["id"], key, "{seen:?}");
        assert!(!seen.body.to_string().contains(secret));
        assert!(seen.body["strongroom"]["last_used"].is_string(), "{seen:?}");
    }
    let of = format!("/api-keys?service_account_id={id}");
    assert_eq!(service.get(&admin, &of).await.body["api_keys"].as_array().unwrap().len(), 1);
    let all = service.get(&admin, "/api-keys").await;
    assert_eq!(all.body["api_keys"].as_array().unwrap().len(), 2, "{all:?}");

    let path = format!("/api-keys/{key}");
    let renamed = service.ask(&admin, Method::PATCH, &path, json!({ "name": "other" })).await;
    assert_eq!(renamed.body["name"], "other");
    let removed = service.ask(&admin, Method::DELETE, &path, Value::Null).await;
    assert_eq!(removed.body["id"], key, "{removed:?}");
    assert_eq!(service.get(secret, "/organization").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(service.get(&admin, &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_its_account_a_key_opens_nothing() {
    let (service, admin) = with_key().await;
    let body = json!({ "name": "ci", "roles": [
        { "name": "CLUSTER_ADMIN", "resource": { "type": "ORGANIZATION", "id": "" } },
    ]});
    let account = service.ask(&admin, Method::POST, "/service-accounts", body).await;
    let id = account.body["id"].as_str().unwrap();
    assert_eq!(account.body["roles"].as_array().unwrap().len(), 2, "{account:?}");
    let body = json!({ "name": "k", "service_account_id": id });
    let made = service.ask(&admin, Method::POST, "/api-keys", body).await;
    let secret = made.body["secret"].as_str().unwrap();
    let path = format!("/service-accounts/{id}");
    assert_eq!(service.get(secret, &path).await.status, StatusCode::OK, "it may see itself");
    assert_eq!(service.get(secret, "/service-accounts").await.status, StatusCode::FORBIDDEN);

    let changed = json!({ "description": "builds" });
    let changed = service.ask(&admin, Method::PATCH, &path, changed).await;
    assert_eq!(
        (&changed.body["name"], &changed.body["description"]),
        (&json!("ci"), &json!("builds"))
    );
    let removed = service.ask(&admin, Method::DELETE, &path, Value::Null).await;
    assert_eq!(removed.body["id"], id, "{removed:?}");
    assert_eq!(service.get(secret, "/organization").await.status, StatusCode::UNAUTHORIZED);
    let listed = service.get(&admin, "/service-accounts").await;
    assert_eq!(listed.body["service_accounts"].as_array().unwrap().len(), 1, "{listed:?}");
}

#[tokio::test]
async fn accounts_are_found_by_name_and_role() {
    let (service, admin) = with_key().await;
    for (name, roles) in [
        ("deploy", vec!["CLUSTER_ADMIN", "CLUSTER_CREATOR"]),
        ("ci", vec!["CLUSTER_ADMIN"]),
        ("audit", vec!["BILLING_VIEWER"]),
        ("ci2", vec![]),
    ] {
        let role = |role: &str| json!({ "name": role, "resource": { "type": "ORGANIZATION" } });
        let roles: Vec<_> = roles.into_iter().map(role).collect();
        let body = json!({ "name": name, "description": "", "roles": roles });
        let made = service.ask(&admin, Method::POST, "/service-accounts", body).await;
        assert_eq!(made.status, StatusCode::OK, "{made:?}");
    }
    for (query, expected) in [
        ("", &["audit", "ci", "ci2", "deploy", "test"][..]),
        ("?pagination.sort_order=DESC", &["test", "deploy", "ci2", "ci", "audit"]),
        ("?service_account_name=ci", &["ci"]),
        ("?service_account_name=CI", &[]),
        ("?roles=CLUSTER_ADMIN", &["ci", "deploy"]),
        ("?roles=BILLING_VIEWER,CLUSTER_CREATOR", &["audit", "deploy"]),
        ("?roles=BILLING_VIEWER&roles=CLUSTER_CREATOR", &["audit", "deploy"]),
        ("?roles=CLUSTER_ADMIN&service_account_name=deploy", &["deploy"]),
        ("?roles=FOLDER_MOVER", &[]),
    ] {
        let listed = service.get(&admin, &format!("/service-accounts{query}")).await;
        let names: Vec<_> = listed.body["service_accounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    let refused = service.get(&admin, "/service-accounts?roles=AUDITOR").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(refused.body["message"].as_str().unwrap().contains("AUDITOR"), "{refused:?}");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again() {
    let service = TestService::start_with(|_| ()).await;
    let key = service.key(&[]).await;
    let other = service.key(&[]).await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = service.get(&key, "/organization").await;
        if answer.status != StatusCode::OK {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{refused:?}");
    assert_eq!(refused.body["message"], "rate limit exceeded");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(service.get(&other, "/organization").await.status, StatusCode::OK);

    let mut refused = false;
    for _ in 0..200 {
        let answer = service.get("srk_0000_0000", "/organization").await;
        refused |= answer.status == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(refused, "a guesser of keys");
    assert_eq!(service.get(&other, "/organization").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_list_of_roles_is_read_for_those_only_who_may_grant_them_and_has_an_end() {
    let service = TestService::start().await;
    let admin = service.key(&[Role::OrgAdmin]).await;
    let member = service.key(&[Role::OrgMember]).await;
    let many = |count: usize| {
        let role = json!({ "name": "ORG_MEMBER", "resource": { "type": "ORGANIZATION" } });
        vec![role; count]
    };
    let made = json!({ "name": "one", "description": "", "roles": many(1000) });
    let made = service.ask(&admin, Method::POST, "/service-accounts", made).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let roles = format!("/roles/{}", made.body["id"].as_str().unwrap());
    // A role that can not be: it is on a cluster, and which one is not said.
    let wrong = json!({ "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER" } });
    for (method, path) in [(Method::POST, "/service-accounts"), (Method::PUT, roles.as_str())] {
        let body = |roles: Vec<Value>| match method == Method::PUT {
            true => json!({ "roles": roles }),
            false => json!({ "name": "two", "description": "", "roles": roles }),
        };
        for roles in [many(1001), vec![wrong.clone()]] {
            let refused = service.ask(&member, method.clone(), path, body(roles)).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {refused:?}");
        }
        let refused = service.ask(&admin, method.clone(), path, body(many(1001))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}: {refused:?}");
        assert_eq!(refused.body["message"], "the body has 1001 roles; 1000 are the most");
    }
}
