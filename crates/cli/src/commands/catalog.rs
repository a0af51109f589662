//! `strongroom catalog`: what can be done with the service's catalog from outside of the service.

use std::sync::Arc;

use clap::{Args, Subcommand};
use strongroom_catalog::{Secret, SystemClock};
use strongroom_controlplane::rebuild::Rebuilt;
use strongroom_controlplane::{App, Caller, Config};
use strongroom_dataplane::{Error, Kind, Result};

use super::serve::{CatalogArgs, service_error};
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
        let What::Rebuild(args) = self.what;
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
