//! Restoring a whole cluster: every database staged, then all names exchanged in one transaction.
//!
//! ```text
//! missing roles -> stage every database -> hub -> [ swap all names, set roles ] -> drop the old
//! ```
//!
//! The old databases keep their names and rows until everything new is loaded and checked, and
//! `ALTER DATABASE ... RENAME` is transactional: one transaction moves all old databases to hidden
//! names, all new ones to theirs, and brings the roles to where the backup has them. It runs in a
//! session of its own small database, the *hub*, since no session can rename the database it is in.
//!
//! Crash cases. Before the swap commits, the next restore removes staged databases, hub and early
//! roles. After it, the old databases have hidden names of the same run, and are removed likewise:
//! they are what the restore was asked to replace.

use std::collections::HashSet;

use strongroom_format::contents::Role;
use strongroom_format::manifest::Targets;

use super::database::{self, StageJob, stop_if};
use super::fence;
use super::plan::Creation;
use super::staging::Staging;
use super::{Plan, RestoreOptions, Restored};
use crate::collection::Backup;
use crate::postgres::archive::Archive;
use crate::postgres::catalog;
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal};
use crate::progress::Progress;
use crate::{CancellationToken, Error, Kind, Result, failpoint};

pub(super) async fn plan(backup: &Backup, options: &RestoreOptions) -> Result<Plan> {
    if backup.manifest.targets != Targets::Cluster {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "backup {} is of {} level: a full cluster restore can only be run from a full cluster backup",
                backup.manifest.id,
                backup.manifest.targets.level()
            ),
        )
        .hint("restore its databases or tables instead"));
    }
    let client = Client::connect(&options.to, &options.to.database, "strongroom restore").await?;
    let mut plan = database::begin(backup, options, &client).await?;
    let sql = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    if client.scalar(sql).await?.as_deref() != Some("t") {
        return Err(Error::new(
            Kind::Denied,
            format!("role \"{}\" is no superuser on {}", options.to.user, options.to),
        )
        .hint("a cluster restore sets roles and replaces databases of all owners: connect as a superuser"));
    }
    for existing in catalog::databases(&client).await? {
        plan.replaces.push(format!("database {}", existing.name));
    }
    let present: HashSet<String> = catalog::role_names(&client).await?.into_iter().collect();
    for role in &backup.contents.roles {
        if present.contains(&role.name) {
            plan.replaces
                .push(format!("role {} (options, password, settings, memberships)", role.name));
        } else {
            plan.creates.push(Creation {
                kind: "role".to_owned(),
                name: role.name.clone(),
                from: None,
                rows: None,
            });
        }
    }
    let coming: HashSet<String> =
        backup.contents.roles.iter().map(|role| role.name.clone()).collect();
    for database in &backup.contents.databases {
        database::add_database(&mut plan, database, &database.name);
        let archive = Archive::parse(&backup.schema(database).await?)?;
        database::add_missing(&mut plan, &client, options, database, &archive.entries, &coming)
            .await?;
    }
    for omission in &backup.manifest.omissions {
        plan.notes.push(format!("{} is not in the backup: {}", omission.object, omission.reason));
    }
    Ok(plan)
}

pub(super) async fn run(
    backup: &Backup,
    options: &RestoreOptions,
    plan: Plan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    failpoint::pass("restore.before-staging")?;
    let mut staging = Staging::begin(&options.to).await?;
    // No session may be inside a database that is renamed, our own keeper included.
    let hub = staging.name();
    let made = async {
        let sql = format!("CREATE DATABASE {} TEMPLATE template0", ident(&hub));
        staging.keeper().batch_execute(&sql).await?;
        staging.move_keeper(&hub).await
    };
    if let Err(error) = made.await {
        staging.abandon(progress).await;
        return Err(error);
    }
    let job = StageJob { backup, options, staging: &staging, progress, cancel };
    let restored = async {
        let (exchange, restored) = tokio::select! {
            staged = stage(&job, &hub, plan) => staged?,
            () = cancel.cancelled() => {
                return Err(Error::new(Kind::Cancelled, "the restore was stopped"));
            }
        };
        exchange.commit(&job, &restored).await?;
        failpoint::pass("restore.after-publish")?;
        Ok(restored)
    };
    let restored = restored.await;
    // Staged databases before the swap, replaced ones after it: both have the run's hidden names.
    let restored = match restored {
        Ok(restored) => {
            failpoint::pass("restore.before-drop")?;
            progress.step("removing the replaced databases");
            restored
        }
        Err(error) => {
            staging.abandon(progress).await;
            return Err(error);
        }
    };
    staging.abandon(progress).await;
    failpoint::pass("restore.after-drop")?;
    Ok(restored)
}

/// Stages every database, and exchanges all names in a transaction that is left open.
async fn stage(job: &StageJob<'_>, hub: &str, plan: Plan) -> Result<(Exchange, Restored)> {
    let StageJob { backup, options, staging, progress, cancel } = *job;
    let mut notes = plan.notes.clone();
    create_missing_roles(staging, &backup.contents.roles).await?;
    let mut staged = Vec::new();
    for database in &backup.contents.databases {
        let done = job.stage(database).await?;
        notes.extend(done.notes);
        staged.push((done.name, database.name.clone()));
    }
    stop_if(cancel)?;
    progress.step("exchanging the databases");
    failpoint::pass("restore.before-publish")?;
    let exchange = Exchange::begin(options, staging, hub, &staged, &backup.contents.roles).await;
    let exchange = exchange.map_err(|error| error.context("exchanging the databases"))?;
    notes.push(format!(
        "role \"{}\", which this restore is connected as, keeps its password and options",
        options.to.user
    ));
    let created = backup.contents.databases.iter().map(|database| database.name.clone()).collect();
    Ok((exchange, Restored::planned(&plan, created, notes)))
}

