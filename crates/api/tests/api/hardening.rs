//! Requests that nobody should send: each is answered in our form, and none brings the service down.

use reqwest::header::{ALLOW, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strongroom_controlplane::model::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, TestService, answer};

/// Whether a refusal has the form that all have.
fn assert_form(refused: &Answer) {
    assert!(refused.body["code"].is_i64(), "{refused:?}");
    assert!(refused.body["message"].is_string(), "{refused:?}");
    let details = refused.body["details"].as_array().unwrap();
    let request = details.iter().find(|detail| detail["@type"] == "strongroom/request").unwrap();
    assert_eq!(request["request_id"], refused.headers["x-request-id"].to_str().unwrap());
    assert_eq!(refused.headers[CONTENT_TYPE], "application/json", "{refused:?}");
    assert_eq!(refused.headers["x-content-type-options"], "nosniff", "{refused:?}");
}

#[tokio::test]
async fn what_can_not_be_read_is_refused_in_our_form() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let bodies: [(&[u8], u16); 10] = [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b" [\"a name\"]", 400),
        (b"{\"name\": 5}", 400),
        (b"{\"name\": \"a\", \"name\": \"b\"}", 400),
        (b"{\"name\": \"a\", \"nome\": \"b\"}", 400),
        (b"{\"name\": \"\xff\xfe\"}", 400),
        (b"{\"name\": \"a\\u0000b\"}", 400),
        (b"{\"name\": \"a\\\\u0000b\"}", 200),
    ];
    for (body, status) in bodies {
        let request = service.request(Method::PATCH, "/organization").bearer_auth(&key);
        let refused =
            answer(request.header(CONTENT_TYPE, "application/json").body(body.to_vec())).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(refused.status.as_u16(), status, "{shown}: {refused:?}");
        if status != 200 {
            assert_form(&refused);
        }
    }
    let large = json!({ "name": "x".repeat(2 << 20) });
    let large = service.ask(&key, Method::PATCH, "/organization", large).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE, "{large:?}");
    assert_form(&large);
    let form = service.request(Method::PATCH, "/organization").bearer_auth(&key);
    let form = answer(form.header(CONTENT_TYPE, "text/plain").body("name=x")).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form:?}");
    assert_form(&form);
    let charset = service.request(Method::PATCH, "/organization").bearer_auth(&key);
    let charset =
        charset.header(CONTENT_TYPE, "application/json; charset=utf-8").body("{\"name\":\"n\"}");
    assert_eq!(answer(charset).await.status, StatusCode::OK);
}

#[tokio::test]
async fn strange_addresses_are_refused_in_our_form() {
    let service = TestService::start().await;
    let key = service.key(&[Role::OrgAdmin]).await;
    let token = "ab".repeat(10_000);
    for (path, status) in [
        ("/nothing".to_owned(), 404),
        ("/organization/".to_owned(), 404),
        ("/users/not-a-uuid".to_owned(), 400),
        ("/users/%00".to_owned(), 400),
        ("/users/%ff%fe".to_owned(), 400),
        ("/users/0192F0C1-2345-7ABC-8DEF-0123456789AB".to_owned(), 404),
        ("/users?pagination.limit=0".to_owned(), 400),
        ("/users?pagination.limit=1001".to_owned(), 400),
        ("/users?pagination.limit=99999999999999999999".to_owned(), 400),
        ("/users?pagination.page=%00".to_owned(), 400),
        ("/users?pagination.page=zz".to_owned(), 400),
        (format!("/users?pagination.page={token}"), 400),
        ("/users?pagination.as_of_time=yesterday".to_owned(), 400),
        ("/users?pagination.as_of_time=-009999-01-03T00:00:00Z".to_owned(), 200),
        ("/users?pagination.as_of_time=9999-12-30T22:00:00Z".to_owned(), 200),
        ("/users?pagination.sort_order=UP".to_owned(), 400),
        ("/users?unknown=1".to_owned(), 200),
        ("/auditlogevents?starting_from=9999-12-30T22:00:00.999999999Z".to_owned(), 200),
        ("/api-keys/srk_0123456789abcdef".to_owned(), 404),
        ("/api-keys/srk_".to_owned(), 400),
    ] {
        let answered = service.get(&key, &path).await;
        let shown: String = path.chars().take(60).collect();
        assert_eq!(answered.status.as_u16(), status, "{shown}: {answered:?}");
        if status != 200 {
            assert_form(&answered);
        }
    }
    let wrong = service.ask(&key, Method::PUT, "/organization", json!({})).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED, "{wrong:?}");
    let allowed = wrong.headers[ALLOW].to_str().unwrap();
    assert!(allowed.contains("GET") && allowed.contains("PATCH"), "{allowed}");
    assert_form(&wrong);
}

#[tokio::test]
async fn credentials_that_can_not_be_read_are_nobody() {
    let service = TestService::start().await;
    let long = format!("Bearer {}", "x".repeat(10_000));
    for header in
        ["Basic YTpi", "Bearer", "Bearer ", "Bearer srk_", "Bearer a_b_c", "bearer", &long]
    {
        let request = service.request(Method::GET, "/organization").header("authorization", header);
        let refused = answer(request).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
        assert_form(&refused);
        assert!(!refused.body.to_string().contains("xxxx"), "a credential is not repeated");
    }
    for cookie in ["strongroom_session=", "strongroom_session=x", "a=b; strongroom_session=%00"] {
        let request = service.request(Method::GET, "/organization").header("cookie", cookie);
        assert_eq!(answer(request).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn versions_are_the_originals() {
    let service = TestService::start().await;
    let key = service.key(&[]).await;
    for (version, status) in [
        ("2026-09-15", 200),
        ("2024-09-16", 200),
        ("2022-03-31", 200),
        ("latest", 400),
        ("", 400),
        ("2020-01-01", 400),
    ] {
        let request = service.request(Method::GET, "/organization").bearer_auth(&key);
        let answered = answer(request.header("cc-version", version)).await;
        assert_eq!(answered.status.as_u16(), status, "{version}: {answered:?}");
        if status == 400 {
            assert_eq!(answered.body["message"], "invalid Cc-Version.");
        }
    }
}

#[tokio::test]
async fn a_request_keeps_its_id_if_a_log_can_bear_it() {
    let service = TestService::start().await;
    let long = "x".repeat(65);
    for (sent, kept) in
        [("abc-1_2", true), ("a b", false), ("a\tb", false), (&long, false), ("", false)]
    {
        let request = service.request(Method::GET, "/organization").header("x-request-id", sent);
        let refused = answer(request).await;
        let id = refused.headers["x-request-id"].to_str().unwrap();
        assert_eq!(id == sent, kept, "{sent}: {id}");
        assert_form(&refused);
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_end_the_connection_and_nothing_else() {
    let service = TestService::start().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET / HTTP/9.9\r\n\r\n", &[b'A'; 100_000]]
    {
        let mut socket = tokio::net::TcpStream::connect(service.address).await.unwrap();
        // It may be closed before everything was sent.
        socket.write_all(bytes).await.ok();
        socket.shutdown().await.ok();
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).await.ok();
    }
    let health = service.client.get(format!("http://{}/healthz", service.address));
    assert_eq!(answer(health).await.body, Value::String("ok\n".to_owned()));
}
