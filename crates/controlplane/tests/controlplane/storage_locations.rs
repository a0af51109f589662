//! Storage locations stay where their backups are, and keep the keys that they were given last.

use std::fs;
use std::time::Duration;

use strongroom_catalog::Secret;
use strongroom_catalog::clusters::Plan;
use strongroom_catalog::storage_locations::LocationSecrets;
use strongroom_controlplane::app::storage_locations::{LocationChange, LocationRequest};
use strongroom_controlplane::{Caller, Kind, Scheduler};
use strongroom_testkit::S3Server;

use crate::support::{Service, block_on, clock, files, source};

fn operator() -> Caller {
    Caller::system("a test")
}

fn url(url: impl Into<String>) -> LocationChange {
    LocationChange { url: Some(Secret::new(url)), ..LocationChange::default() }
}

#[test]
fn a_bucket_of_the_same_name_at_another_endpoint_is_another_place() {
    let (old, new) = (S3Server::start(), S3Server::start());
    let server = source();
    block_on(async {
        let mut service = Service::start(clock("2024-02-10T05:00:00Z"), |_| {}).await;
        let request = LocationRequest {
            name: "bucket".to_owned(),
            region: "eu-west-1".to_owned(),
            url: Secret::new(old.url("x")),
            passphrase: None,
        };
        let made = service.app.create_storage_location(&operator(), request).await.unwrap();
        assert_eq!(made.url_shown, format!("s3://backups/x?AWS_ENDPOINT={}", old.endpoint()));
        service.location = made.clone();
        let app = service.app.clone();
        // Nothing lies there: it may move.
        for url in [url(new.url("x")), url(old.url("x"))] {
            app.change_storage_location(&operator(), made.id, url).await.unwrap();
        }
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Dedicated, 60, 30).await;
        Scheduler::new(app.clone()).tick().await.unwrap();
        service.work().await;
        let [backup] = &service.listed(cluster.id).await[..] else { panic!("one backup") };

        let shown = format!("s3://backups/x?AWS_ENDPOINT={}", new.endpoint());
        let refused = app.change_storage_location(&operator(), made.id, url(new.url("x"))).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), Kind::Precondition);
        let expected = format!(
            "the place of storage location bucket can not be changed: its newest backup, {} of \
             cluster {}, is not in {shown}",
            backup.engine_id, cluster.id
        );
        assert_eq!(refused.message(), expected);
        let adopt = async |url: String| {
            app.adopt_location(&operator(), "other", "local", Secret::new(url), None).await.unwrap()
        };
        let other = adopt(new.url("x")).await;
        assert_ne!(other.id, made.id, "it is not taken for the one that is known");
        app.delete_storage_location(&operator(), other.id).await.unwrap();
        // The same place is the known one, and is opened with what was given last.
        let with_keys = format!("{}&AUTH=specified", old.url("x"));
        assert_eq!(adopt(with_keys.clone()).await.id, made.id);
        let secrets = app.catalog().location_secrets(made.id).await.unwrap();
        assert_eq!(secrets.url.expose(), with_keys);

        // Somebody has moved the bucket.
        for name in files(&old.bucket_dir()) {
            let to = new.bucket_dir().join(&name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(old.bucket_dir().join(&name), to).unwrap();
        }
        let moved = app.change_storage_location(&operator(), made.id, url(new.url("x"))).await;
        assert_eq!(moved.unwrap().url_shown, shown);
        drop(old);
        let contents = app.backup_contents(&operator(), cluster.id, backup.id).await.unwrap();
        assert!(contents.databases.iter().any(|database| database.name == "shop"));
    });
}

#[test]
fn a_folder_moves_only_with_its_backups() {
    let server = source();
    block_on(async {
        let service = Service::start(clock("2024-02-10T05:00:00Z"), |_| {}).await;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Dedicated, 60, 30).await;
        Scheduler::new(service.app.clone()).tick().await.unwrap();
        service.work().await;
        let (app, id) = (&service.app, service.location.id);
        let (from, to) = (service.folder.path().join("storage"), service.folder.path().join("new"));
        let there = format!("file://{}", to.display());
        let refused = app.change_storage_location(&operator(), id, url(&there)).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Precondition);
        assert!(!to.exists(), "what is refused makes no folder");
        fs::rename(from, to).unwrap();
        // The next backup has begun to wait: it would look for the old place.
        let waiting = app.back_up_now(&operator(), cluster.id, None).await.unwrap();
        let refused = app.change_storage_location(&operator(), id, url(&there)).await.unwrap_err();
        assert!(refused.message().contains("1 jobs work in it"), "{}", refused.message());
        app.cancel_job(&operator(), waiting.id).await.unwrap();
        let moved = app.change_storage_location(&operator(), id, url(&there)).await.unwrap();
        assert_eq!(moved.url_shown, there);
        let passphrase = Some(Secret::new("correct horse battery staple"));
        let change = LocationChange { passphrase, ..LocationChange::default() };
        let refused = app.change_storage_location(&operator(), id, change).await.unwrap_err();
        assert!(refused.message().starts_with("the passphrase of storage location here can not"));
    });
}

#[test]
fn a_name_is_changed_beside_new_keys() {
    block_on(async {
        let service = Service::start(clock("2024-02-10T05:00:00Z"), |_| {}).await;
        let (catalog, id) = (service.catalog(), service.location.id);
        let old = catalog.location_secrets(id).await.unwrap();
        let new = LocationSecrets {
            url: Secret::new(format!("{}/", old.url.expose())),
            encryption: Some(Secret::new("08".repeat(32))),
        };
        // The keys are about to be changed when somebody asks for another name.
        let mut write = catalog.begin().await.unwrap();
        let app = service.app.clone();
        let renaming = tokio::spawn(async move {
            let name = Some("there".to_owned());
            let change = LocationChange { name, ..LocationChange::default() };
            app.change_storage_location(&operator(), id, change).await
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        write.set_location_secrets(id, &new, "file:///shown").await.unwrap();
        write.commit().await.unwrap();
        let renamed = renaming.await.unwrap().unwrap();
        assert_eq!((renamed.name.as_str(), renamed.url_shown.as_str()), ("there", "file:///shown"));
        let kept = catalog.location_secrets(id).await.unwrap();
        assert_eq!((kept.url, kept.encryption), (new.url, new.encryption));
    });
}
