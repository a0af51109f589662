//! `strongroom simulate`: lets the service live through some time in the past, in a hurry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use strongroom_catalog::clusters::{AsGiven, ClusterFilter, ClusterSort, Provider};
use strongroom_catalog::jobs::JobFilter;
use strongroom_catalog::{Catalog, FakeClock, Order, Page, Secret};
use strongroom_controlplane::app::attach::{ClusterRequest, PlaceRequest};
use strongroom_controlplane::simulate::Simulation;
use strongroom_controlplane::{App, Caller, Config};
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

    /// Attach the clusters in this file first: a line each, of plan, name and URL
    #[arg(long, value_name = "FILE", requires = "from")]
    attach: Option<PathBuf>,

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
        let app = app.map_err(service_error)?;
        if let Some(file) = &self.attach {
            attach(&app, file).await?;
        }
        let simulation = Simulation::new(app, clock);
        let lived = simulation.run_until(self.until, async |_| {}).await;
        catalog.close().await;
        lived.map_err(service_error).map(|()| String::new())
    }
}

/// Attaches the clusters that a file names.
async fn attach(app: &App, file: &Path) -> Result<()> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::new(Kind::Usage, format!("{shown}: {error}")))?;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [plan, name, url] = words[..] else {
            let message =
                format!("{shown}: a line has {} words, not plan, name and URL", words.len());
            return Err(Error::new(Kind::Usage, message));
        };
        let request = ClusterRequest {
            name: name.to_owned(),
            url: Some(Secret::new(url)),
            plan: Some(plan.parse().map_err(catalog_error)?),
            provider: Provider::SelfHosted,
            place: PlaceRequest::default(),
            labels: BTreeMap::new(),
            delete_protection: false,
            as_given: AsGiven::default(),
            folder: None,
        };
        let caller = Caller::system("strongroom simulate");
        app.attach_cluster(&caller, request).await.map_err(service_error)?;
    }
    Ok(())
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
