//! A service that is killed in the midst of a restore, and the one that goes on.

use std::process::Command;

use strongroom_catalog::clusters::{IDLE, Plan};
use strongroom_catalog::jobs::JobState;
use strongroom_catalog::restores::RestoreKind;
use strongroom_controlplane::jobs::Worker;
use strongroom_dataplane::CancellationToken;

use crate::restoring::{Service, app, block_on, everybody, orders, request, shop};

/// Not a test: the process that [`killed_everywhere`] lets die.
#[test]
#[ignore = "run by another test, as a process of its own"]
fn a_service_that_dies() {
    let folder = std::env::var("TEST_FOLDER").unwrap();
    let _scenario = fail::FailScenario::setup();
    block_on(async {
        let app = app(folder.as_ref(), |_| {}).await;
        Worker::new(app, 7).run_one(&CancellationToken::new()).await.unwrap();
    });
}

#[test]
fn a_successor_goes_on_with_a_database_restore_of_a_killed_service() {
    killed_everywhere(RestoreKind::Database);
}

#[test]
fn a_successor_goes_on_with_a_table_restore_of_a_killed_service() {
    killed_everywhere(RestoreKind::Table);
}

#[test]
fn a_successor_goes_on_with_a_cluster_restore_of_a_killed_service() {
    killed_everywhere(RestoreKind::Cluster);
}

/// Lets the service die on its way to the publication and behind it, with and without a wish to stop.
fn killed_everywhere(kind: RestoreKind) {
    for (point, published) in [
        ("restore.during-load", false),
        ("restore.before-publish", false),
        ("restore.during-publish", false),
        ("restore.after-publish", true),
    ] {
        for cancels in [false, true] {
            block_on(killed(kind, point, published, cancels));
        }
    }
}

async fn killed(kind: RestoreKind, point: &str, published: bool, cancels: bool) {
    let service = Service::start().await;
    let (source, target) = service.attach_both(Plan::Dedicated).await;
    service.back_up(&source).await;
    service.target.psql("postgres", "CREATE TABLE before AS SELECT 1 AS one");
    let asked = match kind {
        RestoreKind::Database => shop(source.id),
        RestoreKind::Table => orders(source.id),
        RestoreKind::Cluster => request(RestoreKind::Cluster, source.id),
    };
    let restore = service.app.create_restore(&everybody(), target.id, asked).await.unwrap();
    let id = restore.job.id;
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restores_killed::a_service_that_dies", "--ignored"])
        .env("TEST_FOLDER", service.folder.path())
        .env("FAILPOINTS", format!("{point}=return(kill)"))
        .output()
        .unwrap();
    let case = format!("{kind}, {point}, cancels: {cancels}");
    assert_eq!(died.status.code(), None, "{case} was not reached: {died:?}");
    let visible = service.target.databases().contains(&"shop".to_owned());
    assert_eq!(visible, published, "{case}");
    if published {
        // Somebody goes on working with what was restored. To restore it once more would undo that.
        service.target.psql("shop", "INSERT INTO orders VALUES (-1, 'since then')");
    }
    if cancels {
        service.app.cancel_restore(&everybody(), target.id, id).await.unwrap();
    }
    assert!(!service.work().await, "the dead one's lease is not over");
    tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
    assert!(service.work().await, "the lease is over");

    let ended = service.job(id).await;
    let succeeds = published || !cancels;
    let expected = if succeeds { JobState::Succeeded } else { JobState::Canceled };
    assert_eq!(ended.state, expected, "{case}: {ended:#?}");
    assert_eq!(service.status_of(target.id).await, IDLE);
    assert!(service.nothing_staged(), "{case}");
    let last = service.audited().await.last().unwrap().clone();
    assert!(last.ends_with(if succeeds { "SUCCEEDED" } else { "CANCELED" }), "{last}");
    if succeeds {
        let rows = if published { "2001" } else { "2000" };
        assert_eq!(service.target.psql("shop", "SELECT count(*) FROM orders"), rows);
        let restore = service.restore(id).await;
        assert!(!restore.set_again.is_empty() && restore.completion == 1.0);
        assert!(ended.result.unwrap()["rows"].as_u64().is_some(), "{case}");
    } else {
        assert_eq!(service.target.databases(), ["postgres"]);
    }
    if !succeeds || kind != RestoreKind::Cluster {
        assert_eq!(service.target.psql("postgres", "SELECT one FROM before"), "1");
    }
    assert!(!service.work().await, "nothing else is to be done");
}
