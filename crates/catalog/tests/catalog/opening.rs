//! Opening: empty, again, at once, with another key, by an older program.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use strongroom_catalog::audit::{Actor, NewEvent};
use strongroom_catalog::{Address, Catalog, CatalogError, KeySource, MasterKeys, SystemClock};

use crate::support::{CLUSTER_URL, LOCATION_URL, Test, empty};

/// Runs SQL as somebody who goes around the catalog.
async fn sql(test: &Test, sql: &'static str) -> Result<u64, sqlx::Error> {
    match &test.address {
        Address::Sqlite(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let pool = sqlx::SqlitePool::connect_with(options).await?;
            Ok(sqlx::query(sql).execute(&pool).await?.rows_affected())
        }
        Address::Postgres(url) => {
            let pool = sqlx::PgPool::connect(url.expose()).await?;
            Ok(sqlx::query(sql).execute(&pool).await?.rows_affected())
        }
    }
}

on_both! {
    async fn a_catalog_opens_again_with_what_it_holds(test: Test) {
        let cluster = test.cluster("ledger").await;
        let again = test.replica().await;
        assert_eq!(again.cluster(cluster.id).await.unwrap(), cluster);
        assert_eq!(again.connection(cluster.id).await.unwrap().expose(), CLUSTER_URL);
        again.ping().await.unwrap();
    }

    async fn replicas_may_make_it_at_once(test: Test) {
        let (address, folder, _server) = empty(test.catalog.dialect());
        let keys = MasterKeys::generate();
        let open = || Catalog::open(&address, KeySource::Keys(keys.clone()), Arc::new(SystemClock));
        let (a, b, c) = tokio::join!(open(), open(), open());
        for opened in [a, b, c] {
            opened.unwrap().ping().await.unwrap();
        }
        drop(folder);
    }

    async fn another_key_or_none_is_refused(test: Test) {
        let open = |keys| Catalog::open(&test.address, keys, test.clock.clone());
        let other = open(KeySource::Keys(MasterKeys::generate())).await.unwrap_err();
        assert!(other.to_string().contains("is not the one that the catalog was made with"));
        let missing = test.folder.path().join("missing.key");
        let lost = open(KeySource::File(missing.clone())).await.unwrap_err();
        assert!(matches!(lost, CatalogError::MasterKey(_)), "{lost}");
        assert!(lost.hint().is_some());
        assert!(!missing.exists(), "a lost key is not replaced by a new one");
    }

    async fn the_master_key_is_rotated(test: Test) {
        let cluster = test.cluster("ledger").await;
        let location = test.location("here").await;
        MasterKeys::add_to(&test.key_file).unwrap();
        let with_both = test.replica().await;
        // The key check, two secrets of the location, one of the cluster.
        assert_eq!(with_both.reseal().await.unwrap(), 4);
        MasterKeys::retire_old_in(&test.key_file).unwrap();
        let with_new = test.replica().await;
        assert_eq!(with_new.connection(cluster.id).await.unwrap().expose(), CLUSTER_URL);
        let secrets = with_new.location_secrets(location.id).await.unwrap();
        assert_eq!(secrets.url.expose(), LOCATION_URL);
        assert_eq!(secrets.encryption.unwrap().expose(), "hush-passphrase");
        assert!(test.catalog.connection(cluster.id).await.is_err(), "the old key opens nothing");
    }

    async fn a_newer_catalog_is_refused_by_name(test: Test) {
        let changed = sql(test, "UPDATE _sqlx_migrations SET version = 99 WHERE version = 1").await;
        assert_eq!(changed.unwrap(), 1);
        let keys = KeySource::File(test.key_file.clone());
        let error = Catalog::open(&test.address, keys, test.clock.clone()).await.unwrap_err();
        assert!(matches!(error, CatalogError::NewerSchema { found: 99, .. }), "{error}");
    }

    async fn the_database_itself_keeps_audit_events(test: Test) {
        let mut write = test.catalog.begin().await.unwrap();
        let event = NewEvent::done(Actor::system("x"), "y", "z");
        write.record(&event).await.unwrap();
        write.commit().await.unwrap();
        for change in ["DELETE FROM audit_events", "UPDATE audit_events SET action = 'w'"] {
            let error = sql(test, change).await.unwrap_err();
            assert!(error.to_string().contains("neither changed nor removed"), "{error}");
        }
    }
}

#[test]
fn the_file_is_for_its_owner_alone() {
    crate::support::run(strongroom_catalog::Dialect::Sqlite, async |test| {
        test.cluster("ledger").await;
        for file in std::fs::read_dir(test.folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
        }
    });
}

#[test]
fn addresses_are_told_apart() {
    for (text, postgres) in [
        ("postgresql://db/x", true),
        ("postgres://db/x", true),
        ("sqlite:data/catalog.db", false),
        ("sqlite:///data/catalog.db", false),
        ("/data/catalog.db", false),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!(matches!(address, Address::Postgres(_)), postgres, "{text}");
    }
    for text in ["", "mysql://db/x", "http://db"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
