//! Restores: who may ask for what, what is refused beforehand, and what becomes of the rest.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use strongroom_catalog::clusters::{Cluster as Attached, ClusterChange, IDLE, Plan};
use strongroom_catalog::grants::Role;
use strongroom_catalog::jobs::{JobKind, JobState};
use strongroom_catalog::restores::{Restore, RestoreKind, RestoreObject};
use strongroom_catalog::{FakeClock, Page, Secret};
use strongroom_controlplane::app::attach::ClusterPatch;
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::model::RestoreRequest;
use strongroom_controlplane::{Caller, Error, Kind};
use strongroom_dataplane::CancellationToken;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::regions::{self, DatabaseRegions};
use strongroom_testkit::{Cluster, assert_same_contents};

use crate::restoring::{Service, app_at, block_on, everybody, orders, request, shop, somebody};

#[test]
fn restoring_needs_the_right_on_source_and_destination() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let admin = (Role::ClusterAdmin, source.id);
        let operator = (Role::ClusterOperatorWriter, target.id);
        let developer = |on| (Role::ClusterDeveloper, on);
        for (roles, expected) in [
            (vec![], Kind::NotFound),
            (vec![admin], Kind::NotFound),
            (vec![operator], Kind::NotFound),
            (vec![admin, developer(target.id)], Kind::Forbidden),
            (vec![operator, developer(source.id)], Kind::Forbidden),
        ] {
            let caller = somebody(&roles);
            let refused = service.app.create_restore(&caller, target.id, shop(source.id)).await;
            assert_eq!(refused.unwrap_err().kind(), expected, "{roles:?}");
            let planned = service.app.plan_restore(&caller, target.id, shop(source.id)).await;
            assert_eq!(planned.unwrap_err().kind(), expected, "{roles:?}");
        }
        let caller = somebody(&[admin, operator]);
        let restore =
            service.app.create_restore(&caller, target.id, shop(source.id)).await.unwrap();
        let stranger = somebody(&[developer(target.id)]);
        let cancel = service.app.cancel_restore(&stranger, target.id, restore.job.id).await;
        assert_eq!(cancel.unwrap_err().kind(), Kind::Forbidden);
        assert!(service.app.restore(&stranger, target.id, restore.job.id).await.is_ok());
        let actions = service.app.restore_actions(&stranger, &restore);
        assert!(!actions[0].allowed && actions[0].reason.is_some());
        assert!(service.app.restore_actions(&caller, &restore)[0].allowed);
    });
}

