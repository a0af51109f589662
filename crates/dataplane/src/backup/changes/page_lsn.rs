//! Changes by page headers: each page says at which log position it was last changed.
//!
//! A range is unchanged if all its pages were last changed before the floor. Pages that were never
//! written (position zero) count as changed: a relation can have been cut short and extended again,
//! so that an empty page now stands where the parent saw rows. So do pages that are gone: a table
//! that is locked late can be cut short after its pages were counted.

use crate::Result;
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal};

/// The schema of `pageinspect` where this database has it and we may use it.
pub(in crate::backup) async fn available(client: &Client) -> Result<Option<String>> {
    client
        .scalar(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
             WHERE e.extname = 'pageinspect' AND NOT pg_is_in_recovery() \
                   AND current_setting('is_superuser') = 'on'",
        )
        .await
}

/// A query for the numbers of those segments, among `pages` pages from `first` on, that changed
/// since `floor`.
pub(in crate::backup) fn changed_segments(
    schema: &str,
    table: &str,
    first: u32,
    pages: u32,
    per_segment: u32,
    floor: &str,
) -> String {
    let (schema, table, floor) = (ident(schema), literal(table), literal(floor));
    // What lies beyond the type's range can not be asked for, and is taken for changed.
    let last = u64::from(first) + u64::from(pages) - 1;
    if last > i32::MAX as u64 {
        let (from, to) = (first / per_segment, last / u64::from(per_segment));
        return format!("SELECT generate_series({from}, {to})");
    }
    format!(
        "SELECT b / {per_segment} FROM \
             (SELECT pg_relation_size({table}) / current_setting('block_size')::int8 AS pages \
              OFFSET 0) AS now \
         CROSS JOIN generate_series({first}, {last}) AS b \
         CROSS JOIN LATERAL \
             (SELECT CASE WHEN b < now.pages \
                          THEN ({schema}.page_header({schema}.get_raw_page({table}, 'main', b))).lsn \
                     END AS lsn OFFSET 0) AS page \
         WHERE coalesce(page.lsn, '0/0') >= {floor}::pg_lsn OR coalesce(page.lsn, '0/0') = '0/0' \
         GROUP BY 1"
    )
}
