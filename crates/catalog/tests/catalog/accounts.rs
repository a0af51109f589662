//! Who is who, who may what, who did what.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use strongroom_catalog::audit::{Actor, AuditEvent, EventFilter, NewEvent, Outcome, TICK};
use strongroom_catalog::grants::{Grantee, Resource, Role};
use strongroom_catalog::service_accounts::AccountFilter;
use strongroom_catalog::sessions::Lifetime;
use strongroom_catalog::users::{HashedPassword, NewUser, Proven};
use strongroom_catalog::{
    Catalog, CatalogError, Dialect, FakeClock, KeySource, Order, Page, Secret, UserId,
};

use crate::support::{hours, seconds};

const LIFETIME: Lifetime = Lifetime {
    total: jiff::SignedDuration::from_hours(12),
    idle: jiff::SignedDuration::from_hours(1),
};

async fn user(catalog: &Catalog, email: &str, password: Option<&str>) -> UserId {
    let password = match password {
        Some(password) => Some(HashedPassword::of(Secret::new(password)).await.unwrap()),
        None => None,
    };
    let mut write = catalog.begin().await.unwrap();
    let new = NewUser { email: email.to_owned(), name: "Ann".to_owned(), password };
    let user = write.create_user(&new).await.unwrap();
    write.commit().await.unwrap();
    user.id
}

/// Ann, if this is her password.
async fn proven(catalog: &Catalog, password: &str) -> Option<Proven> {
    catalog.check_password("ann@example.com", Secret::new(password)).await.unwrap()
}

/// Somebody who reads the log again and again, each time after what came last.
#[derive(Default)]
struct Follower(tokio::sync::Mutex<Vec<AuditEvent>>);

impl Follower {
    async fn read(&self, catalog: &Catalog) {
        let mut read = self.0.lock().await;
        let from = read.last().map(|last| last.at + TICK);
        let filter = EventFilter { from, ..EventFilter::default() };
        // The clocks stand still, and what was dated after others lies ahead of them.
        let as_of = Some(catalog.now() + seconds(1));
        let page = Page { as_of, ..Page::first(1000).order(Order::Ascending) };
        read.extend(catalog.audit_events(&filter, &page).await.unwrap().items);
    }

    fn names(&self) -> Vec<String> {
        self.0.try_lock().unwrap().iter().map(|event| event.event.action.clone()).collect()
    }
}