#[test]
fn a_restore_tells_nobody_of_a_cluster_that_they_may_not_see() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let (app, catalog) = (&service.app, service.app.catalog());
        let asked = app.create_restore(&everybody(), target.id, orders(source.id)).await.unwrap();
        let id = asked.job.id;
        let claimed = catalog.claim("w", &[JobKind::Restore], SignedDuration::from_mins(1)).await;
        let progress = json!({ "fraction": 0.5, "tables_total": 1,
            "tables": [{ "name": "orders" }], "notes": ["table orders has no owner"] });
        catalog.heartbeat(&claimed.unwrap().unwrap().lease, Some(&progress)).await.unwrap();
        let tables =
            |restore: &Restore| restore.job.progress.as_ref().unwrap()["tables"].is_array();
        let page = Page::default();
        let list = async |caller: &Caller| {
            app.restores(caller, target.id, None, None, &page).await.unwrap().items.remove(0)
        };
        let operator = |cluster: &Attached| (Role::ClusterOperatorWriter, cluster.id);
        let watcher = |cluster: &Attached| (Role::MetricsViewer, cluster.id);

        // Both ends, and contents.
        let caller = somebody(&[watcher(&source), operator(&target)]);
        let seen = app.restore(&caller, target.id, id).await.unwrap();
        assert_eq!(seen, service.restore(id).await);
        assert!(tables(&seen));
        // Both ends, no contents.
        let caller = somebody(&[watcher(&source), watcher(&target)]);
        for seen in [app.restore(&caller, target.id, id).await.unwrap(), list(&caller).await] {
            assert_eq!((seen.source_name.as_str(), seen.source), ("source", source.id));
            assert!(!tables(&seen) && seen.job.progress.as_ref().unwrap()["fraction"] == 0.5);
            assert!(!format!("{seen:?}").contains("orders"), "{seen:?}");
        }
        let job = app.job(&caller, id).await.unwrap();
        assert!(!format!("{job:?}").contains("orders"), "{job:?}");
        // Only where it goes to.
        let caller = somebody(&[operator(&target)]);
        for seen in [app.restore(&caller, target.id, id).await.unwrap(), list(&caller).await] {
            assert_eq!(seen.destination_name, "target");
            assert!(seen.source_name.is_empty() && seen.source.uuid().is_nil(), "{seen:?}");
            assert!(!format!("{seen:?}").contains(&source.id.to_string()), "{seen:?}");
            assert!(!format!("{seen:?}").contains("orders"), "{seen:?}");
            assert!(seen.backup.uuid().is_nil() && seen.backup_data_from == Timestamp::UNIX_EPOCH);
        }
        let jobs = app.jobs(&caller, target.id, Default::default(), &page).await.unwrap().items;
        for job in [&app.job(&caller, id).await.unwrap(), &jobs[0]] {
            assert_eq!((&job.statement, job.id), (&None, id));
            assert!(!format!("{job:?}").contains(&source.id.to_string()), "{job:?}");
        }
        // Only where it comes from.
        let caller = somebody(&[operator(&source)]);
        let seen = app.restore(&caller, source.id, id).await.unwrap();
        assert_eq!(seen.source_name, "source");
        assert!(seen.destination_name.is_empty() && seen.destination.uuid().is_nil(), "{seen:?}");
        assert!(!app.restore_actions(&caller, &seen)[0].allowed);
        assert_eq!(app.job(&caller, id).await.unwrap_err().kind(), Kind::NotFound);
        // Whoever cancels it is told no more.
        let caller = somebody(&[operator(&target)]);
        let canceled = app.cancel_restore(&caller, target.id, id).await.unwrap();
        assert!(canceled.source_name.is_empty() && canceled.job.statement.is_none());
    });
}

#[test]
fn a_database_is_restored_and_told_of() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        let backup = service.back_up(&source).await;
        let plan =
            service.app.plan_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        assert_eq!((plan.refused.as_deref(), plan.plan.rows), (None, 2050));
        let place = service.place_of(source.id);
        let expected = format!(
            "RESTORE DATABASE shop FROM '{}' IN 'file://{}'",
            backup.engine_id,
            place.display()
        );
        assert_eq!(plan.statement, expected);
        let restore =
            service.app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        assert_eq!(restore.job.statement.as_deref(), Some(expected.as_str()));
        assert!(service.work().await);
        let done = service.restore(restore.job.id).await;
        assert_eq!(done.job.state, JobState::Succeeded, "{done:#?}");
        assert_eq!(done.completion, 1.0);
        assert!(done.set_again.iter().any(|note| note.contains("ANALYZE")), "{done:#?}");
        let told = done.job.progress.unwrap();
        assert_eq!(told["tables"].as_array().unwrap().len(), 2, "however quick it was: {told}");
        let result = done.job.result.unwrap();
        assert_eq!((result["rows"].as_u64(), result["tables"].as_u64()), (Some(2050), Some(2)));
        assert_same_contents(
            &service.source.tables_hash("shop"),
            &service.target.tables_hash("shop"),
        );
        let action = "RESTORE_DATABASE";
        assert_eq!(
            service.audited().await,
            [format!("{action} REQUESTED"), format!("{action} SUCCEEDED")]
        );
        let cancel = service.app.cancel_restore(&everybody(), target.id, restore.job.id).await;
        assert_eq!(cancel.unwrap_err().kind(), Kind::Precondition);
    });
}

