//! Clusters, their storage and their backup settings.

use std::collections::BTreeMap;

use strongroom_catalog::backup_settings::SettingsChange;
use strongroom_catalog::clusters::{
    AsGiven, ClusterChange, ClusterFilter, ClusterState, Connection, Engine, Plan, Provider,
    UpgradeType, UsageLimits,
};
use strongroom_catalog::jobs::{JobKind, JobState, NewJob};
use strongroom_catalog::storage_locations::LocationSecrets;
use strongroom_catalog::{CatalogError, ClusterId, FolderId, LocationId, Page, Secret};

use crate::support::{CLUSTER_URL, LOCATION_URL, a_cluster, a_location, hours, seconds};

on_both! {
    async fn a_cluster_is_read_as_it_was_made(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        for plan in Plan::ALL {
            for provider in Provider::ALL {
                let mut new = a_cluster(&format!("{plan} on {provider}"));
                new.plan = *plan;
                new.provider = *provider;
                new.engine = Engine::Cockroachdb;
                new.state = ClusterState::Creating;
                new.folder = Some(FolderId::new());
                new.location = Some(location.id);
                new.delete_protection = true;
                let mut write = catalog.begin().await.unwrap();
                let made = write.create_cluster(&new).await.unwrap();
                write.commit().await.unwrap();
                assert_eq!((made.plan, made.provider, made.engine), (*plan, *provider, new.engine));
                assert_eq!((made.folder, made.location), (new.folder, new.location));
                assert_eq!((&made.regions, &made.labels), (&new.regions, &new.labels));
                assert_eq!((made.created_at, made.deleted_at), (catalog.now(), None));
                assert!(made.delete_protection);
                assert_eq!(catalog.cluster(made.id).await.unwrap(), made);
                let found = catalog.cluster_by_name(&made.name).await.unwrap();
                assert_eq!(found.as_ref(), Some(&made));
                assert_eq!(catalog.connection(made.id).await.unwrap().expose(), CLUSTER_URL);
            }
        }
    }

    async fn a_cluster_is_changed_in_what_is_given(test: Test) {
        let catalog = &test.catalog;
        let old = test.cluster("ledger").await;
        test.clock.advance(seconds(5));
        let mut write = catalog.begin().await.unwrap();
        let nothing = write.change_cluster(old.id, &ClusterChange::default()).await.unwrap();
        assert_eq!(nothing.updated_at, catalog.now());
        let change = ClusterChange {
            name: Some("books".into()),
            plan: Some(Plan::Advanced),
            state: Some(ClusterState::Locked),
            operation_status: Some("TENANT_RESTORE_RUNNING".into()),
            connection: Some(Connection {
                url: Secret::new("postgresql://b:c@d/e"),
                shown: "postgresql://b@d/e".into(),
            }),
            server: Some(("17.2".into(), Some("7300000000000000001".into()))),
            regions: Some((vec!["eu".into()], "eu".into())),
            folder: Some(Some(FolderId::new())),
            location: None,
            labels: Some(BTreeMap::new()),
            as_given: Some(AsGiven {
                usage_limits: Some(UsageLimits {
                    request_unit_limit: Some(i64::MAX),
                    ..UsageLimits::default()
                }),
                upgrade_type: Some(UpgradeType::Manual),
                node_counts: BTreeMap::from([("eu".to_owned(), 3)]),
                ..AsGiven::default()
            }),
            delete_protection: Some(true),
        };
        let new = write.change_cluster(old.id, &change).await.unwrap();
        let emptied = ClusterChange { folder: Some(None), ..ClusterChange::default() };
        let out = write.change_cluster(old.id, &emptied).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(
            (new.name.as_str(), new.plan, new.state),
            ("books", Plan::Advanced, ClusterState::Locked)
        );
        assert_eq!((new.primary_region.as_str(), new.regions.len()), ("eu", 1));
        assert_eq!(new.server_version.as_deref(), Some("17.2"));
        assert_eq!(new.system_identifier.as_deref(), Some("7300000000000000001"));
        assert_eq!((new.folder, out.folder), (change.folder.unwrap(), None));
        assert!(new.labels.is_empty() && new.delete_protection);
        assert_eq!((old.as_given, Some(out.as_given)), (AsGiven::default(), change.as_given));
        let connection = catalog.connection(old.id).await.unwrap();
        assert_eq!(connection.expose(), "postgresql://b:c@d/e");

        let refused = async |change: ClusterChange| {
            let mut write = catalog.begin().await.unwrap();
            write.change_cluster(old.id, &change).await.unwrap_err()
        };
        let regions = Some((vec!["eu".to_owned()], "us".to_owned()));
        let error = refused(ClusterChange { regions, ..ClusterChange::default() }).await;
        assert!(error.to_string().contains("'us' is not among"), "{error}");
        let location = Some(LocationId::new());
        let error = refused(ClusterChange { location, ..ClusterChange::default() }).await;
        assert!(matches!(error, CatalogError::NotFound { what: "storage location", .. }));
        let state = Some(ClusterState::Deleted);
        refused(ClusterChange { state, ..ClusterChange::default() }).await;
    }

    async fn a_name_is_free_again_after_deletion(test: Test) {
        let catalog = &test.catalog;
        let old = test.cluster("ledger").await;
        let mut write = catalog.begin().await.unwrap();
        let error = write.create_cluster(&a_cluster("ledger")).await.unwrap_err();
        assert_eq!(error.to_string(), "cluster ledger exists already");
        drop(write);

        let mut write = catalog.begin().await.unwrap();
        let waiting = write.enqueue(&NewJob::of(JobKind::Backup, old.id)).await.unwrap().job;
        write.delete_cluster(old.id).await.unwrap();
        write.commit().await.unwrap();
        let new = test.cluster("ledger").await;
        assert_ne!(new.id, old.id);
        let deleted = catalog.cluster(old.id).await.unwrap();
        assert_eq!(
            (deleted.state, deleted.deleted_at),
            (ClusterState::Deleted, Some(catalog.now()))
        );
        assert!(catalog.connection(old.id).await.is_err(), "its connection is wiped");
        assert_eq!(catalog.job(waiting.id).await.unwrap().state, JobState::Canceled);
        assert_eq!(catalog.cluster_by_name("ledger").await.unwrap().unwrap().id, new.id);

        let mut write = catalog.begin().await.unwrap();
        let nothing = ClusterChange::default();
        assert!(write.change_cluster(old.id, &nothing).await.is_err());
        assert!(write.delete_cluster(ClusterId::new()).await.is_err());
        let protected = ClusterChange { delete_protection: Some(true), ..ClusterChange::default() };
        write.change_cluster(new.id, &protected).await.unwrap();
        let error = write.delete_cluster(new.id).await.unwrap_err();
        assert!(matches!(error, CatalogError::Conflict { .. }), "{error}");
        drop(write);
        let all = ClusterFilter { inactive: true, ..ClusterFilter::default() };
        assert_eq!(catalog.clusters(&all, &Page::default()).await.unwrap().items.len(), 2);
        let visible = async |only: Vec<ClusterId>| {
            let filter = ClusterFilter { only: Some(only), ..ClusterFilter::default() };
            catalog.clusters(&filter, &Page::default()).await.unwrap().items.len()
        };
        assert_eq!(visible(vec![old.id, new.id]).await, 1);
        assert_eq!(visible(vec![old.id]).await, 0);
        assert_eq!(visible(Vec::new()).await, 0, "who may see none, sees none");
    }

    async fn a_location_is_kept_as_long_as_it_is_needed(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        assert!(location.encrypted);
        assert_eq!(catalog.location(location.id).await.unwrap(), location);
        let secrets = catalog.location_secrets(location.id).await.unwrap();
        assert_eq!(secrets.url.expose(), LOCATION_URL);
        let plain = LocationSecrets { url: Secret::new("s3://other"), encryption: None };
        let mut write = catalog.begin().await.unwrap();
        let error = write.create_location(&a_location("here")).await.unwrap_err();
        assert!(matches!(error, CatalogError::Exists { .. }), "{error}");
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        let changed = write.set_location_secrets(location.id, &plain, "s3://other").await.unwrap();
        write.commit().await.unwrap();
        assert!(!changed.encrypted);
        let secrets = catalog.location_secrets(location.id).await.unwrap();
        assert_eq!((secrets.url.expose(), secrets.encryption), ("s3://other", None));

        test.location("there").await;
        let listed = catalog.locations(Some("eu-west-1"), &Page::default()).await.unwrap().items;
        assert_eq!(listed.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["here", "there"]);
        assert!(catalog.locations(Some("mars"), &Page::default()).await.unwrap().items.is_empty());

        let cluster = test.cluster("ledger").await;
        test.backup(&cluster, &location, catalog.now()).await;
        let mut write = catalog.begin().await.unwrap();
        let error = write.delete_location(location.id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("storage location {}: 1 backups lie in it", location.id));
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        let into = ClusterChange { location: Some(listed[1].id), ..ClusterChange::default() };
        write.change_cluster(cluster.id, &into).await.unwrap();
        let used = write.use_of_location(listed[1].id).await.unwrap();
        assert_eq!(used.reason().unwrap(), "clusters are backed up into it: ledger");
        assert!(write.delete_location(listed[1].id).await.is_err());
        // A deleted cluster that has no backups there needs it no more.
        write.delete_cluster(cluster.id).await.unwrap();
        write.delete_location(listed[1].id).await.unwrap();
        assert!(write.delete_location(listed[1].id).await.is_err());
        assert!(write.create_first_location(&a_location("x")).await.unwrap().is_none());
        let named = write.rename_location(location.id, "elsewhere").await.unwrap();
        assert_eq!(named.name, "elsewhere");
    }

    async fn retention_is_set_once_and_every_change_is_counted(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        assert!(catalog.backup_settings(cluster).await.is_err());
        let mut write = catalog.begin().await.unwrap();
        let first = write.create_backup_settings(cluster, true, 60, 30, false).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!((first.generation, first.retention_set_at), (1, None));

        let change = async |change: SettingsChange| {
            let mut write = catalog.begin().await?;
            let changed = write.change_backup_settings(cluster, change).await?;
            write.commit().await.map(|()| changed)
        };
        let none = SettingsChange::default();
        // What is as it was, is no change, and uses nothing up.
        let same = SettingsChange { retention_days: Some(30), enabled: Some(true), ..none };
        assert_eq!(change(same).await.unwrap(), first);
        let often = change(SettingsChange { frequency_minutes: Some(5), ..none }).await.unwrap();
        assert_eq!((often.generation, often.frequency_minutes), (2, 5));
        let long = change(SettingsChange { retention_days: Some(90), ..none }).await.unwrap();
        assert_eq!((long.generation, long.retention_set_at), (3, Some(catalog.now())));
        let error = change(SettingsChange { retention_days: Some(30), ..none }).await.unwrap_err();
        assert!(error.to_string().contains("already has a retention policy set"), "{error}");
        // Drills are no backups: nothing follows.
        let drilled = change(SettingsChange { drill_every_days: Some(7), ..none }).await.unwrap();
        assert_eq!((drilled.generation, drilled.drill_every_days), (3, 7));
        let off = change(SettingsChange { enabled: Some(false), ..none }).await.unwrap();
        assert_eq!((off.generation, off.enabled, off.retention_days), (4, false, 90));
        assert_eq!(catalog.backup_settings(cluster).await.unwrap(), off);

        let chosen = test.cluster("other").await.id;
        let mut write = catalog.begin().await.unwrap();
        write.create_backup_settings(chosen, true, 60, 7, true).await.unwrap();
        let again = SettingsChange { retention_days: Some(30), ..none };
        assert!(write.change_backup_settings(chosen, again).await.is_err());
        assert!(write.create_backup_settings(ClusterId::new(), true, 5, 2, false).await.is_err());
    }

    async fn the_scheduler_sees_what_it_must_know(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        let (on, off) = (test.cluster("on").await, test.cluster("off").await);
        let mut write = catalog.begin().await.unwrap();
        let settings = write.create_backup_settings(on.id, true, 60, 30, false).await.unwrap();
        write.create_backup_settings(off.id, false, 60, 30, false).await.unwrap();
        write.commit().await.unwrap();
        let schedules = catalog.schedules().await.unwrap();
        assert_eq!(schedules.len(), 1);
        assert_eq!(schedules[0].settings, settings);
        assert_eq!((schedules[0].last_slot.as_ref(), schedules[0].last_backup), (None, None));
        assert_eq!((schedules[0].open, schedules[0].last_drill), (false, None));

        for slot in [Some("slot-1"), Some("slot-2"), None] {
            test.clock.advance(seconds(3600));
            let mut write = catalog.begin().await.unwrap();
            let mut job = NewJob::of(JobKind::Backup, on.id);
            job.slot = slot.map(str::to_owned);
            write.enqueue(&job).await.unwrap();
            write.commit().await.unwrap();
        }
        let full = test.backup(&on, &location, catalog.now()).await;
        let schedules = catalog.schedules().await.unwrap();
        assert_eq!(schedules[0].last_slot.as_deref(), Some("slot-2"));
        assert_eq!(schedules[0].last_backup, Some(full.data_from));
        assert_eq!(schedules[0].last_full, Some(full.data_from));
        assert!(schedules[0].open);
        let mut write = catalog.begin().await.unwrap();
        write.enqueue_drill(full.id, None, "ann").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(catalog.schedules().await.unwrap()[0].last_drill, Some(catalog.now()));
        // What was made while the clock was ahead does not hold up what is due.
        test.clock.advance(-hours(2));
        let schedules = catalog.schedules().await.unwrap();
        let settings = schedules[0].settings.updated_at;
        test.clock.advance(-hours(24));
        let ahead = catalog.schedules().await.unwrap()[0].settings.updated_at;
        assert!(settings > catalog.now() && ahead < catalog.now(), "{settings} is not believed");
        test.clock.advance(hours(24));
        assert_eq!((schedules[0].last_slot.as_deref(), schedules[0].last_drill), (Some("slot-1"), None));
        // Nor does it hide, in a list of clusters, how one is doing now.
        let overview = catalog.overviews(&[on.id]).await.unwrap().remove(0);
        assert_eq!(overview.schedule.last_slot.as_deref(), Some("slot-1"));
        assert_eq!((overview.schedule.last_backup, overview.last_ending), (None, None));
        test.clock.advance(hours(2));
        let overview = catalog.overviews(&[on.id]).await.unwrap().remove(0);
        assert_eq!(overview.schedule.last_slot.as_deref(), Some("slot-2"));
        assert_eq!(overview.schedule.last_backup, Some(full.data_from));
    }

    async fn what_there_is_to_prune_is_seen_also_of_deleted_clusters(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        let mut cluster = a_cluster("ledger");
        cluster.location = Some(location.id);
        let mut write = catalog.begin().await.unwrap();
        let cluster = write.create_cluster(&cluster).await.unwrap();
        write.commit().await.unwrap();
        test.cluster("without a location").await;
        let seen = async || {
            let upkeep = catalog.upkeep().await.unwrap();
            assert_eq!((upkeep.len(), upkeep[0].location), (1, location.id));
            let it = &upkeep[0];
            (it.has_backups, it.expired, it.retired, it.open)
        };
        assert_eq!(seen().await, (false, false, false, false));
        let backup = test.backup(&cluster, &location, catalog.now()).await;
        assert_eq!(seen().await, (true, false, false, false));
        test.clock.advance(hours(24 * 30));
        assert_eq!(seen().await, (true, true, false, false));
        let mut write = catalog.begin().await.unwrap();
        write.retire_backup(backup.id).await.unwrap();
        write.delete_cluster(cluster.id).await.unwrap();
        write.enqueue(&NewJob::of(JobKind::Prune, cluster.id)).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(seen().await, (true, false, true, true));
        let upkeep = catalog.upkeep().await.unwrap();
        let now = Some(catalog.now());
        assert_eq!((upkeep[0].deleted_at, upkeep[0].last_prune), (now, now));
        assert_eq!(catalog.retired_backups(cluster.id).await.unwrap()[0].id, backup.id);
    }
}