/// Creates the roles that the target lacks, unable to log in, and marked as staged. Those that will
/// be superusers are so at once: nobody else can own a foreign-data wrapper or an event trigger.
async fn create_missing_roles(staging: &Staging, roles: &[Role]) -> Result<()> {
    let keeper = staging.keeper();
    let present: HashSet<String> = catalog::role_names(keeper).await?.into_iter().collect();
    let mut script = String::from("BEGIN;\n");
    for role in roles.iter().filter(|role| !present.contains(&role.name)) {
        let (name, mark) = (ident(&role.name), literal(&staging.role_mark()));
        let superuser = match role.options.split(' ').any(|option| option == "SUPERUSER") {
            true => "SUPERUSER",
            false => "NOSUPERUSER",
        };
        script.push_str(&format!(
            "CREATE ROLE {name} NOLOGIN {superuser};\nCOMMENT ON ROLE {name} IS {mark};\n"
        ));
    }
    script.push_str("COMMIT;\n");
    keeper.batch_execute(&script).await?;
    Ok(())
}

/// An open transaction that has exchanged all names and set the roles.
struct Exchange {
    session: Client,
    /// A second session, beside it.
    helper: Client,
}

impl Exchange {
    /// Exchanges all names in one transaction, and sets the roles.
    ///
    /// `RENAME` takes a lock that keeps new sessions out of the database, and then waits a few seconds
    /// for those inside to leave. A second session ends them meanwhile.
    async fn begin(
        options: &RestoreOptions,
        staging: &Staging,
        hub: &str,
        staged: &[(String, String)],
        roles: &[Role],
    ) -> Result<Self> {
        let worker = staging.worker();
        let session = Client::connect(&options.to, hub, &worker).await?;
        let helper = Client::connect(&options.to, hub, &worker).await?;
        let old = catalog::databases(&session).await?;
        let mut script = String::from("BEGIN;\n");
        for database in &old {
            let (name, hidden) = (ident(&database.name), ident(&staging.name()));
            script.push_str(&format!("ALTER DATABASE {name} RENAME TO {hidden};\n"));
        }
        for (hidden, name) in staged {
            script.push_str(&format!(
                "ALTER DATABASE {} RENAME TO {};\n",
                ident(hidden),
                ident(name)
            ));
        }
        let version_num = catalog::version_num(&session).await?;
        let sql = "SELECT rolname::text FROM pg_roles WHERE rolvaliduntil IS NOT NULL";
        let expiring: HashSet<String> =
            session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
        for role in roles {
            let own = role.name == options.to.user;
            let expires = expiring.contains(&role.name);
            script.push_str(&role_statements(role, own, expires, version_num));
        }
        let names: Vec<String> = old
            .iter()
            .map(|database| database.name.clone())
            .chain(staged.iter().map(|(hidden, _)| hidden.clone()))
            .collect();
        // Stopped once everything is renamed: its query must not run on into the new databases, and
        // end there whoever comes first, our own clean-up included.
        let renamed = CancellationToken::new();
        let evict = async {
            while !renamed.is_cancelled() {
                let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
                       WHERE datname = ANY ($1)";
                // A failure here shows as the failure of the rename that waits for it.
                let _ = helper.query(sql, &[&names]).await;
                let pause = std::time::Duration::from_millis(50);
                let _ = tokio::time::timeout(pause, renamed.cancelled()).await;
            }
        };
        let rename = async {
            let done = session.batch_execute(&script).await;
            renamed.cancel();
            done
        };
        let (done, ()) = tokio::join!(rename, evict);
        done?;
        Ok(Exchange { session, helper })
    }

    async fn commit(self, job: &StageJob<'_>, restored: &Restored) -> Result<()> {
        let Exchange { session, helper } = self;
        fence::commit(&session, &helper, &job.options.fence, restored, job.cancel)
            .await
            .map_err(|error| error.context("exchanging the databases"))
    }
}

/// Brings a role, which exists by now, to where the backup has it. Our `own` role keeps what lets
/// it log in: nobody is to lock himself out by a restore.
fn role_statements(role: &Role, own: bool, expires: bool, version_num: u32) -> String {
    let name = ident(&role.name);
    let mut text = format!("ALTER ROLE {name} RESET ALL;\n");
    if !own {
        text.push_str(&format!("ALTER ROLE {name} WITH {};\n", role.options));
        if expires && !role.options.contains("VALID UNTIL") {
            text.push_str(&format!("ALTER ROLE {name} VALID UNTIL 'infinity';\n"));
        }
        if !role.password_unknown {
            let password = role.password.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            text.push_str(&format!("ALTER ROLE {name} PASSWORD {password};\n"));
        }
    }
    for setting in &role.settings {
        text.push_str(&format!("ALTER ROLE {name} {setting};\n"));
    }
    let comment = role.comment.as_deref().map_or_else(|| "NULL".to_owned(), literal);
    text.push_str(&format!("COMMENT ON ROLE {name} IS {comment};\n"));
    for membership in &role.member_of {
        let mut options = Vec::new();
        if version_num >= 160000 {
            options.push(format!("ADMIN {}", membership.admin));
            options.extend(membership.inherit.map(|inherit| format!("INHERIT {inherit}")));
            options.extend(membership.set.map(|set| format!("SET {set}")));
        } else if membership.admin {
            options.push("ADMIN OPTION".to_owned());
        }
        let options = if options.is_empty() {
            String::new()
        } else {
            format!(" WITH {}", options.join(", "))
        };
        text.push_str(&format!("GRANT {} TO {name}{options};\n", ident(&membership.role)));
    }
    text
}
