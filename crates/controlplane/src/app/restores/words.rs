//! Restores in words: the SQL statement that one stands for, and the engine's advice in terms of the
//! API.

use std::fmt::Write;

use strongroom_catalog::restores::RestoreKind;
use strongroom_dataplane::restore::{Plan, RestoreTarget};

use super::{Checked, RestoreChoices};
use crate::statement::{ident, literal};

/// The statement of a restore from the collection with this URL, which has no secrets.
pub(super) fn statement(checked: &Checked, collection: &str) -> String {
    let Checked { backup, target, options, kind, .. } = checked;
    let mut text = "RESTORE ".to_owned();
    match target {
        RestoreTarget::Cluster => {}
        RestoreTarget::Databases { names, .. } => {
            let names: Vec<String> = names.iter().map(|name| ident(name)).collect();
            let _ = write!(text, "DATABASE {} ", names.join(", "));
        }
        RestoreTarget::Tables { names, .. } => {
            let full = names.iter().map(|name| {
                [&name.database, &name.schema, &name.table].map(|part| ident(part)).join(".")
            });
            let _ = write!(text, "TABLE {} ", full.collect::<Vec<String>>().join(", "));
        }
    }
    let full = backup.full.to_string();
    let _ = write!(text, "FROM {} IN {}", literal(&full), literal(collection));
    if backup.full != backup.engine_id {
        // An incremental has no name of its own in a collection, but a time.
        let _ = write!(text, " AS OF SYSTEM TIME {}", literal(&backup.data_from.to_string()));
    }
    let with = with(*kind, options);
    if !with.is_empty() {
        let _ = write!(text, " WITH {}", with.join(", "));
    }
    text
}

fn with(kind: RestoreKind, options: &RestoreChoices) -> Vec<String> {
    let mut with = Vec::new();
    let names = [
        ("into_db", &options.into_db),
        ("into_schema", &options.into_schema),
        ("new_table_name", &options.new_table_name),
        ("new_db_name", &options.new_db_name),
    ];
    for (option, name) in names {
        with.extend(name.as_ref().map(|name| format!("{option} = {}", literal(name))));
    }
    let flags = [
        ("schema_only", options.schema_only),
        ("skip_localities_check", options.skip_localities_check),
        ("skip_missing_foreign_keys", options.skip_missing_foreign_keys),
        ("skip_missing_sequences", options.skip_missing_sequences),
        ("skip_missing_sequence_owners", options.skip_missing_sequence_owners),
        ("skip_missing_views", options.skip_missing_views),
        ("skip_missing_roles", options.skip_missing_roles),
    ];
    let of_cluster = ["schema_only", "skip_localities_check", "skip_missing_roles"];
    for (option, set) in flags {
        if set && (kind != RestoreKind::Cluster || of_cluster.contains(&option)) {
            with.push(option.to_owned());
        }
    }
    with
}

/// The engine's plan, with options called as the API calls them.
pub(super) fn for_api(mut plan: Plan) -> Plan {
    for conflict in &mut plan.conflicts {
        conflict.message = options_of_api(&conflict.message);
        rename_all(&mut conflict.resolutions);
    }
    for missing in &mut plan.missing {
        missing.message = options_of_api(&missing.message);
        missing.option = missing.option.as_deref().map(options_of_api);
        rename_all(&mut missing.resolutions);
    }
    rename_all(&mut plan.notes);
    plan
}

fn rename_all(texts: &mut [String]) {
    for text in texts {
        *text = options_of_api(text);
    }
}

/// The text with options of the command line in the API's words: `--into-db` is `into_db`.
pub(super) fn options_of_api(text: &str) -> String {
    /// All that the engine's advice names.
    const OPTIONS: &[(&str, &str)] = &[
        ("--restore-to", "new_db_name"),
        ("--new-table-name", "new_table_name"),
        ("--into-schema", "into_schema"),
        ("--into-db", "into_db"),
        ("--skip-missing-foreign-keys", "skip_missing_foreign_keys"),
        ("--skip-missing-sequences", "skip_missing_sequences"),
        ("--skip-missing-views", "skip_missing_views"),
        ("--skip-missing-roles", "skip_missing_roles"),
    ];
    OPTIONS.iter().fold(text.to_owned(), |text, (flag, name)| text.replace(flag, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, shown) in
            [("shop", "shop"), ("Shop", "\"Shop\""), ("a\"b", "\"a\"\"b\""), ("1a", "\"1a\"")]
        {
            assert_eq!(ident(name), shown);
        }
    }

    #[test]
    fn advice_names_the_options_of_the_api() {
        let advice = "--into-schema or --into-db with another name";
        assert_eq!(options_of_api(advice), "into_schema or into_db with another name");
        assert_eq!(options_of_api("--restore-to shop_restored"), "new_db_name shop_restored");
    }
}
