//! A service that is killed in the midst of a restore, and the one that goes on.

use std::process::Command;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::clusters::{Cluster, IDLE, Plan};
use strongroom_catalog::jobs::{JobKind, JobState};
use strongroom_catalog::restores::RestoreKind;
use strongroom_catalog::{CatalogError, FakeClock, JobId};
use strongroom_controlplane::jobs::Worker;
use strongroom_dataplane::CancellationToken;
use strongroom_testkit as testkit;

use crate::restoring::{Service, app, app_at, block_on, everybody, orders, request, shop};

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
    // Each kind on either catalog would tell nothing more than this.
    let server = (kind == RestoreKind::Database).then(testkit::Cluster::start);
    for (point, published) in [
        ("restore.during-load", false),
        ("restore.before-publish", false),
        ("restore.during-publish", false),
        ("restore.after-publish", true),
    ] {
        for cancels in [false, true] {
            block_on(killed(server.as_ref(), kind, point, published, cancels));
        }
    }
}

/// Lets the service work on a restore in another process, which dies at this point.
fn die(service: &Service, point: &str) {
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restores_killed::a_service_that_dies", "--ignored"])
        .env("TEST_FOLDER", service.folder.path())
        .env("FAILPOINTS", format!("{point}=return(kill)"))
        .output()
        .unwrap();
    assert_eq!(died.status.code(), None, "{point} was not reached: {died:?}");
}

