//! Changes by the identities of row versions: where each stands (`ctid`) and who wrote it (`xmin`).
//!
//! A row version's content never changes; an update makes another version, with another place or
//! writer. So two snapshots that see the same identities in a range see the same rows there. The
//! digest is a sum of 64-bit hashes, kept beside the number of rows in the parent's segment list.
//! The server reads the whole table, but formats and sends nothing.

/// Servers from here on hash a row of any columns.
const HASH_RECORD: u32 = 140000;

/// The digest of the identities, as an aggregate.
pub(in crate::backup) fn aggregate(version_num: u32, identity: &[&str]) -> String {
    let hash = if version_num >= HASH_RECORD {
        format!("hash_record_extended(ROW({}), 0)", identity.join(", "))
    } else {
        let texts: Vec<String> = identity.iter().map(|column| format!("{column}::text")).collect();
        format!("hashtextextended({}, 0)", texts.join(" || ' ' || "))
    };
    format!("coalesce(sum({hash}), 0)")
}

/// The digest from its text: the server's sum is exact, ours wraps around.
pub(in crate::backup) fn parse(text: &str) -> Option<i64> {
    text.parse::<i128>().ok().map(|sum| sum as i64)
}

/// A query for the number of visible rows and their digest. `rows` is everything after `FROM`.
pub(in crate::backup) fn query(version_num: u32, rows: &str) -> String {
    format!("SELECT count(*), {} FROM {rows}", aggregate(version_num, &["ctid", "xmin"]))
}

/// The answer to [`query`].
pub(in crate::backup) fn answer(line: &str) -> Option<(u64, i64)> {
    let (rows, digest) = line.trim_end().split_once('\t')?;
    Some((rows.parse().ok()?, parse(digest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sum_modulo_two_to_the_64() {
        assert_eq!(answer("0\t0\n"), Some((0, 0)));
        assert_eq!(answer("2\t-5\n"), Some((2, -5)));
        assert_eq!(answer("3\t18446744073709551617\n"), Some((3, 1)));
        for bad in ["", "1", "1\t", "x\t1", "1\t1.5"] {
            assert_eq!(answer(bad), None, "{bad}");
        }
    }
}
