//! What a restore tells of its tables, and definitions without rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use strongroom_dataplane::CancellationToken;
use strongroom_dataplane::progress::{Event, Progress};
use strongroom_dataplane::restore::{self, Fence};
use strongroom_testkit::Cluster;

use crate::support::{Shop, as_regained, block_on, options};

#[test]
fn a_restore_tells_of_every_table_with_rows() {
    let shop = Shop::open();
    shop.back_up();
    let to = Cluster::start();
    let events = Arc::new(Mutex::new(Vec::new()));
    let noted = events.clone();
    let progress = Progress::new(move |event| noted.lock().unwrap().push(event));
    block_on(async {
        let backup = shop.latest().await.unwrap();
        let options = options(as_regained(), &to.url("postgres"), Fence::open());
        restore::run(&backup, &options, &progress, &CancellationToken::new()).await.unwrap();
    });
    /// Bytes expected, rows and bytes moved, whether it is done.
    type Told = (u64, u64, u64, bool);
    let mut tables: BTreeMap<String, Told> = BTreeMap::new();
    for event in events.lock().unwrap().drain(..) {
        match event {
            Event::Table(table) => {
                let told = (table.bytes_expected, 0, 0, false);
                assert_eq!(tables.insert(table.table.to_string(), told), None);
            }
            Event::TableMoved { table, rows, bytes } => {
                let told = tables.get_mut(&table.to_string()).unwrap();
                assert!(!told.3);
                (told.1, told.2) = (told.1 + rows, told.2 + bytes);
            }
            Event::TableDone(table) => tables.get_mut(&table.to_string()).unwrap().3 = true,
            _ => {}
        }
    }
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    assert_eq!(names, ["shop.public.customers", "shop.public.orders"]);
    for (name, rows) in [("shop.public.customers", 50), ("shop.public.orders", 2000)] {
        let (expected, moved, bytes, done) = tables[name];
        assert!(done && moved == rows && bytes == expected && bytes > 0, "{name}: {tables:?}");
    }
}

#[test]
fn definitions_are_restored_without_rows() {
    let shop = Shop::open();
    shop.back_up();
    let to = Cluster::start();
    let mut options = options(as_regained(), &to.url("postgres"), Fence::open());
    options.schema_only = true;
    let (plan, restored) = block_on(async {
        let backup = shop.latest().await.unwrap();
        let progress = Progress::silent();
        let plan = restore::plan(&backup, &options, &progress).await.unwrap();
        let cancel = CancellationToken::new();
        (plan, restore::run(&backup, &options, &progress, &cancel).await.unwrap())
    });
    assert_eq!((plan.tables, plan.rows, plan.stored_bytes), (2, 0, 0));
    assert_eq!((restored.tables, restored.rows, restored.bytes_read), (2, 0, restored.bytes_read));
    let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers),
                         (SELECT is_called FROM numbers),
                         (SELECT relispopulated FROM pg_class WHERE relname = 'latest'),
                         (SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass)";
    assert_eq!(to.psql("regained", counts), "0|0|f|f|1");
}
