//! SQL that fills a database for tests, kept as files so that `psql` alone can load it too.

/// One database with everything a user can have in PostgreSQL, made for fidelity tests.
///
/// It creates roles whose names begin with `ev_` when the cluster lacks them, so it can be loaded into several
/// databases of one cluster. It needs a superuser and the distribution's contrib extensions.
pub fn everything() -> &'static str {
    include_str!("../fixtures/everything.sql")
}

/// A table `public.visits` of 800 rows whose partitions hold other rows after a restore: only the contents of
/// the whole can be compared.
pub fn enum_hash_partitions() -> &'static str {
    include_str!("../fixtures/enum_hash_partitions.sql")
}
