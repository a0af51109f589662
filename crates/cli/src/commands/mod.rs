//! The verbs, a file each. Every one of them returns its result as text, ready to be printed.

mod backup;
mod backups;
mod catalog;
mod diff;
mod prune;
mod rekey;
mod restore;
mod rows;
mod serve;
mod show;
mod simulate;
mod users;
mod verify;

use clap::Subcommand;
use strongroom_dataplane::Result;

use crate::args::Cli;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Backup(backup::BackupArgs),
    Backups(backups::BackupsArgs),
    Show(show::ShowArgs),
    Rows(rows::RowsArgs),
    Diff(diff::DiffArgs),
    Restore(restore::RestoreArgs),
    Verify(verify::VerifyArgs),
    Prune(prune::PruneArgs),
    Rekey(rekey::RekeyArgs),
    Serve(serve::ServeArgs),
    Users(users::UsersArgs),
    Catalog(catalog::CatalogCommand),
    #[command(hide = true)]
    Simulate(simulate::SimulateArgs),
}

/// Does what was asked for.
pub(crate) async fn run(cli: Cli) -> Result<String> {
    let json = cli.json;
    match cli.command {
        Command::Backup(args) => args.run(json).await,
        Command::Backups(args) => args.run(json).await,
        Command::Show(args) => args.run(json).await,
        Command::Rows(args) => args.run(json).await,
        Command::Diff(args) => args.run(json).await,
        Command::Restore(args) => args.run(json).await,
        Command::Verify(args) => args.run(json).await,
        Command::Prune(args) => args.run(json).await,
        Command::Rekey(args) => args.run(json).await,
        Command::Serve(args) => args.run().await,
        Command::Users(args) => args.run(json).await,
        Command::Catalog(args) => args.run(json).await,
        Command::Simulate(args) => args.run().await,
    }
}
