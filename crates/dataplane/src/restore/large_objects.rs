//! Restoring large objects: created under their oids, filled piece by piece, then given their
//! owners, comments and privileges.

use strongroom_format::contents::{Database, LargeObject};
use strongroom_format::piece::PieceReader;
use strongroom_format::segment::{Segment, place};

use super::database::StageJob;
use super::schema::Rendering;
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal};
use crate::{Error, Kind, Result};

/// Restores all large objects of the database. Returns notes.
pub(super) async fn restore(
    job: &StageJob<'_>,
    client: &Client,
    database: &Database,
    rendering: &Rendering,
) -> Result<Vec<String>> {
    for batch in database.large_objects.chunks(200) {
        let oids: Vec<u32> = batch.iter().map(|object| object.oid).collect();
        client
            .execute("SELECT pg_catalog.lo_create(oid) FROM unnest($1::oid[]) AS oid", &[&oids])
            .await?;
    }
    if let Some(data) = &database.large_object_data {
        for list in job.backup.segment_lists(&[data]).await? {
            for segment in list.segments {
                fill(job, client, &segment).await?;
            }
        }
    }
    for batch in database.large_objects.chunks(200) {
        let statements: String = batch.iter().map(|object| properties(object, rendering)).collect();
        client.batch_execute(&statements).await?;
    }
    Ok(Vec::new())
}

/// Writes the bytes of one segment's objects.
async fn fill(job: &StageJob<'_>, client: &Client, segment: &Segment) -> Result<()> {
    let path = &job.backup.contents.packs[segment.pack as usize].path;
    let unusable = |error| Error::stored(path, error);
    let place = place(path, segment.offset);
    let mut reader =
        PieceReader::new(segment.piece, &place, job.backup.key.as_ref()).map_err(unusable)?;
    let put = client.prepare("SELECT pg_catalog.lo_put($1, $2, $3)").await?;
    let end = segment.offset + segment.piece.stored_bytes;
    let mut rows: Vec<u8> = Vec::new();
    let mut at = segment.offset;
    while at < end {
        let next = (at + 1024 * 1024).min(end);
        reader.push(&job.backup.store.get_range(path, at..next).await?).map_err(unusable)?;
        at = next;
        while reader.next_run(&mut rows).map_err(unusable)? {
            let mut done = 0;
            while let Some(length) = rows[done..].iter().position(|byte| *byte == b'\n') {
                let (oid, offset, bytes) = parse(&rows[done..done + length]).ok_or_else(|| {
                    Error::new(
                        Kind::Damaged,
                        format!("object {path} holds a malformed large object"),
                    )
                })?;
                client.execute(&put, &[&oid, &offset, &bytes]).await?;
                done += length + 1;
            }
            rows.drain(..done);
        }
    }
    reader.finish().map_err(unusable)
}

/// One row: oid, offset and `\\x` with hexadecimal digits.
fn parse(row: &[u8]) -> Option<(u32, i64, Vec<u8>)> {
    let mut fields = row.splitn(3, |byte| *byte == b'\t');
    let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.parse::<i64>().ok();
    let oid = u32::try_from(number(fields.next())?).ok()?;
    let offset = number(fields.next())?;
    let digits = fields.next()?.strip_prefix(b"\\\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = digits
        .chunks(2)
        .map(|pair| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8))
        .collect::<Option<Vec<u8>>>()?;
    Some((oid, offset, bytes))
}

fn properties(object: &LargeObject, rendering: &Rendering) -> String {
    let name = format!("LARGE OBJECT {}", object.oid);
    let mut text = String::new();
    if let Some(comment) = &object.comment {
        text.push_str(&format!("COMMENT ON {name} IS {};\n", literal(comment)));
    }
    if !rendering.missing_roles.contains(&object.owner) {
        text.push_str(&format!("ALTER {name} OWNER TO {};\n", ident(&object.owner)));
    }
    if object.has_grants {
        // The owner's own rights are among the grants, unless they were revoked.
        text.push_str(&format!("REVOKE ALL ON {name} FROM CURRENT_USER;\n"));
        if !rendering.missing_roles.contains(&object.owner) {
            text.push_str(&format!("REVOKE ALL ON {name} FROM {};\n", ident(&object.owner)));
        }
    }
    for (role, privilege, grantable) in &object.grants {
        if rendering.missing_roles.contains(role) {
            continue;
        }
        let to = if role.is_empty() { "PUBLIC".to_owned() } else { ident(role) };
        let option = if *grantable { " WITH GRANT OPTION" } else { "" };
        // Privileges come from the catalog as keywords.
        text.push_str(&format!("GRANT {privilege} ON {name} TO {to}{option};\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_parsed_and_damage_is_refused() {
        assert_eq!(parse(b"17\t1048576\t\\\\x00ff"), Some((17, 1048576, vec![0, 255])));
        assert_eq!(parse(b"17\t0\t\\\\x"), Some((17, 0, vec![])));
        for bad in
            [&b""[..], b"17", b"x\t0\t\\\\x", b"17\t0\t00", b"17\t0\t\\\\x0", b"17\t0\t\\\\xzz"]
        {
            assert_eq!(parse(bad), None);
        }
    }
}
