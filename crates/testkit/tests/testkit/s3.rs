use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
    WriteMultipart,
};
use strongroom_testkit::{Fault, S3Server};

fn store(server: &S3Server, secret: &str, retries: usize) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_bucket_name(server.bucket())
        .with_region("us-east-1")
        .with_access_key_id(server.keys().0)
        .with_secret_access_key(secret)
        .with_client_options(
            ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_millis(500)),
        )
        .with_retry(RetryConfig { max_retries: retries, ..RetryConfig::default() })
        .build()
        .unwrap()
}

fn good_store(server: &S3Server) -> AmazonS3 {
    store(server, server.keys().1, 0)
}

async fn put(store: &AmazonS3, key: &str, text: &'static str) -> object_store::Result<()> {
    store.put(&Path::from(key), PutPayload::from_static(text.as_bytes())).await.map(drop)
}

async fn get(store: &AmazonS3, key: &str) -> object_store::Result<String> {
    let bytes = store.get(&Path::from(key)).await?.bytes().await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn objects_are_written_listed_read_in_part_and_deleted() {
    let server = S3Server::start();
    let store = good_store(&server);
    put(&store, "a/b c/one.txt", "0123456789").await.unwrap();
    put(&store, "a/two", "").await.unwrap();
    assert_eq!(server.keys_of_objects(), ["a/b c/one.txt", "a/two"]);

    let part = store.get_range(&Path::from("a/b c/one.txt"), 2..5).await.unwrap();
    assert_eq!(part.as_ref(), b"234");
    assert_eq!((server.bytes_read("one"), server.bytes_read("two")), (3, 0));

    let listed = store.list_with_delimiter(Some(&Path::from("a"))).await.unwrap();
    assert_eq!(listed.objects.len(), 1);
    assert_eq!(listed.common_prefixes, [Path::from("a/b c")]);

    store.delete(&Path::from("a/two")).await.unwrap();
    assert!(matches!(get(&store, "a/two").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_multipart_upload_appears_whole_or_not_at_all() {
    let server = S3Server::start();
    let store = good_store(&server);
    let path = Path::from("pack");
    let mut upload = WriteMultipart::new(store.put_multipart(&path).await.unwrap());
    upload.write(&vec![7; 11 << 20]);
    upload.wait_for_capacity(0).await.unwrap();
    assert!(server.keys_of_objects().is_empty());
    upload.finish().await.unwrap();
    assert_eq!(store.head(&path).await.unwrap().size, 11 << 20);
    let parts = server.served().iter().filter(|served| served.query.contains("partNumber")).count();
    assert_eq!(parts, 3);
}

#[tokio::test]
async fn one_of_many_writers_of_an_absent_object_wins() {
    let server = S3Server::start();
    let store = good_store(&server);
    let path = Path::from("manifest");
    let writers = (0..8).map(|_| store.put_opts(&path, "x".into(), PutMode::Create.into()));
    let results = futures::future::join_all(writers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results.iter().all(|result| matches!(result, Ok(_) | Err(Error::AlreadyExists { .. })))
    );
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = S3Server::start();
    let error = put(&store(&server, "wrong", 0), "a", "b").await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert!(server.keys_of_objects().is_empty());
}

#[tokio::test]
async fn faults_hit_the_requests_they_were_made_for() {
    let server = S3Server::start();
    let store = good_store(&server);

    server.inject(Fault::status(503).on("PUT").after(1).next(1));
    put(&store, "first", "1").await.unwrap();
    put(&store, "second", "2").await.unwrap_err();
    put(&store, "third", "3").await.unwrap();
    assert_eq!(server.keys_of_objects(), ["first", "third"]);

    server.inject(Fault::status(500).key("first"));
    get(&store, "first").await.unwrap_err();
    assert_eq!(get(&store, "third").await.unwrap(), "3");
    server.heal();
    assert_eq!(get(&store, "first").await.unwrap(), "1");
    assert_eq!(server.requests("PUT"), 3);
}

#[tokio::test]
async fn a_retrying_client_gets_over_a_fault_that_ends() {
    let server = S3Server::start();
    server.inject(Fault::status(503).next(2));
    put(&store(&server, server.keys().1, 3), "a", "b").await.unwrap();
    let statuses: Vec<u16> = server.served().iter().map(|served| served.status).collect();
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn a_stalled_request_is_not_answered_until_the_server_is_healed() {
    let server = S3Server::start();
    server.inject(Fault::stall());
    let store = good_store(&server);
    let error = put(&store, "a", "b").await.unwrap_err();
    assert!(format!("{error:?}").contains("imeout"), "{error:?}");
    assert!(server.keys_of_objects().is_empty());

    let heal = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.heal();
    };
    let (result, ()) = futures::future::join(put(&store, "a", "b"), heal).await;
    result.unwrap();
}

#[tokio::test]
async fn damage_to_an_objects_file_and_a_cut_answer_are_seen() {
    let server = S3Server::start();
    let store = good_store(&server);
    put(&store, "a/b", "good").await.unwrap();
    std::fs::write(server.bucket_dir().join("a/b"), "goof").unwrap();
    assert_eq!(get(&store, "a/b").await.unwrap(), "goof");

    server.inject(Fault::cut_body().on("GET"));
    get(&store, "a/b").await.unwrap_err();
}
