//! Whether a store does what backups need of it, tried out with one small object.

use object_store::{ObjectStoreExt, PutMode, PutOptions};
use strongroom_format::layout;

use super::Store;
use crate::{Error, Kind, Result};

impl Store {
    /// Writes a small object, reads, lists and removes it, as backups and prunes will. Says which of
    /// these the store does not do.
    pub async fn check(&self) -> Result<()> {
        let probe = layout::new_probe();
        let path = probe.path();
        let bytes = format!("strongroom was here: {path}\n").into_bytes();
        if !self.create(&probe, bytes.clone()).await? {
            let shown = self.shown();
            return Err(Error::new(
                Kind::Failed,
                format!("{shown} says that {path} exists, which nobody has written"),
            ));
        }
        let tried = self.try_probe(&path, &bytes).await;
        // What was tried counts; whoever may not even delete is told of that below.
        let deleted = self.delete(&path).await;
        tried.and(deleted)?;
        match self.length(&path).await? {
            None => Ok(()),
            Some(_) => {
                Err(self.lacks("an object that was deleted is still there", "delete objects"))
            }
        }
    }

    async fn try_probe(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let read = self.get(path).await?;
        if read != bytes {
            return Err(self.lacks("it returns other bytes than were written", "keep bytes"));
        }
        // Ids of backups are claimed by this.
        let options = PutOptions { mode: PutMode::Create, ..Default::default() };
        match self.objects.put_opts(&self.place(path), bytes.to_vec().into(), options).await {
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(self.error("writing", path, error)),
            Ok(_) => {
                let what = "it overwrites objects that are to be written only where there are none";
                return Err(self.lacks(what, "write conditionally (If-None-Match)"));
            }
        }
        let listed = self.objects.list_with_delimiter(Some(&self.root)).await;
        let listed = listed.map_err(|error| self.error("listing", "", error))?;
        if !listed.objects.iter().any(|object| object.location == self.place(path)) {
            return Err(self.lacks("an object that was written is not listed", "list objects"));
        }
        let head = self.objects.head(&self.place(path)).await;
        head.map(drop).map_err(|error| self.error("reading", path, error))
    }

    fn lacks(&self, what: &str, ability: &str) -> Error {
        Error::new(Kind::Unsupported, format!("{} can not hold backups: {what}", self.shown()))
            .hint(format!("use a store that can {ability}"))
    }
}
