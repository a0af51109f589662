//! Backup settings: what can be set, once or often, and what a plan fixes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::{ClusterId, EventFilter, Page, Role};
use strongroom_testkit::Cluster;

use crate::support::{Answer, TestService};

/// A cluster on this plan, by the path of its settings.
async fn attached(service: &TestService, key: &str, server: &Cluster, plan: &str) -> String {
    let body = json!({ "name": plan, "spec": {},
        "strongroom": { "url": server.url("postgres"), "plan": plan } });
    let made = service.ask(key, Method::POST, "/clusters", body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    format!("/clusters/{}/backups-config", made.body["id"].as_str().unwrap())
}

async fn patch(service: &TestService, key: &str, path: &str, body: Value) -> Answer {
    service.ask(key, Method::PATCH, path, body).await
}

fn values(answer: &Answer) -> (&Value, &Value, &Value) {
    let body = &answer.body;
    (&body["enabled"], &body["frequency_minutes"], &body["retention_days"])
}

#[tokio::test]
async fn they_are_changed_by_the_rules_and_every_change_is_told() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let path = attached(&service, &key, &server, "DEDICATED").await;
    let id: ClusterId = path.split('/').nth(2).unwrap().parse().unwrap();
    let first = service.get(&key, &path).await;
    assert_eq!(
        first.body,
        json!({
            "enabled": true, "frequency_minutes": 60, "retention_days": 30,
            "strongroom": {
                "retention_can_be_set": true, "drill_every_days": 0,
                "allowed_frequencies": [5, 10, 15, 30, 60, 240, 1440],
                "allowed_retentions": [2, 7, 30, 90, 365],
            },
        })
    );
    for (body, message) in [
        (json!({ "frequency_minutes": 7 }), "it can be 5, 10, 15, 30, 60, 240, 1440"),
        (json!({ "retention_days": 8 }), "it can be 2, 7, 30, 90, 365"),
        (json!({ "enabled": false, "frequency_minutes": 5 }), "disables backups can not set"),
        (json!({ "enabled": false, "retention_days": 30 }), "disables backups can not set"),
        (json!({ "retention": 30 }), "unknown field `retention`"),
        (json!({ "enabled": "yes" }), "invalid type"),
        (json!({ "strongroom": { "drill_every_days": 366 } }), "from 0 (never) to 365"),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let refused = service.ask(&key, method, &path, body.clone()).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {refused:?}");
            assert!(refused.body["message"].as_str().unwrap().contains(message), "{refused:?}");
        }
    }
    let generation = async || service.app.catalog().backup_settings(id).await.unwrap().generation;
    assert_eq!(generation().await, 1, "what is refused changes nothing");

    let frequent = patch(&service, &key, &path, json!({ "frequency_minutes": 5 })).await;
    assert_eq!(values(&frequent), (&json!(true), &json!(5), &json!(30)));
    assert_eq!(generation().await, 2, "a full backup follows");
    let body = json!({ "frequency_minutes": 5 });
    assert_eq!(patch(&service, &key, &path, body).await.body, frequent.body);
    assert_eq!(generation().await, 2, "the same again is no change");
    let off = service.ask(&key, Method::PUT, &path, json!({ "enabled": false })).await;
    assert_eq!(values(&off), (&json!(false), &json!(5), &json!(30)));

    // Once, also while disabled; and then never again.
    let kept = patch(&service, &key, &path, json!({ "retention_days": 7 })).await;
    assert_eq!(values(&kept), (&json!(false), &json!(5), &json!(7)));
    assert_eq!(kept.body["strongroom"]["retention_can_be_set"], false);
    assert_eq!(kept.body["strongroom"]["allowed_retentions"], json!([7]));
    let again = patch(&service, &key, &path, json!({ "retention_days": 30 })).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::BAD_REQUEST, &json!(9)));
    assert_eq!(
        again.body["message"],
        "cluster already has a retention policy set, open a support ticket to change it"
    );
    let body = json!({ "enabled": true, "frequency_minutes": 240, "retention_days": 7 });
    let on = patch(&service, &key, &path, body).await;
    assert_eq!(values(&on), (&json!(true), &json!(240), &json!(7)), "the same is no change");

    let before = generation().await;
    let drills = json!({ "strongroom": { "drill_every_days": 7 } });
    let drills = patch(&service, &key, &path, drills).await;
    assert_eq!(drills.body["strongroom"]["drill_every_days"], 7);
    assert_eq!(generation().await, before, "no full backup for that");

    let filter =
        EventFilter { actions: vec!["BACKUP_SETTINGS_CHANGED".into()], ..EventFilter::default() };
    let events = service.app.catalog().audit_events(&filter, &Page::default()).await.unwrap().items;
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[4].event.details["old"]["frequency_minutes"], 60);
    assert_eq!(events[4].event.details["new"]["frequency_minutes"], 5);
}

#[tokio::test]
async fn a_basic_cluster_has_fixed_ones() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let path = attached(&service, &key, &server, "BASIC").await;
    let first = service.get(&key, &path).await;
    assert_eq!(values(&first), (&json!(true), &json!(1440), &json!(30)));
    assert_eq!(first.body["strongroom"]["allowed_frequencies"], json!([1440]));
    for body in [json!({ "frequency_minutes": 60 }), json!({ "retention_days": 90 })] {
        let refused = patch(&service, &key, &path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains("for plan BASIC"));
    }
    let same = json!({ "frequency_minutes": 1440, "retention_days": 30 });
    assert_eq!(patch(&service, &key, &path, same).await.status, StatusCode::OK);

    // As another plan it may; when it comes back, new backups are kept for the time of this one.
    let cluster = path.trim_end_matches("/backups-config");
    let plan = |plan: &str| json!({ "strongroom": { "plan": plan } });
    patch(&service, &key, cluster, plan("STANDARD")).await;
    let often =
        patch(&service, &key, &path, json!({ "frequency_minutes": 5, "retention_days": 90 })).await;
    assert_eq!(values(&often), (&json!(true), &json!(5), &json!(90)), "{often:?}");
    patch(&service, &key, cluster, plan("BASIC")).await;
    let back = service.get(&key, &path).await;
    assert_eq!(values(&back), (&json!(true), &json!(1440), &json!(30)));
    assert_eq!(back.body["strongroom"]["allowed_retentions"], json!([30]));
    let same = json!({ "frequency_minutes": 1440, "retention_days": 30 });
    assert_eq!(patch(&service, &key, &path, same).await.body, back.body);
    let other = patch(&service, &key, &path, json!({ "retention_days": 90 })).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST, "{other:?}");
    // What was set for the other plan is still set for it.
    patch(&service, &key, cluster, plan("STANDARD")).await;
    let again = service.get(&key, &path).await;
    assert_eq!(values(&again), (&json!(true), &json!(1440), &json!(90)));
}

#[tokio::test]
async fn operators_change_them_and_developers_do_not() {
    let server = Cluster::start();
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let path = attached(&service, &key, &server, "STANDARD").await;
    let body = json!({ "frequency_minutes": 30 });
    for (role, status) in [
        (Role::ClusterOperatorWriter, StatusCode::OK),
        (Role::ClusterAdmin, StatusCode::OK),
        (Role::ClusterDeveloper, StatusCode::FORBIDDEN),
        (Role::ClusterMonitor, StatusCode::FORBIDDEN),
        (Role::OrgMember, StatusCode::NOT_FOUND),
    ] {
        let key = service.key(&[role]).await;
        let answer = patch(&service, &key, &path, body.clone()).await;
        assert_eq!(answer.status, status, "{role}: {answer:?}");
    }
}
