//! `strongroom users`: who can sign in, managed on the service's machine. For the first administrator,
//! and for when nobody knows a password any more.
//!
//! It works on the catalog itself, beside a running service or without one; what it does is in the
//! audit log, as done by `command line`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use strongroom_catalog::SystemClock;
use strongroom_catalog::grants::Role;
use strongroom_catalog::page::MAX_LIMIT;
use strongroom_controlplane::model::{Page, Resource, Secret};
use strongroom_controlplane::{App, Caller, Config, Person, generated_password};
use strongroom_dataplane::{Error, Kind, Result};
use zeroize::Zeroizing;

use super::serve::{CatalogArgs, service_error};
use crate::output;

/// No password is longer; a device that never ends must not fill the memory.
const LARGEST_PASSWORD: u64 = 4096;

/// Manage who can sign in to the service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom users create --data-dir /var/lib/strongroom \\
      --email ann@example.org --name Ann --role ORG_ADMIN
  strongroom users set-password --data-dir /var/lib/strongroom --email ann@example.org
  strongroom users list --data-dir /var/lib/strongroom")]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(CreateArgs),
    List(ListArgs),
    SetPassword(SetPasswordArgs),
}

/// Make a user
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  strongroom users create --data-dir /var/lib/strongroom \\
      --email ann@example.org --name Ann --role ORG_ADMIN --password-file ann.txt")]
struct CreateArgs {
    #[command(flatten)]
    catalog: CatalogArgs,

    /// The address to sign in with
    #[arg(long, value_name = "E-MAIL")]
    email: String,

    /// The name to show [default: the address]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// A role in the organization; may be given several times. All users are ORG_MEMBER
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,

    #[command(flatten)]
    password: PasswordArgs,
}

/// List all users
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  strongroom users list --data-dir /var/lib/strongroom")]
struct ListArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// Give a user another password; all sessions of the user end
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  strongroom users set-password --data-dir /var/lib/strongroom --email ann@example.org")]
struct SetPasswordArgs {
    #[command(flatten)]
    catalog: CatalogArgs,

    /// The address that the user signs in with
    #[arg(long, value_name = "E-MAIL")]
    email: String,

    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
struct PasswordArgs {
    /// A file whose first line is the password; - reads the standard input. Without it, a password is
    /// made up and printed once
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A password, and whether it was made up here and must be shown.
struct Password {
    secret: Secret,
    made_up: bool,
}

impl PasswordArgs {
    fn read(&self) -> Result<Password> {
        let Some(file) = &self.password_file else {
            return Ok(Password { secret: generated_password(), made_up: true });
        };
        let shown = file.display();
        let failed = |error: std::io::Error| {
            Error::new(Kind::Failed, format!("the password file {shown}: {error}"))
                .hint("check the name, and who may read it")
        };
        let mut text = Zeroizing::new(String::new());
        if file.as_os_str() == "-" {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                output::ask("password (it is shown as you type): ");
            }
            let mut lines = stdin.lock().take(LARGEST_PASSWORD);
            std::io::BufRead::read_line(&mut lines, &mut text).map_err(failed)?;
        } else {
            let file = std::fs::File::open(file).map_err(failed)?;
            file.take(LARGEST_PASSWORD).read_to_string(&mut text).map_err(failed)?;
        }
        let line = text.lines().next().unwrap_or_default();
        Ok(Password { secret: Secret::new(line), made_up: false })
    }
}

/// A user, as this command prints it.
#[derive(Serialize)]
struct Shown {
    id: String,
    email: String,
    name: String,
    disabled: bool,
    has_password: bool,
    last_sign_in: Option<jiff::Timestamp>,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl Shown {
    fn new(person: Person, password: Option<Password>) -> Self {
        let role = |grant: &strongroom_controlplane::model::Grant| match grant.on {
            Resource::Organization(_) => grant.role.name().to_owned(),
            on => format!("{} on {} {}", grant.role, on.kind(), on.id()),
        };
        let password = password.filter(|password| password.made_up);
        Shown {
            roles: person.grants.iter().map(role).collect(),
            id: person.user.id.to_string(),
            email: person.user.email,
            name: person.user.name,
            disabled: person.user.disabled_at.is_some(),
            has_password: person.user.has_password,
            last_sign_in: person.user.last_sign_in,
            password: password.map(|password| password.secret.expose().to_owned()),
        }
    }

    fn told(&self, what: &str, json: bool) -> String {
        if json {
            return output::json(self);
        }
        let mut text = format!("{what} {}\n", self.email);
        if let Some(password) = &self.password {
            text += &format!("password: {password}\nIt is not shown again.\n");
        }
        text
    }
}

impl UsersArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        match self.verb {
            Verb::Create(args) => args.run(json).await,
            Verb::List(args) => args.run(json).await,
            Verb::SetPassword(args) => args.run(json).await,
        }
    }
}

/// The service as this command uses it: without workers, as itself.
async fn open(args: &CatalogArgs) -> Result<(App, Caller)> {
    let catalog = args.open(Arc::new(SystemClock)).await?;
    let app = App::start(catalog, Config::new(&args.data_dir)).await.map_err(service_error)?;
    Ok((app, Caller::system("command line")))
}

impl CreateArgs {
    async fn run(self, json: bool) -> Result<String> {
        let password = self.password.read()?;
        let (app, caller) = open(&self.catalog).await?;
        let organization = app.organization().await.map_err(service_error)?;
        let on = Resource::Organization(organization.id);
        let roles: Vec<_> = self.roles.iter().map(|role| (*role, on)).collect();
        let name = self.name.as_deref().unwrap_or(&self.email);
        let secret = Some(password.secret.clone());
        let made = app.create_user(&caller, &self.email, name, secret, &roles).await;
        let shown = Shown::new(made.map_err(service_error)?, Some(password));
        app.catalog().close().await;
        Ok(shown.told("made the user", json))
    }
}

impl ListArgs {
    async fn run(self, json: bool) -> Result<String> {
        let (app, caller) = open(&self.catalog).await?;
        let (mut shown, mut page) = (Vec::new(), Some(Page::first(MAX_LIMIT)));
        while let Some(at) = page {
            let listed = app.users(&caller, &at).await.map_err(service_error)?;
            page = listed.next_page();
            shown.extend(listed.items.into_iter().map(|person| Shown::new(person, None)));
        }
        app.catalog().close().await;
        if json {
            return Ok(output::json(&serde_json::json!({ "users": shown })));
        }
        let rows = shown.into_iter().map(|user| {
            let state = match (user.disabled, user.has_password) {
                (true, _) => "disabled",
                (false, false) => "no password",
                (false, true) => "active",
            };
            vec![user.email, user.name, state.to_owned(), user.roles.join(", ")]
        });
        Ok(output::table(&["E-MAIL", "NAME", "STATE", "ROLES"], rows))
    }
}

impl SetPasswordArgs {
    async fn run(self, json: bool) -> Result<String> {
        let password = self.password.read()?;
        let (app, caller) = open(&self.catalog).await?;
        let person = app.person_by_email(&caller, &self.email).await.map_err(service_error)?;
        let secret = password.secret.clone();
        app.set_password(&caller, person.user.id, secret, None).await.map_err(service_error)?;
        let shown = Shown::new(person, Some(password));
        app.catalog().close().await;
        Ok(shown.told("set the password of", json))
    }
}