#[test]
fn conflicts_are_told_with_everything_that_resolves_them_before_anything_is_enqueued() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        service.target.create_database("shop");
        let error =
            service.app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Precondition);
        assert!(error.message().contains("database \"shop\" already exists"), "{error}");
        let hint = error.hint_text().unwrap();
        for resolution in [
            "new_db_name shop_restored",
            "ALTER DATABASE \"shop\" RENAME TO \"shop_old\";",
            "DROP DATABASE \"shop\";",
        ] {
            assert!(hint.contains(resolution), "{hint}");
        }
        assert!(!service.work().await, "nothing was enqueued");
        assert!(service.audited().await.is_empty());
        let mut renamed = shop(source.id);
        renamed.options.new_db_name = Some("regained".to_owned());
        let restore = service.app.create_restore(&everybody(), target.id, renamed).await.unwrap();
        // The job plans once more: what came in the way meanwhile stops it.
        service.target.create_database("regained");
        assert!(service.work().await);
        let failed = service.job(restore.job.id).await;
        assert_eq!(failed.state, JobState::Failed);
        assert_eq!(failed.error.as_ref().unwrap().code, "conflict");
        assert!(service.audited().await[1].ends_with("FAILED"));
    });
}

#[test]
fn a_table_goes_beside_the_living_one() {
    block_on(async {
        let service = Service::start().await;
        let source = service.attach("source", service.source.url("postgres"), Plan::Advanced).await;
        service.back_up(&source).await;
        service.source.psql("shop", "DELETE FROM orders WHERE id > 10");
        let mut again = orders(source.id);
        again.options.new_table_name = Some("orders_again".to_owned());
        let plan = service.app.plan_restore(&everybody(), source.id, again.clone()).await.unwrap();
        assert!(plan.set_again.iter().any(|note| note.contains("living table")), "{plan:#?}");
        assert!(plan.statement.starts_with("RESTORE TABLE shop.public.orders FROM "));
        assert!(plan.statement.ends_with("WITH new_table_name = 'orders_again'"));
        let restore = service.app.create_restore(&everybody(), source.id, again).await.unwrap();
        assert!(service.work().await);
        assert_eq!(service.job(restore.job.id).await.state, JobState::Succeeded);
        let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM orders_again)";
        assert_eq!(service.source.psql("shop", counts), "10|2000");
    });
}

#[test]
fn options_that_make_no_sense_are_refused() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        let app = &service.app;
        let empty = app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap_err();
        assert_eq!(empty.message(), "cluster source has no backup");
        service.back_up(&source).await;
        let mut into = shop(source.id);
        into.options.into_db = Some("x".to_owned());
        let mut two = shop(source.id);
        two.options.new_db_name = Some("x".to_owned());
        two.objects.push(RestoreObject { database: "postgres".into(), schema: None, table: None });
        let mut renamed = orders(source.id);
        renamed.options.new_db_name = Some("x".to_owned());
        let mut tables = shop(source.id);
        tables.objects[0].table = Some("orders".to_owned());
        let mut whole = request(RestoreKind::Cluster, source.id);
        whole.confirm_cluster_name = Some("source".to_owned());
        let mut named = request(RestoreKind::Cluster, source.id);
        named.objects = shop(source.id).objects;
        for (request, message) in [
            (into, "cannot use \"into_db\" option when restoring database(s)"),
            (
                two,
                "new_db_name can only be used for RESTORE DATABASE with a single target database",
            ),
            (
                renamed,
                "new_db_name can only be used for RESTORE DATABASE with a single target database",
            ),
            (tables, "table orders is named in a restore of type DATABASE"),
            (whole, "'source' is not the name of the destination cluster"),
            (named, "objects are named in the restore of a whole cluster"),
            (
                request(RestoreKind::Table, source.id),
                "objects is empty: name what to restore of type TABLE",
            ),
        ] {
            let error = app.create_restore(&everybody(), target.id, request).await.unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::Invalid, message));
        }
    });
}

