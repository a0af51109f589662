//! Regions live in the database, and so in its backups.

use strongroom_dataplane::CancellationToken;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::regions::{self, DatabaseRegions};
use strongroom_dataplane::restore::{self, Fence, Restored};
use strongroom_testkit::Cluster;

use crate::support::{Shop, as_regained, block_on, options, server};

fn multi_region(database: &str) -> DatabaseRegions {
    DatabaseRegions {
        database: database.to_owned(),
        primary: Some("eu-west-1".to_owned()),
        regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
    }
}

fn restored(shop: &Shop, url: &str) -> Restored {
    block_on(async {
        let backup = shop.latest().await.unwrap();
        let options = options(as_regained(), url, Fence::open());
        let cancel = CancellationToken::new();
        restore::run(&backup, &options, &Progress::silent(), &cancel).await.unwrap()
    })
}

#[test]
fn a_backup_knows_the_regions_of_its_databases_and_a_restore_brings_them_back() {
    let shop = Shop::open();
    let source = server(&shop.cluster.url("postgres"));
    block_on(regions::declare(&source, &multi_region("shop"))).unwrap();
    // Somebody's own settings are none of ours.
    shop.cluster.psql("postgres", "ALTER DATABASE shop SET work_mem = '9MB'");
    shop.back_up();
    let (to, expected) = (Cluster::start(), multi_region("shop"));
    let url = to.url("postgres");
    block_on(async {
        let held = regions::of_backup(&shop.latest().await.unwrap()).await.unwrap();
        assert!(held.contains(&expected), "{held:?}");
        assert!(held.iter().any(|other| other.database == "postgres" && other.regions.is_empty()));
        let live = regions::of_server(&source).await.unwrap();
        assert!(live.contains(&expected), "{live:?}");
    });
    let notes = restored(&shop, &url).notes;
    assert!(!notes.iter().any(|note| note.contains("region")), "{notes:?}");
    let live = block_on(regions::of_server(&server(&url))).unwrap();
    assert!(live.contains(&multi_region("regained")), "{live:?}");
    assert_eq!(to.psql("regained", "SHOW work_mem"), "9MB");
    // And they can be taken away.
    let none = DatabaseRegions { database: "shop".into(), primary: None, regions: Vec::new() };
    block_on(regions::declare(&source, &none)).unwrap();
    assert!(block_on(regions::of_server(&source)).unwrap().contains(&none));
}

#[test]
fn a_role_that_may_not_declare_regions_restores_the_rest() {
    let shop = Shop::open();
    let source = server(&shop.cluster.url("postgres"));
    block_on(regions::declare(&source, &multi_region("shop"))).unwrap();
    shop.cluster.psql("postgres", "ALTER DATABASE shop SET work_mem = '9MB'");
    shop.cluster.psql(
        "shop",
        "CREATE ROLE clerk; ALTER DATABASE shop OWNER TO clerk; ALTER TABLE orders OWNER TO clerk;
         ALTER TABLE customers OWNER TO clerk; ALTER SEQUENCE numbers OWNER TO clerk;
         ALTER MATERIALIZED VIEW latest OWNER TO clerk",
    );
    shop.back_up();
    let to = Cluster::start();
    to.psql("postgres", "CREATE ROLE clerk LOGIN CREATEDB");
    let notes = restored(&shop, &to.user_url("clerk", None, "postgres")).notes;
    let told: Vec<&String> = notes.iter().filter(|note| note.contains("region")).collect();
    assert_eq!(told.len(), 2, "{notes:?}");
    let statement = "ALTER DATABASE \"shop\" SET \"strongroom.primary_region\" TO 'eu-west-1';";
    assert!(told[0].contains(statement), "{told:?}");
    assert_eq!(to.psql("regained", "SELECT count(*) FROM orders; SHOW work_mem"), "2000\n9MB");
}
