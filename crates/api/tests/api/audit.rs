//! The audit log: complete, in both directions, without secrets.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::Role;

use crate::support::TestService;

#[tokio::test]
async fn every_change_is_in_it_and_no_secret() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let secret = "a very secret password";
    let user = json!({ "email": "bob@example.org", "name": "Bob", "password": secret });
    let user = service.ask(&key, Method::POST, "/users", user).await.body["id"].clone();
    let user = user.as_str().unwrap();
    let account = json!({ "name": "ci", "description": "", "roles": [] });
    let account =
        service.ask(&key, Method::POST, "/service-accounts", account).await.body["id"].clone();
    let account = account.as_str().unwrap();
    let api_key = json!({ "name": "k", "service_account_id": account });
    let made = service.ask(&key, Method::POST, "/api-keys", api_key).await;
    let (api_key, key_secret) =
        (made.body["api_key"]["id"].as_str().unwrap(), made.body["secret"].as_str().unwrap());
    let steps = [
        (
            Method::PATCH,
            "/organization".to_owned(),
            json!({ "name": "X" }),
            "UPDATE_ORGANIZATION_NAME",
        ),
        (Method::PATCH, format!("/users/{user}"), json!({ "name": "B" }), "UPDATE_USER"),
        (
            Method::PUT,
            format!("/users/{user}/password"),
            json!({ "password": secret }),
            "SET_USER_PASSWORD",
        ),
        (
            Method::POST,
            format!("/roles/{user}/ORGANIZATION//ORG_ADMIN"),
            Value::Null,
            "ADD_USER_TO_ROLE",
        ),
        (Method::PUT, format!("/roles/{account}"), json!({ "roles": [] }), "ASSIGN_USER_ROLE"),
        (Method::PATCH, format!("/api-keys/{api_key}"), json!({ "name": "n" }), "UPDATE_API_KEY"),
        (Method::DELETE, format!("/api-keys/{api_key}"), Value::Null, "DELETE_API_KEY"),
        (
            Method::PATCH,
            format!("/service-accounts/{account}"),
            json!({ "name": "n" }),
            "UPDATE_SERVICE_ACCOUNT",
        ),
        (
            Method::DELETE,
            format!("/service-accounts/{account}"),
            Value::Null,
            "DELETE_SERVICE_ACCOUNT",
        ),
    ];
    let mut expected = vec!["CREATE_USER", "CREATE_SERVICE_ACCOUNT", "CREATE_API_KEY"];
    for (method, path, body, action) in steps {
        let done = service.ask(&key, method, &path, body).await;
        assert_eq!(done.status, StatusCode::OK, "{path}: {done:?}");
        expected.push(action);
    }
    let log = service.get(&key, "/auditlogevents").await;
    let entries = log.body["entries"].as_array().unwrap();
    // The first start has made things, too.
    let asked_for = |entry: &&Value| entry["source"] != "AUDIT_LOG_SOURCE_INTERNAL";
    let entries: Vec<&Value> = entries.iter().filter(asked_for).collect();
    let actions: Vec<_> = entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().strip_prefix("AUDIT_LOG_ACTION_").unwrap())
        .collect();
    assert_eq!(actions, expected);
    for entry in entries {
        assert_eq!(entry["service_account_name"], "test");
        assert_eq!(entry["source"], "AUDIT_LOG_SOURCE_CC_API");
        assert_eq!(entry["metadata"]["ip_address"], "127.0.0.1");
        assert!(entry["trace_id"].is_string(), "{entry}");
    }
    let text = log.body.to_string();
    assert!(!text.contains(secret) && !text.contains(key_secret), "{text}");
    let only = service.get(&key, "/auditlogevents?action=AUDIT_LOG_ACTION_CREATE_USER").await;
    assert_eq!(only.body["entries"].as_array().unwrap().len(), 1, "{only:?}");
}

#[tokio::test]
async fn what_a_clock_far_ahead_has_recorded_puts_nobody_off() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let now = service.app.now();
    for (name, clock) in [("ahead", now + SignedDuration::from_hours(24)), ("right", now)] {
        service.clock.set(clock);
        service.ask(&key, Method::PATCH, "/organization", json!({ "name": name })).await;
    }
    let path = "/auditlogevents?action=UPDATE_ORGANIZATION_NAME";
    let read = service.get(&key, path).await;
    assert_eq!(read.body["entries"].as_array().unwrap().len(), 1, "{read:?}");
    assert_eq!(read.body["entries"][0]["strongroom"]["details"]["name"], "right");
    // Its time comes.
    let next = read.body["next_starting_from"].as_str().unwrap();
    service.clock.set(now + SignedDuration::from_hours(24));
    let read = service.get(&key, &format!("{path}&starting_from={next}")).await;
    assert_eq!(read.body["entries"][0]["strongroom"]["details"]["name"], "ahead", "{read:?}");
}

#[tokio::test]
async fn it_is_read_from_any_moment_in_both_directions() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    // Seven events at four moments.
    for (moment, events) in [1, 3, 2, 1].into_iter().enumerate() {
        service.clock.advance(SignedDuration::from_secs(1));
        for event in 0..events {
            let body = json!({ "name": format!("{moment}.{event}") });
            service.ask(&key, Method::PATCH, "/organization", body).await;
        }
    }
    let read = async |order: &str| {
        let mut names = Vec::new();
        let mut from = String::new();
        for _ in 0..10 {
            let path = format!(
                "/auditlogevents?action=UPDATE_ORGANIZATION_NAME&sort_order={order}&limit=2{from}"
            );
            let page = service.get(&key, &path).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            let entries = page.body["entries"].as_array().unwrap().clone();
            if entries.is_empty() {
                break;
            }
            let name =
                |entry: &Value| entry["strongroom"]["details"]["name"].as_str().unwrap().to_owned();
            names.push(entries.iter().map(name).collect::<Vec<_>>());
            match page.body["next_starting_from"].as_str() {
                Some(next) => from = format!("&starting_from={next}"),
                None => break,
            }
        }
        names
    };
    // All events of a moment come together.
    let forward = read("ASC").await;
    assert_eq!(forward.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2, 1], "{forward:?}");
    assert_eq!(forward.concat().first().unwrap(), "0.0");
    let back = read("DESC").await;
    let mut reversed = back.concat();
    reversed.reverse();
    assert_eq!(reversed.len(), 7);
    assert_eq!(back.concat().first().unwrap(), "3.0");
    let mut all = forward.concat();
    all.sort();
    reversed.sort();
    assert_eq!(all, reversed);
}
