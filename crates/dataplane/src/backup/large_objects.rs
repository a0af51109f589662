//! Large objects, in batches: the segments of what belongs to no table.
//!
//! A batch is a range of object ids. Along a chain the ranges stay as they are, so that an
//! incremental copies only those in which something changed, which the digest of the pages'
//! identities tells (see [`super::changes::version_digest`]). Who may not read `pg_largeobject`
//! itself gets no digests, and copies every batch each time.

use std::collections::HashMap;

use strongroom_format::segment::{Segment, SegmentList};

use super::changes::version_digest::{aggregate, parse};
use crate::Result;
use crate::postgres::connect::Client;

/// Large objects per batch, where a chain begins.
const OBJECTS: usize = 200;

/// A range of large objects.
pub(super) struct Batch {
    /// The id that the range begins with.
    pub(super) first: u32,
    /// The objects in it.
    pub(super) oids: Vec<u32>,
    /// The digest of the range, where it could be taken.
    pub(super) digest: Option<i64>,
    /// The parent's segment, where nothing changed.
    pub(super) kept: Option<Segment>,
}

/// Divides objects (sorted by id) into batches, and compares them with the parent's.
pub(super) async fn batches(
    client: &Client,
    version_num: u32,
    oids: &[u32],
    parent: Option<&SegmentList>,
) -> Result<Vec<Batch>> {
    let bounds: Vec<u32> =
        parent.iter().flat_map(|list| &list.segments).map(|segment| segment.first_page).collect();
    let mut batches = divide(oids, &bounds);
    let digests = digests(client, version_num, &batches).await?;
    for batch in &mut batches {
        batch.digest = digests.get(&batch.first).copied();
        let Some(list) = parent.filter(|list| list.digests.len() == list.segments.len()) else {
            continue;
        };
        let known = list.segments.binary_search_by_key(&batch.first, |s| s.first_page);
        batch.kept = known
            .ok()
            .filter(|at| batch.digest == Some(list.digests[*at]))
            .map(|at| list.segments[at]);
    }
    Ok(batches)
}

/// Cuts at the parent's bounds, and where a range has become too long.
fn divide(oids: &[u32], bounds: &[u32]) -> Vec<Batch> {
    let batch =
        |first: u32, oids: &[u32]| Batch { first, oids: oids.to_vec(), digest: None, kept: None };
    let mut batches = Vec::new();
    let mut rest = oids;
    for (at, bound) in std::iter::once(0).chain(bounds.iter().copied()).enumerate() {
        // What lies below the first bound begins with its own first object.
        let end = bounds.get(at).map_or(rest.len(), |end| rest.partition_point(|oid| oid < end));
        let (own, others) = rest.split_at(end);
        rest = others;
        for (part, oids) in own
            .chunks(if own.len() > 2 * OBJECTS || at == 0 { OBJECTS } else { 2 * OBJECTS })
            .enumerate()
        {
            let first =
                if at == 0 || part > 0 { oids.first().copied().unwrap_or(bound) } else { bound };
            batches.push(batch(first, oids));
        }
    }
    batches
}

/// The digest of each batch, by its first id. Nothing where we may not read the pages.
async fn digests(
    client: &Client,
    version_num: u32,
    batches: &[Batch],
) -> Result<HashMap<u32, i64>> {
    let may = "SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')";
    if batches.is_empty() || client.scalar(may).await?.as_deref() != Some("t") {
        return Ok(HashMap::new());
    }
    let bounds: Vec<String> = batches.iter().map(|batch| batch.first.to_string()).collect();
    // An object without bytes has no page, but is there.
    let sql = format!(
        "SELECT width_bucket(loid::int8, '{{{}}}'::int8[]), ({})::text \
         FROM (SELECT loid, pageno, ctid, xmin FROM pg_largeobject \
               UNION ALL SELECT oid, -1, '(0,0)'::tid, '0'::xid FROM pg_largeobject_metadata) AS page \
         GROUP BY 1",
        bounds.join(","),
        aggregate(version_num, &["loid", "pageno", "ctid", "xmin"]),
    );
    let mut digests = HashMap::new();
    for row in client.query(sql.as_str(), &[]).await? {
        let bucket = usize::try_from(row.get::<_, i32>(0) - 1).unwrap_or(usize::MAX);
        if let (Some(batch), Some(digest)) = (batches.get(bucket), parse(row.get(1))) {
            digests.insert(batch.first, digest);
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(oids: &[u32], bounds: &[u32]) -> Vec<(u32, usize)> {
        divide(oids, bounds).iter().map(|batch| (batch.first, batch.oids.len())).collect()
    }

    #[test]
    fn batches_keep_the_bounds_of_their_chain() {
        let all: Vec<u32> = (1000..1450).collect();
        assert_eq!(cut(&all, &[]), [(1000, 200), (1200, 200), (1400, 50)]);
        assert_eq!(cut(&all, &[1000, 1200, 1400]), [(1000, 200), (1200, 200), (1400, 50)]);
        // The first object of a batch is gone, others came behind the last one and before the first.
        let mut other = all[1..].to_vec();
        other.extend(2000..2010);
        other.insert(0, 7);
        let bounds = [1000, 1200, 1400];
        assert_eq!(cut(&other, &bounds), [(7, 1), (1000, 199), (1200, 200), (1400, 60)]);
        // An empty range has no batch; one that grew too long is cut.
        let long: Vec<u32> = (1400..1900).collect();
        assert_eq!(cut(&long, &bounds), [(1400, 200), (1600, 200), (1800, 100)]);
        assert_eq!(cut(&[], &bounds), []);
    }
}
