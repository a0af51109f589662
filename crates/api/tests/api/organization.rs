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
