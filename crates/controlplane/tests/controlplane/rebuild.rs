//! The catalog made anew from the storage.

use std::fs;

use strongroom_catalog::backups::Backup;
use strongroom_catalog::clusters::{ClusterState, Plan};
use strongroom_catalog::{BackupId, ClusterId, Secret};
use strongroom_controlplane::{Caller, Kind, Scheduler};
use strongroom_format::manifest::BackupType;

use crate::support::{Service, block_on, clock, hours, source};

/// What a list shows of a backup, without when its row was made.
fn shown(backups: &[Backup]) -> Vec<(BackupId, strongroom_catalog::backups::NewBackup)> {
    backups.iter().map(|it| (it.id, it.backup.clone())).collect()
}

/// A service with a full backup and an incremental one of a cluster, and the cluster.
async fn with_two_backups(url: &str) -> (Service, ClusterId) {
    let clock = clock("2024-02-10T05:00:00Z");
    let service = Service::start(clock.clone(), |_| {}).await;
    let cluster = service.attach("tiny", url, Plan::Dedicated, 60, 30).await;
    let scheduler = Scheduler::new(service.app.clone());
    for _ in 0..2 {
        scheduler.tick().await.unwrap();
        service.work().await;
        clock.advance(hours(1));
    }
    let kinds: Vec<BackupType> =
        service.listed(cluster.id).await.iter().map(|backup| backup.kind).collect();
    assert_eq!(kinds, [BackupType::Full, BackupType::Incremental]);
    (service, cluster.id)
}

fn operator() -> Caller {
    Caller::system("a test")
}

#[test]
fn rows_that_were_lost_come_back_and_those_of_nothing_go() {
    let server = source();
    block_on(async {
        let (service, cluster) = with_two_backups(&server.url("shop")).await;
        let before = service.listed(cluster).await;
        let mut write = service.catalog().begin().await.unwrap();
        write.forget_backups_in(service.location.id, cluster).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(service.listed(cluster).await, []);

        let rebuilt = service.app.rebuild(&operator()).await.unwrap();
        let found = rebuilt.iter().find(|it| it.location == service.location.name).unwrap();
        let found = &found.clusters[0];
        assert_eq!((found.recorded, found.forgotten, found.came_back), (2, 0, false), "{found:?}");
        assert_eq!(shown(&service.listed(cluster).await), shown(&before));

        // Nothing is left to do.
        let again = service.app.rebuild(&operator()).await.unwrap();
        let again = again.iter().flat_map(|location| &location.clusters).next().unwrap();
        assert_eq!((again.recorded, again.forgotten, &again.problems[..]), (0, 0, &[][..]));

        // Somebody has removed the incremental one by hand.
        let folder = service.collection_folder(cluster).join("incrementals");
        fs::remove_dir_all(folder).unwrap();
        let rebuilt = service.app.rebuild(&operator()).await.unwrap();
        let found = rebuilt.iter().flat_map(|location| &location.clusters).next().unwrap();
        assert_eq!((found.recorded, found.forgotten), (0, 1), "{found:?}");
        assert_eq!(shown(&service.listed(cluster).await), shown(&before[..1]));
    });
}

#[test]
fn a_lost_catalog_comes_back_from_the_storage_alone() {
    let server = source();
    block_on(async {
        let (old, cluster) = with_two_backups(&server.url("shop")).await;
        let before = old.listed(cluster).await;
        let url = format!("file://{}", old.folder.path().join("storage").display());

        let new = Service::start(clock("2024-02-10T08:00:00Z"), |_| {}).await;
        let secrets = old.catalog().location_secrets(old.location.id).await.unwrap();
        let location = new
            .app
            .adopt_location(&operator(), "found", "local", Secret::new(url), secrets.encryption)
            .await
            .unwrap();
        let rebuilt = new.app.rebuild(&operator()).await.unwrap();
        let found = rebuilt.iter().flat_map(|it| &it.clusters).next().unwrap();
        assert_eq!((found.id, found.name.as_str(), found.came_back), (cluster, "tiny", true));

        let known = new.catalog().cluster(cluster).await.unwrap();
        assert_eq!((known.plan, known.state), (Plan::Dedicated, ClusterState::Locked));
        let after = new.listed(cluster).await;
        let moved = |(id, backup): (BackupId, strongroom_catalog::backups::NewBackup)| {
            (id, strongroom_catalog::backups::NewBackup { location: location.id, ..backup })
        };
        let expected: Vec<_> = shown(&before).into_iter().map(moved).collect();
        assert_eq!(shown(&after), expected, "the same ids, types, times and ends");
        // Its contents are there, and nobody else may have it rebuilt.
        let contents = new.app.backup_contents(&operator(), cluster, after[1].id).await.unwrap();
        assert!(contents.databases.iter().any(|database| database.name == "shop"));
        let nobody = Caller { grantee: Some(nobody()), ..operator() };
        assert_eq!(new.app.rebuild(&nobody).await.unwrap_err().kind(), Kind::Forbidden);
    });
}

fn nobody() -> strongroom_catalog::grants::Grantee {
    strongroom_catalog::grants::Grantee::User(strongroom_catalog::UserId::new())
}
