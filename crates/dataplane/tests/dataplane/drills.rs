//! A drill names everything that would not come back.

use std::fs;
use std::path::PathBuf;

use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::verify::{self, Drilled};
use strongroom_dataplane::{CancellationToken, Kind, Result};
use tempfile::TempDir;

use crate::support::{Shop, block_on};

fn drill(shop: &Shop) -> Result<Drilled> {
    block_on(async {
        let backup = shop.latest().await?;
        verify::drill(&backup, 2, &Progress::silent(), &CancellationToken::new()).await
    })
}

/// The packs of the only backup.
fn packs(folder: &TempDir) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "pack") => found.push(path),
                false => {}
            }
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn a_whole_backup_passes_its_drill() {
    let shop = Shop::open();
    shop.back_up();
    let drilled = drill(&shop).unwrap();
    assert_eq!((drilled.tables_checked, drilled.rows_checked), (2, 2050));
    assert_eq!(drilled.differences, []);
}

#[test]
fn a_drill_names_every_table_with_damaged_rows() {
    let shop = Shop::open();
    shop.back_up();
    for pack in packs(&shop.folder) {
        let mut bytes = fs::read(&pack).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(&pack, bytes).unwrap();
    }
    let drilled = drill(&shop).unwrap();
    let objects: Vec<&str> = drilled.differences.iter().map(|d| d.object.as_str()).collect();
    assert_eq!(objects, ["table shop.public.customers", "table shop.public.orders"]);
    assert_eq!(drilled.tables_checked, 0);
    // A verification ends with the first of them.
    let verified = block_on(async {
        let backup = shop.latest().await.unwrap();
        verify::verify(&backup, 2, &Progress::silent(), &CancellationToken::new()).await
    });
    assert_eq!(verified.unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_drill_names_every_table_whose_pack_is_gone() {
    let shop = Shop::open();
    shop.back_up();
    for pack in packs(&shop.folder) {
        fs::remove_file(pack).unwrap();
    }
    let drilled = drill(&shop).unwrap();
    let objects: Vec<&str> = drilled.differences.iter().map(|d| d.object.as_str()).collect();
    assert!(objects.contains(&"table shop.public.customers"), "{objects:?}");
    assert!(objects.contains(&"table shop.public.orders"), "{objects:?}");
}
