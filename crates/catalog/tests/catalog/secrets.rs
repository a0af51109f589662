//! No secret is in the database in the clear, or in what is printed of rows.

use strongroom_catalog::Secret;
use strongroom_catalog::users::{HashedPassword, NewUser};

use crate::support::{a_cluster, a_location, seconds};

on_both! {
    async fn no_secret_is_stored_or_debugged(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await;
        let location = test.location("here").await;
        let password = HashedPassword::of(Secret::new("hush-password")).await.unwrap();
        let new = NewUser {
            email: "ann@example.com".into(),
            name: "Ann".into(),
            password: Some(password),
        };
        let mut write = catalog.begin().await.unwrap();
        let user = write.create_user(&new).await.unwrap();
        write.commit().await.unwrap();
        let shown = Secret::new("hush-password");
        let proven = catalog.check_password("ann@example.com", shown).await.unwrap().unwrap();
        let mut write = catalog.begin().await.unwrap();
        let lifetime =
            strongroom_catalog::sessions::Lifetime { total: seconds(60), idle: seconds(60) };
        let (token, session) = write.start_session(&proven, lifetime, None, None).await.unwrap().unwrap();
        let account = write.create_service_account("x", "", None).await.unwrap();
        let (key, secret) = write.create_api_key(account.id, "x").await.unwrap();
        write.commit().await.unwrap();

        let printed = format!(
            "{catalog:?} {:?} {:?} {cluster:?} {location:?} {new:?} {user:?} {token:?} {session:?} \
             {proven:?} {account:?} {key:?} {secret:?} {:?} {:?} {:?}",
            a_cluster("x"),
            a_location("x"),
            catalog.connection(cluster.id).await.unwrap(),
            catalog.location_secrets(location.id).await.unwrap(),
            test.address,
        );
        let random = [token.expose(), secret.expose().rsplit_once('_').unwrap().1];
        for needle in ["hush", "argon2"].into_iter().chain(random) {
            assert!(!printed.contains(needle), "{needle} in {printed}");
        }

        // Everything that the database has, as bytes.
        catalog.close().await;
        let stored = match &test.server {
            None => {
                let mut stored = Vec::new();
                for file in std::fs::read_dir(test.folder.path()).unwrap() {
                    let path = file.unwrap().path();
                    if path != test.key_file {
                        stored.extend(std::fs::read(path).unwrap());
                    }
                }
                stored
            }
            Some(server) => {
                let strongroom_catalog::Address::Postgres(url) = &test.address else {
                    panic!("a PostgreSQL catalog")
                };
                let database = url.expose().rsplit_once('/').unwrap().1;
                let dump = server.client("pg_dump", database).output().unwrap();
                assert!(dump.status.success());
                dump.stdout
            }
        };
        let key_file = std::fs::read_to_string(&test.key_file).unwrap();
        let contains = |needle: &str| {
            let hex: String = needle.bytes().map(|byte| format!("{byte:02x}")).collect();
            [needle, &hex]
                .iter()
                .any(|needle| stored.windows(needle.len()).any(|bytes| bytes == needle.as_bytes()))
        };
        assert!(contains("ann@example.com"), "the test reads what was written");
        for needle in ["hush", key_file.trim()].into_iter().chain(random) {
            assert!(!contains(needle), "{needle} is stored");
        }
    }
}
