//! Running a drill: read everything, restore it into a throwaway cluster of this machine, compare.
//!
//! A drill changes nothing but its findings, so one that died is simply begun again, but not for ever:
//! it may have taken all of the machine's memory, and the service with it. Differences make
//! the job fail, so that they can not be overlooked; a drill that could not be held fails as well, with
//! no findings.

use serde_json::json;
use strongroom_catalog::drills::Findings;
use strongroom_catalog::jobs::{Ending, Failure};
use strongroom_dataplane::verify::{self, Drilled};
use tracing::warn;

use super::{Done, Running, progress};
use crate::{Result, alerts};

/// How the error of a drill that found something is called.
const DAMAGED: &str = "damaged";

pub(super) async fn run(running: &Running) -> Result<Done> {
    let app = &running.app;
    running.stop_if_wished()?;
    running.check_attempts()?;
    let drill = app.catalog().drill(running.job.id).await?;
    let backup = app.catalog().backup(drill.backup).await?;
    let opened = app.open_backup(&backup).await?;
    let listener = progress::listen(&running.progress);
    let workers = app.config().connections;
    let drilled = verify::drill(&opened, workers, &listener, &running.cancel).await?;
    note(running, drilled).await?;
    Ok(Done::Ended)
}

async fn note(running: &Running, drilled: Drilled) -> Result<()> {
    let Drilled { tables_checked, rows_checked, differences, notes } = drilled;
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let differences: Vec<String> = differences
        .into_iter()
        .map(|found| format!("{}: {}", found.object, found.message))
        .collect();
    let ending = match differences.as_slice() {
        [] => Ending::Succeeded(json!({ "notes": notes })),
        [first, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                1 => " (and 1 more difference)".to_owned(),
                more => format!(" (and {more} more differences)"),
            };
            warn!(differences = differences.len(), "the backup would not come back as it was");
            let message = format!("the backup would not come back as it was: {first}{more}");
            Ending::Failed(Failure { code: DAMAGED.to_owned(), message, hint: None })
        }
    };
    let findings = Findings {
        tables_checked: count(tables_checked),
        rows_checked: count(rows_checked),
        differences,
    };
    let mut write = running.app.catalog().begin().await?;
    write.set_findings(&running.lease, &findings).await?;
    write.finish_job(&running.lease, &ending).await?;
    if matches!(ending, Ending::Failed(_)) {
        write.enqueue(&alerts::job_failed(&running.job)).await?;
    }
    Ok(write.commit().await?)
}