#[test]
fn serverless_clusters_are_restored_as_a_whole_and_among_themselves() {
    block_on(async {
        let service = Service::start().await;
        let source =
            service.attach("source", service.source.url("postgres"), Plan::Serverless).await;
        let url = || service.target.url("postgres");
        let dedicated = service.attach("dedicated", url(), Plan::Dedicated).await;
        let standard = service.attach("standard", url(), Plan::Standard).await;
        service.back_up(&source).await;
        let refusal = async |request, to| -> Option<String> {
            service.app.plan_restore(&everybody(), to, request).await.unwrap().refused
        };
        let whole = || request(RestoreKind::Cluster, source.id);
        let mixed = refusal(whole(), dedicated.id).await.unwrap();
        assert!(mixed.ends_with("Serverless and Dedicated do not mix"), "{mixed}");
        let part = refusal(shop(source.id), standard.id).await.unwrap();
        assert!(part.contains("can only be restored as a whole"), "{part}");
        let mut skipping = whole();
        skipping.options.skip_localities_check = true;
        assert!(refusal(skipping, standard.id).await.is_some());
        assert_eq!(refusal(whole(), standard.id).await, None);
        let error =
            service.app.create_restore(&everybody(), dedicated.id, whole()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Precondition, mixed.as_str()));
    });
}

#[test]
fn m5_a_multi_region_backup_is_refused_into_a_single_region() {
    block_on(async {
        let service = Service::start().await;
        let regions = DatabaseRegions {
            database: "shop".to_owned(),
            primary: Some("eu-west-1".to_owned()),
            regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
        };
        let server = Server::parse(&service.source.url("postgres")).unwrap();
        regions::declare(&server, &regions).await.unwrap();
        let (source, single) = service.attach_both(Plan::Dedicated).await;
        let url = || service.target.url("postgres");
        let both = ["us-east-1", "eu-west-1"];
        let both = service.attach_in("both", url(), Plan::Dedicated, &both).await;
        let other = ["eu-west-1", "ap-south-1"];
        let other = service.attach_in("other", url(), Plan::Dedicated, &other).await;
        service.back_up(&source).await;
        let refused = async |request, to| -> Result<Option<String>, Error> {
            Ok(service.app.plan_restore(&everybody(), to, request).await?.refused)
        };
        for request in [shop(source.id), request(RestoreKind::Cluster, source.id)] {
            let mut skipping = request.clone();
            skipping.options.skip_localities_check = true;
            for request in [request.clone(), skipping.clone()] {
                let text = refused(request, single.id).await.unwrap().unwrap();
                assert_eq!(
                    text,
                    "database shop of this backup is multi-region (eu-west-1, us-east-1), and a \
                     multi-region database cannot be restored into a single-region destination: \
                     cluster target is in the single region eu-west-1"
                );
            }
            assert_eq!(refused(request.clone(), both.id).await.unwrap(), None);
            let text = refused(request, other.id).await.unwrap().unwrap();
            assert_eq!(
                text,
                "detected a mismatch in regions between the restore cluster and the backup cluster, \
                 missing regions detected: us-east-1."
            );
            assert_eq!(refused(skipping, other.id).await.unwrap(), None);
        }
        // A table goes only into a database that was declared so.
        let text = refused(orders(source.id), both.id).await.unwrap().unwrap();
        assert!(text.ends_with("into non-multi-region database shop"), "{text}");
        service.target.create_database("shop");
        let there = Server::parse(&url()).unwrap();
        regions::declare(&there, &regions).await.unwrap();
        assert_eq!(refused(orders(source.id), both.id).await.unwrap(), None);
    });
}

/// Holds a lock in the target until it is dropped.
struct Locked(std::process::Child);

