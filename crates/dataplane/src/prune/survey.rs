//! What lies in the collection: every object by its folder, every folder by its chain.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use strongroom_format::BackupId;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{Found, Stored};

use crate::collection;
use crate::store::{Listed, Store};
use crate::{Error, Kind, Result, failpoint};

/// Manifests read at the same time.
const CONCURRENCY: usize = 32;

/// The folders by their chains, which are named by their full backups.
pub(super) type Collection = BTreeMap<BackupId, Chain>;
/// The folders of a chain, oldest first.
pub(super) type Chain = BTreeMap<Folder, Member>;

/// One folder.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) objects: Vec<Listed>,
    pub(super) state: State,
}

/// What a folder is.
#[derive(Debug)]
pub(super) enum State {
    /// A complete backup.
    Complete(Box<Stored>),
    /// A backup that runs, or one that died.
    Unfinished,
    /// No backup any more since then; with the manifest that it had, if it ever was complete.
    Buried(Timestamp, Option<Box<Stored>>),
    /// Nobody knows.
    Unusable(Error),
}

impl Member {
    /// What its objects take.
    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

/// Lists the collection, and then reads its manifests where `manifests` is set. Else every folder
/// counts as unfinished.
pub(super) async fn survey(store: &Store, manifests: bool) -> Result<Collection> {
    let mut folders: BTreeMap<Folder, Vec<Listed>> = BTreeMap::new();
    for object in store.listing("").await? {
        if let Some(folder) = ObjectKey::folder_of(&object.path) {
            folders.entry(folder).or_default().push(object);
        }
    }
    if manifests {
        failpoint::pass("prune.after-list")?;
    }
    let members: Vec<(Folder, Member)> = futures::stream::iter(folders)
        .map(|(folder, objects)| async move {
            let state = match manifests {
                true => state(store, folder, &objects).await?,
                false => State::Unfinished,
            };
            Ok::<_, Error>((folder, Member { objects, state }))
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut collection = Collection::new();
    for (folder, member) in members {
        collection.entry(folder.full).or_default().insert(folder, member);
    }
    Ok(collection)
}

async fn state(store: &Store, folder: Folder, objects: &[Listed]) -> Result<State> {
    let path = ObjectKey::Manifest(folder).path();
    match collection::manifest(store, folder).await {
        Ok(Some(Found::Complete(stored))) => Ok(State::Complete(Box::new(stored))),
        Ok(Some(Found::Pruned(stored))) => {
            // Not as the listing says: it may have seen the manifest that was there before.
            let since = store.written(&path).await?.unwrap_or(Timestamp::MAX);
            Ok(State::Buried(since, stored.map(Box::new)))
        }
        Ok(None) => {
            let claim = ObjectKey::Started(folder).path();
            let claimed = objects.iter().any(|object| object.path == claim)
                || store.length(&claim).await?.is_some();
            Ok(if claimed { State::Unfinished } else { State::Unusable(store.missing(&path)) })
        }
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
            Ok(State::Unusable(error))
        }
        Err(error) => Err(error),
    }
}
