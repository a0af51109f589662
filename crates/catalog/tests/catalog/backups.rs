//! The index of backups: recorded, listed, counted by days, retired, rebuilt.

use strongroom_catalog::backups::{BackupFilter, Day};
use strongroom_catalog::jobs::{Ending, JobKind, NewJob};
use strongroom_catalog::{BackupId, CatalogError, ClusterId, Order, Page};
use strongroom_format::manifest::BackupType;

use crate::support::{a_backup, failure, hours, seconds, time};

on_both! {
    async fn a_backup_is_recorded_once_and_rebuilt_with_the_same_id(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let new = a_backup(&cluster, &location, time("2026-11-22T13:00:00Z"));
        let mut write = catalog.begin().await.unwrap();
        let first = write.record_backup(&new, None).await.unwrap();
        let mut other = new.clone();
        other.rows = 7;
        assert_eq!(write.record_backup(&other, None).await.unwrap(), first);
        write.commit().await.unwrap();
        assert_eq!(first.backup, new);
        assert_eq!(catalog.backup(first.id).await.unwrap(), first);

        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.forget_backups_in(location.id, cluster.id).await.unwrap(), 1);
        let again = write.record_backup(&new, None).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(again, first);

        let mut write = catalog.begin().await.unwrap();
        let mut foreign = new.clone();
        foreign.cluster = ClusterId::new();
        foreign.engine_id = foreign.engine_id.next();
        let error = write.record_backup(&foreign, None).await.unwrap_err();
        assert!(matches!(error, CatalogError::NotFound { .. }), "{error}");
    }

    async fn backups_are_listed_by_cluster_and_time(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        let (ledger, other) = (test.cluster("ledger").await, test.cluster("other").await);
        let start = time("2026-11-20T00:00:00Z");
        test.backup(&other, &location, start + seconds(1)).await;
        for hour in 0..6 {
            test.backup(&ledger, &location, start + hours(hour)).await;
        }
        let of_ledger = BackupFilter { cluster: Some(ledger.id), ..BackupFilter::default() };
        let hours_of = async |filter: &BackupFilter| -> Vec<i64> {
            let listed = catalog.backups(filter, &Page::default()).await.unwrap();
            listed.items.iter().map(|b| b.data_from.duration_since(start).as_hours()).collect()
        };
        assert_eq!(hours_of(&of_ledger).await, [5, 4, 3, 2, 1, 0]);
        // The start is in, the end is not.
        let from = Some(start + hours(1));
        let until = Some(start + hours(4));
        assert_eq!(hours_of(&BackupFilter { from, until, ..of_ledger.clone() }).await, [3, 2, 1]);
        let database = |name: &str| BackupFilter {
            database: Some(name.to_owned()),
            ..of_ledger.clone()
        };
        assert_eq!(hours_of(&database("movr")).await.len(), 6);
        assert!(hours_of(&database("mov")).await.is_empty());
        let kind = Some(BackupType::Incremental);
        assert!(hours_of(&BackupFilter { kind, ..of_ledger.clone() }).await.is_empty());
        let latest = catalog.latest_backup(ledger.id, until).await.unwrap().unwrap();
        assert_eq!(latest.data_from, start + hours(3));
        assert_eq!(catalog.latest_backup(ClusterId::new(), None).await.unwrap(), None);
    }

    async fn a_backup_that_was_recorded_while_a_clock_was_ahead_is_listed(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        test.clock.advance(hours(24 * 30));
        let of_then = test.backup(&cluster, &location, catalog.now()).await;
        test.clock.advance(-hours(24 * 30));
        assert_eq!(catalog.latest_backup(cluster.id, None).await.unwrap().as_ref(), Some(&of_then));
        let of_now = test.backup(&cluster, &location, catalog.now()).await;
        assert_eq!(catalog.latest_backup(cluster.id, None).await.unwrap().as_ref(), Some(&of_now));
        let filter = BackupFilter { cluster: Some(cluster.id), ..BackupFilter::default() };
        let mut page = Page::first(1).order(Order::Ascending);
        for (expected, last) in [(&of_now, false), (&of_then, true)] {
            let listed = catalog.backups(&filter, &page).await.unwrap();
            assert_eq!((listed.items.first(), listed.next.is_none()), (Some(expected), last));
            page = listed.next_page().unwrap_or(page);
        }
        // As of a time before both, there was none.
        let before = Page { as_of: Some(catalog.now() - hours(1)), ..Page::first(10) };
        let listed = catalog.backups(&filter, &before).await.unwrap().items;
        assert_eq!(listed, [of_then], "nobody can say when that was");
    }

    async fn a_chain_is_read_in_order(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let start = time("2026-11-20T00:00:00Z");
        let full = test.backup(&cluster, &location, start).await;
        let mut parent = full.clone();
        for hour in 1..4 {
            let mut new = a_backup(&cluster, &location, start + hours(hour));
            new.kind = BackupType::Incremental;
            new.parent = Some(parent.engine_id);
            new.full = full.engine_id;
            let mut write = catalog.begin().await.unwrap();
            parent = write.record_backup(&new, None).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(parent.backup, new);
        }
        test.backup(&cluster, &location, start + hours(9)).await;
        let chain = catalog.chain(cluster.id, full.engine_id).await.unwrap();
        assert_eq!(chain.len(), 4);
        assert_eq!((&chain[0], &chain[3]), (&full, &parent));
    }

    async fn the_calendar_counts_complete_and_failed_backups_by_day(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        for at in ["2026-11-20T00:00:00Z", "2026-11-20T23:59:59.99Z", "2026-11-21T00:00:00Z"] {
            test.backup(&cluster, &location, time(at)).await;
        }
        for (at, fails) in [
            ("2026-11-19T12:00:00Z", true),
            ("2026-11-21T12:00:00Z", true),
            ("2026-11-21T13:00:00Z", false),
        ] {
            test.clock.set(time(at));
            let mut write = catalog.begin().await.unwrap();
            write.enqueue(&NewJob::of(JobKind::Backup, cluster.id)).await.unwrap();
            write.commit().await.unwrap();
            let claimed =
                catalog.claim("w", &[JobKind::Backup], seconds(60)).await.unwrap().unwrap();
            let ending = if fails {
                Ending::Failed(failure("unreachable", "nobody answers"))
            } else {
                Ending::Succeeded(serde_json::Value::Null)
            };
            let mut write = catalog.begin().await.unwrap();
            write.finish_job(&claimed.lease, &ending).await.unwrap();
            write.commit().await.unwrap();
        }
        let days = async |from: &str, until: &str| {
            catalog.calendar(cluster.id, time(from), time(until)).await.unwrap()
        };
        let day =
            |date: &str, complete, failed| Day { date: date.parse().unwrap(), complete, failed };
        assert_eq!(
            days("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z").await,
            [day("2026-11-19", 0, 1), day("2026-11-20", 2, 0), day("2026-11-21", 1, 1)]
        );
        assert_eq!(
            days("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z").await,
            [day("2026-11-20", 2, 0)]
        );
        assert!(days("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z").await.is_empty());
    }

    async fn a_backup_is_retired_before_it_goes_and_not_while_it_is_needed(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let start = catalog.now();
        let (old, new) = (
            test.backup(&cluster, &location, start).await,
            test.backup(&cluster, &location, start + hours(24)).await,
        );
        assert!(catalog.expired_backups(cluster.id, 10).await.unwrap().is_empty());
        test.clock.advance(hours(24 * 30));
        assert_eq!(catalog.expired_backups(cluster.id, 10).await.unwrap(), std::slice::from_ref(&old));

        let mut job = NewJob::of(JobKind::Drill, cluster.id);
        job.backup = Some(old.id);
        let mut write = catalog.begin().await.unwrap();
        write.enqueue(&job).await.unwrap();
        write.commit().await.unwrap();
        let retire = async |id: BackupId| {
            let mut write = catalog.begin().await?;
            let retired = write.retire_backup(id).await?;
            write.commit().await.map(|()| retired)
        };
        assert!(matches!(retire(old.id).await, Err(CatalogError::Conflict { .. })));
        let claimed = catalog.claim("w", &[JobKind::Drill], seconds(60)).await.unwrap().unwrap();
        assert!(retire(old.id).await.is_err());
        let mut write = catalog.begin().await.unwrap();
        write.finish_job(&claimed.lease, &Ending::Canceled).await.unwrap();
        assert!(!write.forget_backup(old.id).await.unwrap(), "not before it is retired");
        write.commit().await.unwrap();

        let retired = retire(old.id).await.unwrap();
        assert_eq!(retired.retired_at, Some(catalog.now()));
        assert!(catalog.expired_backups(cluster.id, 10).await.unwrap().is_empty());
        let mut write = catalog.begin().await.unwrap();
        assert!(matches!(write.enqueue(&job).await, Err(CatalogError::Conflict { .. })));
        drop(write);
        let listed = catalog.backups(&BackupFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(listed.items, [new]);
        let all = BackupFilter { retired: true, ..BackupFilter::default() };
        assert_eq!(catalog.backups(&all, &Page::default()).await.unwrap().items.len(), 2);

        // It stays after all: as if nothing had been.
        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.relist_backup(old.id).await.unwrap(), old);
        assert!(write.enqueue(&job).await.is_ok());
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        write.relist_backup(old.id).await.unwrap();
        write.commit().await.unwrap();
        assert!(catalog.retired_backups(cluster.id).await.unwrap().is_empty());
        let listed = catalog.backups(&BackupFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(listed.items.len(), 2);
        retire(old.id).await.unwrap();

        let mut write = catalog.begin().await.unwrap();
        assert!(write.forget_backup(old.id).await.unwrap());
        assert!(write.relist_backup(old.id).await.is_err(), "there is nothing of it any more");
        write.commit().await.unwrap();
        assert!(catalog.backup(old.id).await.is_err());
    }

    async fn retiring_and_needing_do_not_pass_each_other(test: Test) {
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let replica = test.replica().await;
        for round in 0..10 {
            let backup = test.backup(&cluster, &location, test.catalog.now() + hours(round)).await;
            let need = async || {
                let mut job = NewJob::of(JobKind::Drill, cluster.id);
                job.backup = Some(backup.id);
                let mut write = test.catalog.begin().await?;
                write.enqueue(&job).await?;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                write.commit().await
            };
            let retire = async || {
                let mut write = replica.begin().await?;
                write.retire_backup(backup.id).await?;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                write.commit().await
            };
            let (needed, retired) = if round % 2 == 0 {
                tokio::join!(need(), retire())
            } else {
                let (retired, needed) = tokio::join!(retire(), need());
                (needed, retired)
            };
            assert_ne!(needed.is_ok(), retired.is_ok(), "{needed:?} {retired:?}");
        }
    }
}