impl Locked {
    fn on(cluster: &Cluster, database: &str, table: &str) -> Self {
        let mut psql = cluster.client("psql", database);
        let lock = format!("LOCK pg_catalog.{table} IN SHARE MODE");
        psql.args(["-c", "BEGIN", "-c", &lock, "-c", "SELECT pg_sleep(100)"]);
        let mut child = psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let held = format!(
            "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ShareLock' \
             AND relation = 'pg_catalog.{table}'::regclass"
        );
        for _ in 0..500 {
            if cluster.psql(database, &held) == "1" {
                return Locked(child);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        panic!("the lock is not granted: {}", child.wait().unwrap());
    }

    fn release(mut self, cluster: &Cluster) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()";
        cluster.psql("postgres", end);
        self.0.wait().unwrap();
    }
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if reached().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

#[test]
fn a_cancelled_restore_leaves_the_target_as_it_was() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        // One that waits is cancelled at once.
        let waiting =
            service.app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        let id = waiting.job.id;
        let cancelled = service.app.cancel_restore(&everybody(), target.id, id).await.unwrap();
        assert_eq!(cancelled.job.state, JobState::Canceled);
        // One that runs undoes what it did.
        service.target.psql("postgres", "CREATE TABLE before (id int)");
        let whole = request(RestoreKind::Cluster, source.id);
        let restore = service.app.create_restore(&everybody(), target.id, whole).await.unwrap();
        let lock = Locked::on(&service.target, "postgres", "pg_database");
        let id = restore.job.id;
        let working = service.work();
        let wishing = async {
            until("it runs", async || {
                service.status_of(target.id).await == "DEDICATED_FULL_CLUSTER_RESTORE_RUNNING"
            })
            .await;
            let asked = service.app.cancel_restore(&everybody(), target.id, id).await.unwrap();
            assert!(asked.job.cancel_requested_at.is_some());
            tokio::time::sleep(Duration::from_millis(1500)).await;
            lock.release(&service.target);
        };
        tokio::join!(working, wishing);
        let ended = service.job(id).await;
        assert_eq!(ended.state, JobState::Canceled, "{ended:#?}");
        assert_eq!(service.status_of(target.id).await, IDLE);
        assert!(service.nothing_staged());
        assert_eq!(service.target.psql("postgres", "SELECT count(*) FROM before"), "0");
        assert!(service.audited().await.last().unwrap().ends_with("CLUSTER CANCELED"));
    });
}

#[test]
fn m22_a_cluster_says_that_it_is_unavailable_while_it_is_restored() {
    block_on(async {
        for (plan, status) in [
            (Plan::Serverless, "TENANT_RESTORE_RUNNING"),
            (Plan::Dedicated, "DEDICATED_FULL_CLUSTER_RESTORE_RUNNING"),
        ] {
            let service = Service::start().await;
            let (source, target) = service.attach_both(plan).await;
            service.back_up(&source).await;
            let whole = || request(RestoreKind::Cluster, source.id);
            let app = &service.app;
            let restore = app.create_restore(&everybody(), target.id, whole()).await.unwrap();
            let again = app.create_restore(&everybody(), target.id, whole()).await.unwrap_err();
            assert_eq!(again.message(), "cluster target is being restored");
            let lock = Locked::on(&service.target, "postgres", "pg_database");
            let watching = async {
                until("it runs", async || service.status_of(target.id).await == status).await;
                let again = app.plan_restore(&everybody(), target.id, whole()).await.unwrap();
                assert_eq!(again.refused.as_deref(), Some("cluster target is being restored"));
                lock.release(&service.target);
            };
            tokio::join!(service.work(), watching);
            let ended = service.restore(restore.job.id).await;
            assert_eq!(ended.job.state, JobState::Succeeded, "{ended:#?}");
            assert_eq!(service.status_of(target.id).await, IDLE);
            assert_same_contents(
                &service.source.tables_hash("shop"),
                &service.target.tables_hash("shop"),
            );
            // M23: it went into another cluster, whose server keeps its own settings.
            let told = ended.set_again.iter().any(|note| note.contains("postgresql.conf"));
            assert!(told, "{:?}", ended.set_again);
        }
    });
}

#[test]
fn a_restore_that_fails_midway_leaves_the_target_as_it_was() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Serverless).await;
        service.back_up(&source).await;
        service.target.psql("postgres", "CREATE TABLE before AS SELECT 1 AS one");
        let whole = request(RestoreKind::Cluster, source.id);
        let restore = service.app.create_restore(&everybody(), target.id, whole).await.unwrap();
        service.damage(source.id);
        assert!(service.work().await);
        let ended = service.job(restore.job.id).await;
        assert_eq!(ended.state, JobState::Failed, "{ended:#?}");
        assert_eq!(ended.error.as_ref().unwrap().code, "damaged");
        assert_eq!(service.status_of(target.id).await, "TENANT_RESTORE_FAILED");
        assert!(service.nothing_staged());
        assert_eq!(service.target.psql("postgres", "SELECT one FROM before"), "1");
        assert_eq!(service.target.databases(), ["postgres"]);
    });
}

