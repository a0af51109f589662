//! Restores and drills: jobs with what people want to see of them.

use serde_json::json;
use strongroom_catalog::drills::Findings;
use strongroom_catalog::jobs::{Ending, JobKind, JobState};
use strongroom_catalog::restores::{NewRestore, RestoreFilter, RestoreKind, RestoreObject};
use strongroom_catalog::{CatalogError, ClusterId, Page};

use crate::support::{hours, seconds};

on_both! {
    async fn a_restore_is_followed_from_asking_to_its_end(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        let (source, destination) = (test.cluster("ledger").await, test.cluster("copy").await);
        let backup = test.backup(&source, &location, catalog.now() - hours(1)).await;
        let new = NewRestore {
            source: source.id,
            destination: destination.id,
            backup: backup.id,
            kind: RestoreKind::Table,
            objects: vec![RestoreObject {
                database: "movr".into(),
                schema: Some("public".into()),
                table: Some("rides".into()),
            }],
            options: json!({"into_db": "other", "skip_missing_views": true}),
            statement: Some("RESTORE TABLE x FROM 's3://b?AWS_SECRET_ACCESS_KEY=hush'".into()),
            requested_by: Some("ann@example.com".into()),
        };
        let mut write = catalog.begin().await.unwrap();
        let asked = write.enqueue_restore(&new).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(
            (asked.source_name.as_str(), asked.destination_name.as_str()),
            ("ledger", "copy")
        );
        assert_eq!((asked.backup, asked.backup_data_from), (backup.id, backup.data_from));
        assert_eq!((asked.kind, &asked.objects), (new.kind, &new.objects));
        assert_eq!((&asked.options, asked.completion), (&new.options, 0.0));
        assert_eq!((asked.job.kind, asked.job.state), (JobKind::Restore, JobState::Pending));
        assert_eq!(asked.job.cluster, Some(destination.id));
        let statement = asked.job.statement.as_deref().unwrap();
        assert!(statement.ends_with("AWS_SECRET_ACCESS_KEY=redacted'"), "{statement}");
        assert_eq!(catalog.restore(asked.job.id).await.unwrap(), asked);

        let lease =
            catalog.claim("w", &[JobKind::Restore], seconds(60)).await.unwrap().unwrap().lease;
        let mut write = catalog.begin().await.unwrap();
        write.set_completion(&lease, 0.25).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(catalog.restore(asked.job.id).await.unwrap().completion, 0.25);
        let mut write = catalog.begin().await.unwrap();
        write.set_completion(&lease, 7.0).await.unwrap();
        write.set_again(&lease, &["privileges of ledger".to_owned()]).await.unwrap();
        write.finish_job(&lease, &Ending::Succeeded(json!({"rows": 7}))).await.unwrap();
        write.commit().await.unwrap();
        let done = catalog.restore(asked.job.id).await.unwrap();
        assert_eq!((done.completion, done.set_again.len()), (1.0, 1));
        assert_eq!(
            (done.job.state, done.job.result),
            (JobState::Succeeded, Some(json!({"rows": 7})))
        );

        let mut write = catalog.begin().await.unwrap();
        let error = write.set_completion(&lease, 0.5).await.unwrap_err();
        assert!(matches!(error, CatalogError::LeaseLost { .. }), "{error}");
        drop(write);
        for (filter, count) in [
            (RestoreFilter::default(), 1),
            (RestoreFilter { destination: Some(destination.id), ..RestoreFilter::default() }, 1),
            (RestoreFilter { source: Some(source.id), ..RestoreFilter::default() }, 1),
            (RestoreFilter { destination: Some(source.id), ..RestoreFilter::default() }, 0),
            (RestoreFilter { from: Some(catalog.now()), ..RestoreFilter::default() }, 1),
            (RestoreFilter { until: Some(catalog.now()), ..RestoreFilter::default() }, 0),
        ] {
            let found = catalog.restores(&filter, &Page::default()).await.unwrap();
            assert_eq!(found.items.len(), count, "{filter:?}");
        }
        // Of nothing, and into nothing.
        for wrong in [
            NewRestore { source: ClusterId::new(), ..new.clone() },
            NewRestore { destination: ClusterId::new(), ..new.clone() },
        ] {
            let mut write = catalog.begin().await.unwrap();
            let error = write.enqueue_restore(&wrong).await.unwrap_err();
            assert!(matches!(error, CatalogError::NotFound { .. }), "{error}");
        }
    }

    async fn a_drill_keeps_what_it_found(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let backup = test.backup(&cluster, &location, catalog.now() - hours(1)).await;
        let mut write = catalog.begin().await.unwrap();
        let asked = write.enqueue_drill(backup.id, Some("drill/1"), "ann").await.unwrap();
        let again = write.enqueue_drill(backup.id, Some("drill/1"), "ann").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(again, asked);
        let lease =
            catalog.claim("w", &[JobKind::Drill], seconds(60)).await.unwrap().unwrap().lease;
        let findings = Findings {
            tables_checked: 6,
            rows_checked: 1_017,
            differences: vec!["movr.rides: 1 row".into()],
        };
        let mut write = catalog.begin().await.unwrap();
        write.set_findings(&lease, &findings).await.unwrap();
        write.finish_job(&lease, &Ending::Succeeded(json!(null))).await.unwrap();
        write.commit().await.unwrap();
        let done = catalog.drill(asked.job.id).await.unwrap();
        assert_eq!((done.findings, done.cluster), (findings, cluster.id));
        let listed = catalog.drills(Some(cluster.id), &Page::default()).await.unwrap().items;
        assert_eq!(listed.len(), 1);
        let none = catalog.drills(Some(ClusterId::new()), &Page::default()).await.unwrap().items;
        assert!(none.is_empty());
    }
}