on_both! {
    async fn there_is_one_organization(test: Test) {
        let catalog = &test.catalog;
        assert_eq!(catalog.organization().await.unwrap(), None);
        let mut write = catalog.begin().await.unwrap();
        let first = write.ensure_organization("Ledger").await.unwrap();
        assert_eq!(write.ensure_organization("Other").await.unwrap(), first);
        let renamed = write.rename_organization("Books").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!((renamed.id, renamed.name.as_str()), (first.id, "Books"));
        assert_eq!(catalog.organization().await.unwrap(), Some(renamed));
    }

    async fn a_user_is_known_by_address_and_password(test: Test) {
        let catalog = &test.catalog;
        let id = user(catalog, " Ann@Example.com ", Some("correct horse")).await;
        let ann = catalog.user(id).await.unwrap();
        assert_eq!(ann.email, "ann@example.com");
        assert!(ann.has_password && ann.disabled_at.is_none());
        assert_eq!(ann.created_at, catalog.now());
        assert_eq!(catalog.user_by_email("ANN@example.com").await.unwrap().unwrap(), ann);

        let check = async |email: &str, password: &str| {
            let found = catalog.check_password(email, Secret::new(password)).await.unwrap();
            found.map(|proven| proven.user.id)
        };
        assert_eq!(check("ann@EXAMPLE.com", "correct horse").await, Some(id));
        assert_eq!(check("ann@example.com", "correct horsf").await, None);
        assert_eq!(check("bob@example.com", "correct horse").await, None);
        assert_eq!(check("no address", "correct horse").await, None);

        let invited = user(catalog, "new@example.com", None).await;
        assert_eq!(check("new@example.com", "").await, None);
        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.rename_user(invited, "New").await.unwrap().name, "New");
        write.set_user_disabled(id, true).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(check("ann@example.com", "correct horse").await, None);
        let emails: Vec<_> = catalog.users(&Page::default()).await.unwrap().items;
        assert_eq!(emails.iter().filter(|user| user.disabled_at.is_some()).count(), 1);
    }

    async fn an_address_belongs_to_one_user(test: Test) {
        user(&test.catalog, "ann@example.com", None).await;
        let mut write = test.catalog.begin().await.unwrap();
        let again =
            NewUser { email: "Ann@example.com".to_owned(), name: String::new(), password: None };
        let error = write.create_user(&again).await.unwrap_err();
        assert_eq!(error.to_string(), "user ann@example.com exists already");
        drop(write);
        for email in ["", "ann", "@", "a b@c", "ann@example.com\0"] {
            let mut write = test.catalog.begin().await.unwrap();
            let bad = NewUser { email: email.to_owned(), name: String::new(), password: None };
            let error = write.create_user(&bad).await.unwrap_err();
            assert!(matches!(error, CatalogError::Invalid { .. }), "{email:?}: {error}");
        }
    }

    async fn a_session_ends_when_idle_or_old(test: Test) {
        let catalog = &test.catalog;
        let id = user(catalog, "ann@example.com", Some("correct horse")).await;
        let ann = proven(catalog, "correct horse").await.unwrap();
        let begin = async || {
            let mut write = catalog.begin().await.unwrap();
            let begun =
                write.start_session(&ann, LIFETIME, Some("192.0.2.7"), Some("browser")).await;
            let (token, _) = begun.unwrap().unwrap();
            write.commit().await.unwrap();
            token
        };
        let lives = async |token: &Secret| catalog.session(token).await.unwrap().is_some();

        let token = begin().await;
        let (session, user) = catalog.session(&token).await.unwrap().unwrap();
        assert_eq!((session.user, user.id), (id, id));
        assert_eq!(session.address.as_deref(), Some("192.0.2.7"));
        assert_eq!(user.last_sign_in, Some(catalog.now()));
        assert!(!lives(&Secret::new("0".repeat(64))).await);

        // Used every half hour it lives on, to the end of its twelve hours.
        for _ in 0..23 {
            test.clock.advance(seconds(1800));
            assert!(lives(&token).await);
        }
        test.clock.advance(seconds(1800));
        assert!(!lives(&token).await);

        let idle = begin().await;
        test.clock.advance(seconds(3599));
        assert!(lives(&idle).await);
        test.clock.advance(hours(1));
        assert!(!lives(&idle).await);
        test.clock.advance(hours(12));
        assert_eq!(catalog.sweep_sessions().await.unwrap(), 2);
    }

    async fn a_new_password_or_a_disabled_user_ends_all_sessions(test: Test) {
        let catalog = &test.catalog;
        let id = user(catalog, "ann@example.com", Some("correct horse")).await;
        let hashed = HashedPassword::of(Secret::new("another horse")).await.unwrap();
        for (disable, password) in [(false, "correct horse"), (true, "another horse")] {
            let ann = proven(catalog, password).await.unwrap();
            let begin = async || {
                let mut write = catalog.begin().await.unwrap();
                let begun = write.start_session(&ann, LIFETIME, None, None).await.unwrap();
                write.commit().await.unwrap();
                begun
            };
            let (token, _) = begin().await.unwrap();
            assert!(catalog.session(&token).await.unwrap().is_some());
            let mut write = catalog.begin().await.unwrap();
            if disable {
                write.set_user_disabled(id, true).await.unwrap();
            } else {
                write.set_password(id, &hashed).await.unwrap();
            }
            write.commit().await.unwrap();
            assert!(catalog.session(&token).await.unwrap().is_none(), "disabled: {disable}");
            // Nor does one begin for who has shown the password before.
            assert!(begin().await.is_none(), "disabled: {disable}");
        }
        let mut write = catalog.begin().await.unwrap();
        write.set_user_disabled(id, false).await.unwrap();
        write.commit().await.unwrap();
        let ann = proven(catalog, "another horse").await.unwrap();
        let mut write = catalog.begin().await.unwrap();
        let (token, _) = write.start_session(&ann, LIFETIME, None, None).await.unwrap().unwrap();
        assert!(write.end_session(&token).await.unwrap());
        assert!(!write.end_session(&token).await.unwrap());
    }

    async fn an_api_key_opens_until_it_is_removed(test: Test) {
        let catalog = &test.catalog;
        let mut write = catalog.begin().await.unwrap();
        let account =
            write.create_service_account("terraform", "plans", Some("ann")).await.unwrap();
        let (key, secret) = write.create_api_key(account.id, "ci").await.unwrap();
        let (other, other_secret) = write.create_api_key(account.id, "laptop").await.unwrap();
        let changed = write.change_service_account(account.id, None, Some("x")).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!((changed.name.as_str(), changed.description.as_str()), ("terraform", "x"));
        assert!(secret.expose().starts_with(&key.prefix));

        let (found, whose) = catalog.authenticate(&secret).await.unwrap().unwrap();
        assert_eq!((found.id, whose.id), (key.id, account.id));
        assert_eq!(found.last_used, Some(catalog.now()));
        test.clock.advance(seconds(59));
        let (found, _) = catalog.authenticate(&secret).await.unwrap().unwrap();
        assert_eq!(found.last_used, Some(catalog.now() - seconds(59)), "written once a minute");
        assert_eq!(catalog.api_key(key.id).await.unwrap(), found);

        // The prefix alone, another key's end, and nonsense open nothing.
        let end = other_secret.expose().rsplit_once('_').unwrap().1;
        for wrong in [key.prefix.clone(), format!("{}_{end}", key.prefix), "_\0".to_owned()] {
            assert!(catalog.authenticate(&Secret::new(wrong)).await.unwrap().is_none());
        }
        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.rename_api_key(key.id, "build").await.unwrap().name, "build");
        write.delete_api_key(key.id).await.unwrap();
        assert!(write.delete_api_key(key.id).await.is_err());
        write.commit().await.unwrap();
        assert!(catalog.authenticate(&secret).await.unwrap().is_none());

        let left = catalog.api_keys(Some(account.id), &Page::default()).await.unwrap().items;
        assert_eq!(left.iter().map(|key| key.id).collect::<Vec<_>>(), [other.id]);
        let mut write = catalog.begin().await.unwrap();
        write.delete_service_account(account.id).await.unwrap();
        write.commit().await.unwrap();
        assert!(catalog.authenticate(&other_secret).await.unwrap().is_none());
        let all = AccountFilter::default();
        assert!(catalog.service_accounts(&all, &Page::default()).await.unwrap().items.is_empty());
    }

    async fn roles_are_granted_and_taken_away(test: Test) {
        let catalog = &test.catalog;
        let ann = Grantee::User(user(catalog, "ann@example.com", None).await);
        let cluster = test.cluster("ledger").await;
        let on = Resource::Cluster(cluster.id);
        let mut write = catalog.begin().await.unwrap();
        assert!(write.grant(ann, Role::ClusterAdmin, on).await.unwrap());
        assert!(!write.grant(ann, Role::ClusterAdmin, on).await.unwrap());
        assert!(write.grant(ann, Role::ClusterDeveloper, on).await.unwrap());
        assert!(write.revoke(ann, Role::ClusterDeveloper, on).await.unwrap());
        assert!(!write.revoke(ann, Role::ClusterDeveloper, on).await.unwrap());
        let nobody = Grantee::User(UserId::new());
        assert!(write.grant(nobody, Role::OrgMember, on).await.is_err());
        write.commit().await.unwrap();
        let grants = catalog.grants_of(ann).await.unwrap();
        assert_eq!(grants.len(), 1);
        assert_eq!((grants[0].role, grants[0].on), (Role::ClusterAdmin, on));
        assert_eq!(catalog.grants_on(on).await.unwrap(), grants);
    }

    async fn the_last_administrator_stays(test: Test) {
        let catalog = &test.catalog;
        let password = Some("correct horse");
        let (ann, bob) = (
            user(catalog, "ann@example.com", password).await,
            user(catalog, "bob@example.com", password).await,
        );
        // Who was invited and has no password yet can not sign in, and does not count.
        let invited = user(catalog, "carl@example.com", None).await;
        let mut write = catalog.begin().await.unwrap();
        let on = Resource::Organization(write.ensure_organization("x").await.unwrap().id);
        for id in [ann, bob, invited] {
            write.grant(Grantee::User(id), Role::OrgAdmin, on).await.unwrap();
        }
        write.commit().await.unwrap();

        // Each replica removes "the other" one, at the same time: one of them is refused.
        let replica = test.replica().await;
        let disable = async |catalog: &Catalog, id| {
            let mut write = catalog.begin().await?;
            write.set_user_disabled(id, true).await?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            write.commit().await
        };
        let (one, other) = tokio::join!(disable(catalog, ann), disable(&replica, bob));
        assert_eq!(one.is_ok() as u8 + other.is_ok() as u8, 1, "{one:?} {other:?}");
        let last = if one.is_ok() { bob } else { ann };

        let mut write = catalog.begin().await.unwrap();
        assert!(write.revoke(Grantee::User(last), Role::OrgAdmin, on).await.is_err());
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        assert!(write.delete_user(last).await.is_err());
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        assert!(write.set_grants(Grantee::User(last), &[(Role::OrgMember, on)]).await.is_err());
        drop(write);
        assert_eq!(catalog.grants_of(Grantee::User(last)).await.unwrap().len(), 1);
    }

    async fn a_clock_that_is_set_back_hides_no_event_from_who_follows_the_log(test: Test) {
        let follower = Follower::default();
        for name in ["first", "second", "third"] {
            let mut write = test.catalog.begin().await.unwrap();
            let event = NewEvent::done(Actor::system("x"), name, "cluster");
            write.record(&event).await.unwrap();
            write.commit().await.unwrap();
            test.clock.advance(seconds(5));
            follower.read(&test.catalog).await;
            test.clock.advance(-seconds(7));
        }
        test.clock.advance(seconds(60));
        follower.read(&test.catalog).await;
        assert_eq!(follower.names(), ["first", "second", "third"]);
    }

    async fn whoever_follows_the_log_misses_nothing(test: Test) {
        // On SQLite nobody else can begin to write before the first one has ended.
        if test.catalog.dialect() == Dialect::Sqlite {
            return;
        }
        let follower = Follower::default();
        let event = |name: &str| NewEvent::done(Actor::system("x"), name, "cluster");
        // The clock of this replica is behind.
        let keys = KeySource::File(test.key_file.clone());
        let behind = Arc::new(FakeClock::at(test.catalog.now() - seconds(30)));
        let behind = Catalog::open(&test.address, keys, behind).await.unwrap();

        let mut early = test.catalog.begin().await.unwrap();
        early.record(&event("began early")).await.unwrap();
        test.clock.advance(seconds(1));
        let mut late = test.catalog.begin().await.unwrap();
        late.record(&event("began late")).await.unwrap();
        late.commit().await.unwrap();
        follower.read(&test.catalog).await;
        early.commit().await.unwrap();
        follower.read(&test.catalog).await;
        let mut write = behind.begin().await.unwrap();
        write.record(&event("behind")).await.unwrap();
        write.commit().await.unwrap();
        follower.read(&test.catalog).await;
        assert_eq!(follower.names(), ["began late", "began early", "behind"]);

        // Many at once, from both.
        let follower = Arc::new(follower);
        let mut writing = tokio::task::JoinSet::new();
        for writer in 0..8_u64 {
            let (read, follower) = (test.catalog.clone(), follower.clone());
            let catalog = if writer % 2 == 0 { read.clone() } else { behind.clone() };
            writing.spawn(async move {
                for number in 0..20 {
                    let mut write = catalog.begin().await.unwrap();
                    write.record(&event(&format!("{writer}.{number}"))).await.unwrap();
                    let pause = std::time::Duration::from_millis((writer + number) % 5);
                    tokio::time::sleep(pause).await;
                    write.commit().await.unwrap();
                    follower.read(&read).await;
                }
            });
        }
        writing.join_all().await;
        follower.read(&test.catalog).await;
        let names = follower.names();
        assert_eq!(names.len(), 3 + 8 * 20);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    async fn events_are_kept_with_their_change_or_not_at_all(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await;
        let event = |action: &str| NewEvent {
            object_id: Some(cluster.id.to_string()),
            object_name: Some(cluster.name.clone()),
            cluster: Some(cluster.id),
            address: Some("192.0.2.7".to_owned()),
            outcome: Outcome::Refused,
            details: json!({"to": "s3://b?AWS_SECRET_ACCESS_KEY=hush", "password": "hush", "n": 1}),
            ..NewEvent::done(Actor::system("scheduler"), action, "cluster")
        };
        let mut write = catalog.begin().await.unwrap();
        write.record(&event("lost")).await.unwrap();
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        write.record(&event("kept")).await.unwrap();
        write.commit().await.unwrap();

        let events = catalog.audit_events(&EventFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(events.items.len(), 1);
        let kept = &events.items[0];
        assert_eq!((kept.at, kept.event.action.as_str()), (catalog.now(), "kept"));
        assert_eq!(kept.event.actor, Actor::system("scheduler"));
        assert_eq!(
            kept.event.details,
            json!({"to": "s3://b?AWS_SECRET_ACCESS_KEY=redacted", "password": "redacted", "n": 1})
        );
        for (filter, count) in [
            (EventFilter { cluster: Some(cluster.id), ..EventFilter::default() }, 1),
            (EventFilter { actions: vec!["kept".into(), "x".into()], ..EventFilter::default() }, 1),
            (EventFilter { actions: vec!["x".into()], ..EventFilter::default() }, 0),
            (EventFilter { from: Some(kept.at), ..EventFilter::default() }, 1),
            (EventFilter { until: Some(kept.at), ..EventFilter::default() }, 0),
            (EventFilter { actor: Some(cluster.id.uuid()), ..EventFilter::default() }, 0),
        ] {
            let found = catalog.audit_events(&filter, &Page::default()).await.unwrap();
            assert_eq!(found.items.len(), count, "{filter:?}");
        }
    }
}
