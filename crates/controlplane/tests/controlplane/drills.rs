//! Drills of a service: findings are kept, and damage is not overlooked.

use jiff::SignedDuration;
use strongroom_catalog::Page;
use strongroom_catalog::clusters::Plan;
use strongroom_catalog::grants::Role;
use strongroom_catalog::jobs::{JobFilter, JobKind, JobState};
use strongroom_controlplane::Kind;

use crate::restoring::{Service, block_on, everybody, somebody};

#[test]
fn a_drill_keeps_what_it_found() {
    block_on(async {
        let service = Service::start().await;
        let source =
            service.attach("source", service.source.url("postgres"), Plan::Dedicated).await;
        let app = &service.app;
        let none = app.create_drill(&everybody(), source.id, None).await.unwrap_err();
        assert_eq!(
            (none.kind(), none.message()),
            (Kind::Precondition, "cluster source has no backup")
        );
        let backup = service.back_up(&source).await;
        let developer = somebody(&[(Role::ClusterDeveloper, source.id)]);
        let refused = app.create_drill(&developer, source.id, None).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
        let drill = app.create_drill(&everybody(), source.id, Some(backup.id)).await.unwrap();
        assert!(service.work().await);
        let drill = app.drill(&developer, source.id, drill.job.id).await.unwrap();
        assert_eq!(drill.job.state, JobState::Succeeded, "{drill:#?}");
        assert_eq!((drill.findings.tables_checked, drill.findings.rows_checked), (2, 2050));
        assert!(drill.findings.differences.is_empty());
        assert_eq!(drill.job.requested_by.as_deref(), Some("test"));

        service.damage(source.id);
        app.create_drill(&everybody(), source.id, None).await.unwrap();
        assert!(service.work().await);
        let drills = app.drills(&everybody(), source.id, &Page::first(10)).await.unwrap().items;
        assert_eq!(drills.len(), 2);
        let failed = &drills[0];
        assert_eq!(failed.job.state, JobState::Failed);
        assert_eq!(failed.job.error.as_ref().unwrap().code, "damaged");
        let found = &failed.findings.differences;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("table shop.public.customers: "), "{found:?}");
        assert!(found[1].starts_with("table shop.public.orders: "), "{found:?}");
        // Names of tables are what backups hold.
        let seen = app.drills(&developer, source.id, &Page::first(10)).await.unwrap().items;
        assert!(seen[0].findings.differences.is_empty(), "{seen:#?}");
        let seen = app.drill(&developer, source.id, failed.job.id).await.unwrap();
        assert!(seen.findings.differences.is_empty(), "{seen:#?}");
        let job = app.job(&developer, failed.job.id).await.unwrap();
        for error in [seen.job.error.unwrap(), job.error.unwrap()] {
            assert_eq!((error.code.as_str(), error.message.as_str()), ("damaged", ""));
        }
        let filter = JobFilter { kinds: vec![JobKind::Alert], ..JobFilter::default() };
        let alerts = app.catalog().jobs(&filter, &Page::first(10)).await.unwrap().items;
        assert_eq!(alerts.len(), 1, "people are told");
    });
}

#[test]
fn a_drill_that_kills_its_worker_is_not_begun_for_ever() {
    block_on(async {
        let service = Service::start().await;
        let source =
            service.attach("source", service.source.url("postgres"), Plan::Dedicated).await;
        service.back_up(&source).await;
        let drill = service.app.create_drill(&everybody(), source.id, None).await.unwrap();
        // Five workers take it, and are never heard of again.
        let over = SignedDuration::from_millis(1);
        for _ in 0..5 {
            let claimed = service.app.catalog().claim("w", &[JobKind::Drill], over).await.unwrap();
            assert_eq!(claimed.unwrap().job.id, drill.job.id);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(service.work().await);
        let job = service.job(drill.job.id).await;
        assert_eq!(job.state, JobState::Failed, "{job:#?}");
        assert!(job.error.unwrap().message.contains("was begun 5 times"));
    });
}