async fn killed(
    server: Option<&testkit::Cluster>,
    kind: RestoreKind,
    point: &str,
    published: bool,
    cancels: bool,
) {
    let service = match server {
        Some(server) => Service::start_on(server).await,
        None => Service::start().await,
    };
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
    let case = format!("{kind}, {point}, cancels: {cancels}");
    die(&service, point);
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

/// A service that was asked to restore a whole cluster and has not begun.
struct Asked {
    service: Service,
    source: Cluster,
    target: Cluster,
    id: JobId,
}

async fn asked(plan: Plan) -> Asked {
    let service = Service::start().await;
    let (source, target) = service.attach_both(plan).await;
    service.back_up(&source).await;
    let asked = request(RestoreKind::Cluster, source.id);
    let restore = service.app.create_restore(&everybody(), target.id, asked).await.unwrap();
    Asked { service, source, target, id: restore.job.id }
}

#[test]
fn a_destination_that_is_gone_is_not_asked_for_ever() {
    for (hours, cancels) in [(1, false), (1, true), (25, false)] {
        block_on(gone(hours, cancels));
    }
}

/// The service dies before the commit that publishes, and the destination never comes back.
async fn gone(hours: i64, cancels: bool) {
    let Asked { service, target, id, .. } = asked(Plan::Dedicated).await;
    die(&service, "restore.during-publish");
    service.target.stop();
    tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
    // It asks, and asks again: it may be published.
    assert!(service.work().await);
    let asks = service.job(id).await;
    assert_eq!(asks.state, JobState::Pending, "{asks:#?}");
    assert_ne!(service.status_of(target.id).await, IDLE);
    if cancels {
        let canceled = service.app.cancel_restore(&everybody(), target.id, id).await.unwrap();
        assert_eq!(canceled.job.state, JobState::Pending, "who looks will say what it is");
    }

    let clock = Arc::new(FakeClock::at(Timestamp::now() + SignedDuration::from_hours(hours)));
    let later = app_at(service.folder.path(), clock, |_| {}).await;
    let worker = Worker::new(later.clone(), 0);
    assert!(worker.run_one(&CancellationToken::new()).await.unwrap());
    let job = service.job(id).await;
    if hours < 24 && !cancels {
        assert_eq!(job.state, JobState::Pending, "{job:#?}");
        return;
    }
    assert_eq!(job.state, JobState::Failed, "{job:#?}");
    let message = job.error.unwrap().message;
    assert!(message.contains("the destination can not be asked whether it was"), "{message}");
    // And the cluster is somebody's to mend again.
    assert!(service.status_of(target.id).await.ends_with("RESTORE_FAILED"));
    service.app.delete_cluster(&everybody(), target.id).await.unwrap();
}

/// A destination that lets nobody in says nothing of what was published, nor how long that is so.
#[test]
fn a_destination_that_refuses_us_for_a_while_is_asked_until_it_answers() {
    block_on(async {
        let Asked { service, id, .. } = asked(Plan::Dedicated).await;
        die(&service, "restore.during-publish");
        let rules = service.target.data_dir().join("pg_hba.conf");
        let let_in = std::fs::read(&rules).unwrap();
        std::fs::write(&rules, "local all all trust\nhost all all all reject\n").unwrap();
        let reload = |database: &str| {
            let url = service.target.socket_url(database);
            let mut psql = Command::new(service.target.bin_dir().join("psql"));
            let done = psql.args([&url, "-c", "SELECT pg_reload_conf()"]).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        reload("postgres");
        tokio::time::sleep(std::time::Duration::from_millis(3100)).await;

        let clock = Arc::new(FakeClock::at(Timestamp::now()));
        let later = app_at(service.folder.path(), clock.clone(), |_| {}).await;
        let worker = Worker::new(later.clone(), 0);
        let never = CancellationToken::new();
        for _ in 0..8 {
            assert!(worker.run_one(&never).await.unwrap());
            let job = service.job(id).await;
            assert_eq!((job.state, job.attempts), (JobState::Pending, 1), "{job:#?}");
            assert_eq!(job.error.unwrap().code, "denied");
            clock.advance(SignedDuration::from_mins(2));
        }
        std::fs::write(&rules, let_in).unwrap();
        reload("postgres");
        assert!(worker.run_one(&never).await.unwrap());
        assert_eq!(service.job(id).await.state, JobState::Succeeded, "it began again");
        assert!(service.target.databases().contains(&"shop".to_owned()));
    });
}

/// A day of asking is meant, and not a day that nobody was there to ask.
#[test]
fn a_destination_is_asked_for_a_day_from_when_it_is_asked_first() {
    block_on(async {
        let Asked { service, id, .. } = asked(Plan::Dedicated).await;
        die(&service, "restore.after-publish");
        service.target.stop();
        let clock = Arc::new(FakeClock::at(Timestamp::now() + SignedDuration::from_hours(60)));
        let later = app_at(service.folder.path(), clock.clone(), |_| {}).await;
        let worker = Worker::new(later.clone(), 0);
        assert!(worker.run_one(&CancellationToken::new()).await.unwrap());
        assert_eq!(service.job(id).await.state, JobState::Pending);
        service.target.restart();
        clock.advance(SignedDuration::from_mins(2));
        assert!(worker.run_one(&CancellationToken::new()).await.unwrap());
        assert_eq!(service.job(id).await.state, JobState::Succeeded);
    });
}

#[test]
fn a_note_that_can_not_be_read_is_not_taken_for_none() {
    block_on(async {
        let Asked { service, id, .. } = asked(Plan::Dedicated).await;
        let over = SignedDuration::from_millis(1);
        let claimed = service.app.catalog().claim("w", &[JobKind::Restore], over).await.unwrap();
        let mut write = service.app.catalog().begin().await.unwrap();
        let note = serde_json::json!({"publication": {"xid": 7}});
        write.remember(&claimed.unwrap().lease, &note).await.unwrap();
        write.commit().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(service.work().await);
        let job = service.job(id).await;
        assert_eq!(job.state, JobState::Failed, "{job:#?}");
        assert!(job.error.unwrap().message.contains("can not be read"));
        assert_eq!(service.target.databases(), ["postgres"], "it was not begun again");
    });
}

#[test]
fn a_restore_ends_although_its_destination_was_detached() {
    block_on(async {
        let Asked { service, source, target, id } = asked(Plan::Serverless).await;
        service.target.stop();
        assert!(service.work().await);
        assert_eq!(service.job(id).await.state, JobState::Pending, "it waits");
        service.app.delete_cluster(&everybody(), target.id).await.unwrap();
        assert!(service.work().await, "whoever looks will say what it is");
        assert_eq!(service.job(id).await.state, JobState::Canceled);
        assert!(!service.work().await, "nothing else is to be done");
        let asked = request(RestoreKind::Cluster, source.id);
        let error = service.app.create_restore(&everybody(), target.id, asked).await.unwrap_err();
        assert!(error.message().contains("was deleted"), "{error}");
        // A restore that was planned before is not begun, either.
        let mut write = service.app.catalog().begin().await.unwrap();
        let error = write.open_restores(target.id).await.unwrap_err();
        assert!(matches!(error, CatalogError::NotFound { .. }), "{error}");
    });
}
