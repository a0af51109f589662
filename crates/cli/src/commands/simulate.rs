//! `strongroom simulate`: lets the service live through some time in the past, in a hurry.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use strongroom_catalog::clusters::{ClusterFilter, ClusterSort};
use strongroom_catalog::jobs::JobFilter;
use strongroom_catalog::{Catalog, FakeClock, Order, Page};
use strongroom_controlplane::simulate::Simulation;
use strongroom_controlplane::{App, Config};
use strongroom_dataplane::{Error, Kind, Result};

use super::serve::{CatalogArgs, catalog_error, service_error};

/// Do what the service would have done until a time in the past
#[derive(Debug, Args)]
#[command(after_help = "\
For demonstrations and tests, which need some history: backups that really exist, of the times at
which they would have been taken, made as fast as the machine can. The service must not run meanwhile.

Examples:
  strongroom simulate --data-dir demo --until 2026-11-22T12:00:00Z")]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    catalog: CatalogArgs,

    /// Where to begin [default: when the newest cluster was attached or job was made]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,

    /// Where to end
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
}

impl SimulateArgs {
    pub(crate) async fn run(self) -> Result<String> {
        let clock = Arc::new(FakeClock::at(self.from.unwrap_or(self.until)));
        let catalog = self.catalog.open(clock.clone()).await?;
        if self.from.is_none() {
            let Some(last) = last_known(&catalog).await.map_err(catalog_error)? else {
                return Err(Error::new(Kind::Usage, "the catalog knows no time to begin at")
                    .hint("give one with --from"));
            };
            clock.set(last);
        }
        let app = App::start(catalog.clone(), Config::new(&self.catalog.data_dir)).await;
        let simulation = Simulation::new(app.map_err(service_error)?, clock);
        let lived = simulation.run_until(self.until, async |_| {}).await;
        catalog.close().await;
        lived.map_err(service_error).map(|()| String::new())
    }
}

/// When something happened last, as far as the catalog knows.
async fn last_known(
    catalog: &Catalog,
) -> std::result::Result<Option<Timestamp>, strongroom_catalog::CatalogError> {
    let page = Page::first(1).order(Order::Descending);
    // As of the end of time: what was made after the clock's present is wanted, too.
    let page = Page { as_of: Some(Timestamp::MAX), ..page };
    let jobs = catalog.jobs(&JobFilter::default(), &page).await?;
    let filter = ClusterFilter {
        inactive: true,
        sort: Some(ClusterSort::CreatedAt),
        ..ClusterFilter::default()
    };
    let clusters = catalog.clusters(&filter, &page).await?;
    let jobs = jobs.items.iter().map(|job| job.created_at);
    Ok(jobs.chain(clusters.items.iter().map(|cluster| cluster.created_at)).max())
}