#[test]
fn a_destination_must_be_attached_and_a_deleted_source_may_be_restored() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let mut write = service.app.catalog().begin().await.unwrap();
        write.delete_cluster(source.id).await.unwrap();
        write.commit().await.unwrap();
        let app = &service.app;
        let into_deleted =
            app.plan_restore(&everybody(), source.id, shop(source.id)).await.unwrap();
        assert_eq!(into_deleted.refused.as_deref(), Some("cluster source was deleted"));
        let restore = app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        assert!(service.work().await);
        assert_eq!(service.job(restore.job.id).await.state, JobState::Succeeded);
        let mut write = app.catalog().begin().await.unwrap();
        let change = ClusterChange {
            state: Some(strongroom_catalog::clusters::ClusterState::Locked),
            ..ClusterChange::default()
        };
        write.change_cluster(target.id, &change).await.unwrap();
        write.commit().await.unwrap();
        let locked = app.plan_restore(&everybody(), target.id, orders(source.id)).await.unwrap();
        assert_eq!(
            locked.refused.as_deref(),
            Some("cluster target is not active: its state is LOCKED")
        );
    });
}

#[test]
fn of_two_cluster_restores_that_are_asked_for_at_once_one_is_refused() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let ask = async || {
            let asked = request(RestoreKind::Cluster, source.id);
            service.app.create_restore(&everybody(), target.id, asked).await
        };
        let (one, other) = tokio::join!(ask(), ask());
        let refused = match (one, other) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            both => panic!("{both:?}"),
        };
        assert_eq!(refused.kind(), Kind::Conflict);
        assert_eq!(refused.message(), "cluster target is being restored");
        // Nor beside it.
        let table = service.app.create_restore(&everybody(), target.id, orders(source.id)).await;
        assert_eq!(table.unwrap_err().kind(), Kind::Precondition);
    });
}

#[test]
fn the_url_of_a_cluster_stays_while_a_restore_into_it_is_open() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        service.back_up(&source).await;
        let asked = orders(source.id);
        service.target.create_database("shop");
        let restore = service.app.create_restore(&everybody(), target.id, asked).await.unwrap();
        let elsewhere = Cluster::start();
        let change = || ClusterPatch {
            url: Some(Secret::new(elsewhere.url("postgres"))),
            ..ClusterPatch::default()
        };
        let refused = service.app.change_cluster(&everybody(), target.id, change()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
        service.app.cancel_restore(&everybody(), target.id, restore.job.id).await.unwrap();
        service.app.change_cluster(&everybody(), target.id, change()).await.unwrap();
    });
}

#[test]
fn a_restore_does_not_wait_for_workers_that_hang() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        let backup = service.back_up(&source).await;
        service.app.create_drill(&everybody(), source.id, Some(backup.id)).await.unwrap();
        let reserve = Worker::in_reserve(service.app.clone());
        let never = CancellationToken::new();
        assert!(!reserve.run_one(&never).await.unwrap(), "it has no time for drills");
        let restore =
            service.app.create_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        assert!(reserve.run_one(&never).await.unwrap());
        assert_eq!(service.job(restore.job.id).await.state, JobState::Succeeded);
    });
}

#[test]
fn an_old_backup_is_restored_only_by_its_name() {
    block_on(async {
        let service = Service::start().await;
        let (source, target) = service.attach_both(Plan::Dedicated).await;
        let backup = service.back_up(&source).await;
        let clock = |days: i64| {
            let hours = SignedDuration::from_hours(24 * days);
            Arc::new(FakeClock::at(Timestamp::now() + hours))
        };
        let soon = app_at(service.folder.path(), clock(6), |_| {}).await;
        let plan = soon.plan_restore(&everybody(), target.id, shop(source.id)).await.unwrap();
        assert_eq!(plan.refused, None);
        let late = app_at(service.folder.path(), clock(8), |_| {}).await;
        let refused = late.plan_restore(&everybody(), target.id, shop(source.id)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), Kind::Precondition);
        assert!(refused.message().contains("more than 7 days ago"), "{refused}");
        let named = RestoreRequest { backup: Some(backup.id), ..shop(source.id) };
        let plan = late.plan_restore(&everybody(), target.id, named).await.unwrap();
        assert_eq!(plan.refused, None);
    });
}
