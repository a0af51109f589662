//! `strongroom catalog`: what can be done with the service's catalog from outside of the service.

use std::sync::Arc;

use clap::{Args, Subcommand};
use strongroom_catalog::{MasterKeys, Secret, SystemClock};
use strongroom_controlplane::rebuild::Rebuilt;
use strongroom_controlplane::{App, Caller, Config};
use strongroom_dataplane::{Error, Kind, Result};

use super::serve::{CatalogArgs, catalog_error, service_error};
use crate::output;

/// Repair the service's catalog
#[derive(Debug, Args)]
pub(crate) struct CatalogCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rebuild(RebuildArgs),
    AddKey(KeyArgs),
    RetireKey(RetireArgs),
}

/// Begin a rotation of the master key: put a new key before the present one
#[derive(Debug, Args)]
#[command(after_help = "\
The file then holds both, and everything works on. Copy it to every replica, restart all of them, and
end the rotation with strongroom catalog retire-key.

Example:
  strongroom catalog add-key --data-dir /var/lib/strongroom")]
struct KeyArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// End a rotation of the master key: seal everything with the newest key, and remove the others
#[derive(Debug, Args)]
#[command(after_help = "\
Every replica must have been restarted with the file that strongroom catalog add-key has made: one
that was not seals with a key that is removed here.

Example:
  strongroom catalog retire-key --data-dir /var/lib/strongroom")]
struct RetireArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
}

/// Make the catalog agree with the backups in the storage locations
#[derive(Debug, Args)]
#[command(after_help = "\
After a catalog was lost or put back from an old copy. With --in, the location is made if the catalog
does not know it; so an empty data directory and the URL are enough. Clusters come back by their ids
and names, backups by their ids. Clusters that come back are locked until somebody says how to connect
to them. The service may run meanwhile.

The key of encrypted backups comes from the environment: STRONGROOM_PASSPHRASE.

Examples:
  strongroom catalog rebuild --data-dir /var/lib/strongroom
  strongroom catalog rebuild --data-dir /var/lib/strongroom \\
      --in 's3://bucket/backups?AWS_REGION=eu-central-1' --region eu-central-1")]
struct RebuildArgs {
    #[command(flatten)]
    catalog: CatalogArgs,

    /// A storage location to read, too, whether or not the catalog knows it
    #[arg(long = "in", value_name = "COLLECTION")]
    location: Option<String>,

    /// The region that it lies in, if the catalog does not know it
    #[arg(long, value_name = "REGION", default_value = "local", requires = "location")]
    region: String,
}

impl CatalogCommand {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        match self.what {
            What::Rebuild(args) => args.run(json).await,
            What::AddKey(args) => args.run(json).await,
            What::RetireKey(args) => args.run(json).await,
        }
    }
}

impl KeyArgs {
    async fn run(self, json: bool) -> Result<String> {
        // Opened first: a file that is not this catalog's key is not to be touched.
        self.catalog.open(Arc::new(SystemClock)).await?.close().await;
        let file = self.catalog.key_file();
        MasterKeys::add_to(&file).map_err(catalog_error)?;
        let shown = file.display().to_string();
        Ok(match json {
            true => output::json(&serde_json::json!({ "master_key_file": shown })),
            false => format!(
                "{} has a new key before the old one\nnext: copy it to every replica, restart all of \
                 them, then strongroom catalog retire-key\n",
                output::printable(&shown)
            ),
        })
    }
}

impl RetireArgs {
    async fn run(self, json: bool) -> Result<String> {
        let catalog = self.catalog.open(Arc::new(SystemClock)).await?;
        let sealed = catalog.reseal().await.map_err(catalog_error)?;
        catalog.close().await;
        let file = self.catalog.key_file();
        MasterKeys::retire_old_in(&file).map_err(catalog_error)?;
        let shown = file.display().to_string();
        Ok(match json {
            true => {
                output::json(&serde_json::json!({ "master_key_file": shown, "sealed": sealed }))
            }
            false => format!(
                "{sealed} secrets are sealed with the newest key, and {} has no other\n",
                output::printable(&shown)
            ),
        })
    }
}

impl RebuildArgs {
    async fn run(self, json: bool) -> Result<String> {
        let args = self;
        let catalog = args.catalog.open(Arc::new(SystemClock)).await?;
        let config = Config::new(&args.catalog.data_dir);
        let app = App::start(catalog.clone(), config).await.map_err(service_error)?;
        let caller = Caller::system("strongroom catalog rebuild");
        if let Some(url) = args.location {
            let key = match std::env::var("STRONGROOM_PASSPHRASE") {
                Ok(key) if !key.is_empty() => Some(Secret::new(key)),
                Ok(_) | Err(std::env::VarError::NotPresent) => None,
                Err(error) => {
                    return Err(Error::new(Kind::Key, format!("STRONGROOM_PASSPHRASE: {error}")));
                }
            };
            let name = format!("rebuilt {}", args.region);
            app.adopt_location(&caller, &name, &args.region, Secret::new(url), key)
                .await
                .map_err(service_error)?;
        }
        let rebuilt = app.rebuild(&caller).await.map_err(service_error)?;
        catalog.close().await;
        Ok(if json { output::json(&rebuilt) } else { text(&rebuilt) })
    }
}

fn text(rebuilt: &[Rebuilt]) -> String {
    let mut text = String::new();
    for location in rebuilt {
        text.push_str(&format!(
            "storage location {} ({})\n",
            output::printable(&location.location),
            output::printable(&location.url)
        ));
        let rows = location.clusters.iter().map(|cluster| {
            vec![
                output::printable(&cluster.name),
                cluster.id.to_string(),
                cluster.backups.to_string(),
                cluster.recorded.to_string(),
                cluster.forgotten.to_string(),
                (if cluster.came_back { "came back, locked" } else { "" }).to_owned(),
            ]
        });
        if location.clusters.is_empty() {
            text.push_str("holds no backups\n");
        } else {
            let headings = ["CLUSTER", "ID", ">BACKUPS", ">RECORDED", ">FORGOTTEN", "NOTE"];
            text.push_str(&output::table(&headings, rows));
        }
        for problem in location.clusters.iter().flat_map(|cluster| &cluster.problems) {
            text.push_str(&format!("note: {}\n", output::printable(problem)));
        }
    }
    text
}
