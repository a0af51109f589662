//! `strongroom rekey`: gives a collection's encrypted backups another key.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_dataplane::{Error, Kind, Result, collection};

use crate::args::{InCollection, KeyArgs, read_key_file};
use crate::output;

/// Change the key of every encrypted backup in a collection
#[derive(Debug, Args)]
#[command(after_help = "\
Only the small envelopes that hold the backups' own keys are written anew; afterwards the old key
opens nothing in the collection. If it is interrupted, run it again.

Example:
  openssl rand -hex 32 > new.key
  strongroom rekey --in file:///var/backups/shop --key-file old.key --new-key-file new.key")]
pub(crate) struct RekeyArgs {
    #[command(flatten)]
    collection: InCollection,

    #[command(flatten)]
    key: KeyArgs,

    /// The new key: a file of 32 bytes, 64 hexadecimal digits, or a passphrase
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
}

/// What is told of a finished change.
#[derive(Serialize)]
struct Rekeyed<'a> {
    collection: &'a str,
    rekeyed: u64,
}

impl RekeyArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let store = self.collection.open()?;
        let old = self.key.secret()?.ok_or_else(|| {
            Error::new(Kind::Usage, "the present key is missing")
                .hint("give it with --key-file, or a passphrase in STRONGROOM_PASSPHRASE")
        })?;
        let new = read_key_file(&self.new_key_file)?;
        let rekeyed = collection::rotate_keys(&store, &old, &new).await?;
        let collection = store.shown();
        Ok(if json {
            output::json(&Rekeyed { collection, rekeyed })
        } else {
            let backups = output::counted(rekeyed, "backup");
            format!(
                "{backups} in {collection} changed to the new key; the old one opens nothing there"
            )
        })
    }
}
