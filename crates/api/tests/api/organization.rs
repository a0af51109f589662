//! The organization: everybody may see it, administrators change it.

use reqwest::{Method, StatusCode};
use serde_json::json;
use strongroom_controlplane::model::Role;

use crate::support::TestService;

#[tokio::test]
async fn an_administrator_gives_it_a_name() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let body = json!({ "name": "Moving Right Along" });
    let renamed = service.ask(&key, Method::PATCH, "/organization", body).await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    let seen = service.get(&key, "/organization").await;
    assert_eq!(seen.body["name"], "Moving Right Along");
    assert_eq!(seen.body, renamed.body);
}

#[tokio::test]
async fn a_name_is_taken_as_it_is_given_or_not_at_all() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    for name in [" Ours", "Ours ", "\u{a0}Ours", "Ours\t"] {
        let body = json!({ "name": name });
        let refused = service.ask(&key, Method::PATCH, "/organization", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        let said = refused.body["message"].as_str().unwrap();
        assert!(said.ends_with("can not be used: it begins or ends with space"), "{said}");
        let url = "postgresql://127.0.0.1:1/x";
        let body =
            json!({ "name": name, "spec": { "plan": "BASIC" }, "strongroom": { "url": url } });
        let refused = service.ask(&key, Method::POST, "/clusters", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().starts_with("the name of the cluster"));
    }
    assert_eq!(service.get(&key, "/organization").await.body["name"], "My organization");
}

#[tokio::test]
async fn others_do_not() {
    let service = TestService::start().await;
    let body = json!({ "name": "Mine" });
    let stranger = service.ask("", Method::PATCH, "/organization", body.clone()).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{stranger:?}");
    let key = service.key(&[Role::OrgMember, Role::ClusterAdmin]).await;
    let member = service.ask(&key, Method::PATCH, "/organization", body).await;
    assert_eq!(member.status, StatusCode::FORBIDDEN, "{member:?}");
    assert_eq!(member.body["code"], 7);
    assert_eq!(service.get(&key, "/organization").await.body["name"], "My organization");
}
