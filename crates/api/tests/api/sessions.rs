//! Signing in, and what holds while somebody is.

use jiff::SignedDuration;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::{EventFilter, Page, Role, Secret};

use crate::support::{Answer, TestService, answer};

const PASSWORD: &str = "correct horse battery";

/// A service with a founder, and somebody at a browser.
pub(crate) async fn with_founder() -> TestService {
    let service = TestService::start().await;
    let password = Secret::new(PASSWORD);
    service.app.ensure_administrator("Ann@Example.org", password).await.unwrap().unwrap();
    service
}

async fn sign_in(service: &TestService, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    answer(service.request(Method::POST, "/session").json(&body)).await
}

/// The cookie of somebody who signs in.
pub(crate) async fn cookie(service: &TestService, email: &str, password: &str) -> String {
    let signed_in = sign_in(service, email, password).await;
    assert_eq!(signed_in.status, StatusCode::OK, "{signed_in:?}");
    let cookie = signed_in.headers[SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Asks by a session, as the console does.
pub(crate) async fn by_session(
    service: &TestService,
    cookie: &str,
    method: Method,
    path: &str,
    body: Value,
) -> Answer {
    let request = service.request(method, path).header(COOKIE, cookie);
    let request = request.header("x-strongroom-request", "1");
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

#[tokio::test]
async fn the_founder_signs_in_and_out() {
    let service = with_founder().await;
    let signed_in = sign_in(&service, " ann@example.ORG", PASSWORD).await;
    assert_eq!(signed_in.status, StatusCode::OK, "{signed_in:?}");
    let cookie = signed_in.headers[SET_COOKIE].to_str().unwrap();
    for part in ["strongroom_session=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=86400"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "there is no TLS here: {cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let session = by_session(&service, cookie, Method::GET, "/session", Value::Null).await;
    assert_eq!(session.body, signed_in.body);
    assert_eq!(session.body["user"]["email"], "ann@example.org");
    assert_eq!(session.body["service_account"], Value::Null);
    let roles: Vec<_> =
        session.body["roles"].as_array().unwrap().iter().map(|role| &role["name"]).collect();
    assert_eq!(
        roles,
        ["BILLING_COORDINATOR", "CLUSTER_ADMIN", "FOLDER_ADMIN", "ORG_ADMIN", "ORG_MEMBER"]
    );
    let actions = session.body["actions"].as_array().unwrap();
    assert!(actions.iter().all(|action| action["allowed"] == true), "{actions:?}");

    let out = by_session(&service, cookie, Method::DELETE, "/session", Value::Null).await;
    assert_eq!((out.status, &out.body), (StatusCode::OK, &json!({})));
    assert!(out.headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let after = by_session(&service, cookie, Method::GET, "/session", Value::Null).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED, "{after:?}");
}

#[tokio::test]
async fn behind_tls_the_cookie_never_goes_without() {
    let service = with_founder().await;
    let body = json!({ "email": "ann@example.org", "password": PASSWORD });
    let request = service.request(Method::POST, "/session").header("x-forwarded-proto", "https");
    let signed_in = answer(request.json(&body)).await;
    assert!(signed_in.headers[SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn another_site_can_not_use_a_session() {
    let service = with_founder().await;
    let cookie = cookie(&service, "ann@example.org", PASSWORD).await;
    let body = json!({ "name": "Mine" });
    let request = service.request(Method::PATCH, "/organization").header(COOKIE, &cookie);
    let refused = answer(request.json(&body)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    let done = by_session(&service, &cookie, Method::PATCH, "/organization", body).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let service = with_founder().await;
    let ask = async |cookie: &str| {
        by_session(&service, cookie, Method::GET, "/session", Value::Null).await.status
    };
    let idle = cookie(&service, "ann@example.org", PASSWORD).await;
    service.clock.advance(SignedDuration::from_mins(119));
    assert_eq!(ask(&idle).await, StatusCode::OK);
    service.clock.advance(SignedDuration::from_mins(121));
    assert_eq!(ask(&idle).await, StatusCode::UNAUTHORIZED, "after two idle hours");

    let busy = cookie(&service, "ann@example.org", PASSWORD).await;
    for _ in 0..23 {
        service.clock.advance(SignedDuration::from_hours(1));
        assert_eq!(ask(&busy).await, StatusCode::OK);
    }
    service.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(ask(&busy).await, StatusCode::UNAUTHORIZED, "after a day");
}

#[tokio::test]
async fn nobody_is_told_what_was_wrong() {
    let service = with_founder().await;
    let wrong = sign_in(&service, "ann@example.org", "wrong").await;
    let unknown = sign_in(&service, "bob@example.org", PASSWORD).await;
    let no_address = sign_in(&service, "hunter2-in-the-wrong-field", "x").await;
    for refused in [&wrong, &unknown, &no_address] {
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.body["message"], "the e-mail address or the password is wrong");
        assert!(refused.headers.get(SET_COOKIE).is_none());
    }
    let page = Page::first(10);
    let events = service.app.catalog().audit_events(&EventFilter::default(), &page).await.unwrap();
    let told: Vec<_> = events
        .items
        .iter()
        .filter(|event| event.event.action == "USER_LOGIN")
        .map(|event| (event.event.actor.name.as_str(), event.event.outcome.name()))
        .collect();
    assert_eq!(
        told,
        [
            ("(not an e-mail address)", "REFUSED"),
            ("bob@example.org", "REFUSED"),
            ("ann@example.org", "REFUSED"),
        ]
    );
    assert!(events.items[0].event.address.as_deref() == Some("127.0.0.1"));
}

#[tokio::test]
async fn guessing_ends_after_five_attempts_whatever_the_sixth_is() {
    let service = with_founder().await;
    for _ in 0..5 {
        let wrong = sign_in(&service, "ann@example.org", "wrong").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    }
    let right = sign_in(&service, "ann@example.org", PASSWORD).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "{right:?}");
    assert_eq!(right.body["message"], "rate limit exceeded");
    assert_eq!(right.body["code"], 8);
    assert_eq!(right.headers["retry-after"], "900");
    service.clock.advance(SignedDuration::from_mins(15));
    let right = sign_in(&service, "ann@example.org", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{right:?}");
}

#[tokio::test]
async fn behind_a_proxy_the_client_is_who_the_proxy_says() {
    let password = Secret::new(PASSWORD);
    let service = TestService::start_with(|config| config.behind_proxy = true).await;
    service.app.ensure_administrator("ann@example.org", password).await.unwrap().unwrap();
    let attempt = async |number: u32, forwarded: &str| {
        let body = json!({ "email": format!("{number}@example.org"), "password": "wrong" });
        let request = service.request(Method::POST, "/session").json(&body);
        answer(request.header("x-forwarded-for", forwarded)).await.status
    };
    for number in 0..5 {
        // What stands before the last address is what the client would like to be.
        let forwarded = format!("10.9.9.{number}, 192.0.2.1");
        assert_eq!(attempt(number, &forwarded).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(attempt(5, "192.0.2.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt(6, "192.0.2.2").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_program_is_told_what_it_may_do() {
    let service = TestService::start().await;
    let key = service.key(&[Role::ClusterCreator]).await;
    let session = service.get(&key, "/session").await;
    assert_eq!(session.status, StatusCode::OK, "{session:?}");
    assert_eq!(session.body["user"], Value::Null);
    assert_eq!(session.body["service_account"]["name"], "test");
    assert_eq!(session.body["expires_at"], Value::Null);
    let role = json!({ "name": "CLUSTER_CREATOR", "resource": { "type": "ORGANIZATION" } });
    assert_eq!(session.body["roles"], json!([role]));
    let actions = session.body["actions"].as_array().unwrap();
    let action = |name| actions.iter().find(|action| action["name"] == name).unwrap();
    assert_eq!(
        action("create_cluster"),
        &json!({ "name": "create_cluster", "allowed": true, "reason": null })
    );
    assert_eq!(action("manage_users")["allowed"], false);
    assert!(action("manage_users")["reason"].as_str().unwrap().contains("Org Administrator"));
    let ended = service.ask(&key, Method::DELETE, "/session", Value::Null).await;
    assert_eq!(ended.status, StatusCode::BAD_REQUEST, "{ended:?}");
}
