//! A plan as people read it: short, with the ways out ready to copy.

use strongroom_dataplane::restore::{Comparison, Plan};

use crate::output::{self, count, counted};

/// Objects that a plan shows of each kind; the others are counted.
const SHOWN_OF_A_KIND: usize = 12;

/// The plan for people.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = format!(
        "plan: restore {} into {}: {}, {}, {} ({} to read)\n",
        plan.backup,
        plan.target,
        counted(plan.tables, "table"),
        counted(plan.rows, "row"),
        output::size(plan.size_bytes),
        output::size(plan.stored_bytes),
    );
    for line in creations(plan) {
        text.push_str(&format!("  create  {line}\n"));
    }
    for line in uses(plan) {
        text.push_str(&format!("  use     {line}\n"));
    }
    for replaced in &plan.replaces {
        text.push_str(&format!("  replace {replaced}\n"));
    }
    for note in &plan.notes {
        text.push_str(&format!("  note    {note}\n"));
    }
    for conflict in &plan.conflicts {
        text.push_str(&format!("  in the way: {}\n", conflict.message));
        text.push_str(&ways_out(&conflict.resolutions));
    }
    for missing in &plan.missing {
        text.push_str(&format!("  missing: {}\n", missing.message));
        text.push_str(&ways_out(&missing.resolutions));
    }
    output::printable(&text)
}

/// What is created, a line each.
fn creations(plan: &Plan) -> Vec<String> {
    let lines = plan.creates.iter().map(|creation| {
        let from = creation.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let rows = creation.rows.map(|rows| format!(" ({})", counted(rows, "row")));
        let line = format!("{} {}{from}{}", creation.kind, creation.name, rows.unwrap_or_default());
        (creation.kind.as_str(), line)
    });
    first_of_each_kind(lines.collect())
}

/// What the target has already, a line each.
fn uses(plan: &Plan) -> Vec<String> {
    let lines = plan.uses.iter().map(|used| {
        let comparison = match used.comparison {
            Comparison::Same => "as in the backup",
            Comparison::Different => "other than in the backup",
            Comparison::NotCompared => "not compared with the backup's",
        };
        (used.kind.as_str(), format!("{} {}, {comparison}", used.kind, used.name))
    });
    first_of_each_kind(lines.collect())
}

/// Lines by their kinds, of every kind only the first few.
fn first_of_each_kind(all: Vec<(&str, String)>) -> Vec<String> {
    let mut kinds: Vec<&str> = Vec::new();
    for (kind, _) in &all {
        if !kinds.contains(kind) {
            kinds.push(kind);
        }
    }
    let mut lines = Vec::new();
    for kind in kinds {
        let of_kind = all.iter().filter(|(other, _)| *other == kind).map(|(_, line)| line.clone());
        let of_kind: Vec<String> = of_kind.collect();
        lines.extend(of_kind.iter().take(SHOWN_OF_A_KIND).cloned());
        if of_kind.len() > SHOWN_OF_A_KIND {
            let more = count((of_kind.len() - SHOWN_OF_A_KIND) as u64);
            lines.push(format!("{kind}: {more} more (--json shows all)"));
        }
    }
    lines
}

fn ways_out(resolutions: &[String]) -> String {
    let line = |(at, resolution): (usize, &String)| {
        let start = if at == 0 { "    way out: " } else { "    or:      " };
        format!("{start}{resolution}\n")
    };
    resolutions.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use strongroom_dataplane::restore::{Conflict, Creation, Missing, Use};

    use super::*;

    fn creation(kind: &str, name: &str, from: Option<&str>, rows: Option<u64>) -> Creation {
        Creation {
            kind: kind.to_owned(),
            name: name.to_owned(),
            from: from.map(str::to_owned),
            rows,
        }
    }

    #[test]
    fn obstacles_stand_with_their_ways_out() {
        let plan = Plan {
            backup: "2026/11/22-130000.00".to_owned(),
            target: "db:5432".to_owned(),
            creates: vec![
                creation(
                    "table",
                    "shop.public.orders_before",
                    Some("shop.public.orders"),
                    Some(1500),
                ),
                creation("sequence", "shop.public.orders_id_seq", None, None),
            ],
            uses: vec![Use {
                kind: "type".to_owned(),
                name: "public.status".to_owned(),
                comparison: Comparison::Same,
            }],
            conflicts: vec![Conflict {
                kind: "table".to_owned(),
                name: "shop.public.orders_before".to_owned(),
                message: "table shop.public.orders_before already exists on db:5432".to_owned(),
                resolutions: vec![
                    "--new-table-name orders_restored".to_owned(),
                    "DROP TABLE public.orders_before;".to_owned(),
                ],
            }],
            missing: vec![Missing {
                kind: "table".to_owned(),
                name: "shop.public.customers".to_owned(),
                needed_by: "foreign key orders_customer".to_owned(),
                option: Some("--skip-missing-foreign-keys".to_owned()),
                message: "table customers, which a foreign key needs, is missing".to_owned(),
                resolutions: vec!["--skip-missing-foreign-keys".to_owned()],
            }],
            notes: vec!["grants to role \"bob\" are left out".to_owned()],
            tables: 1,
            rows: 1500,
            size_bytes: 64737,
            stored_bytes: 20480,
            ..Plan::default()
        };
        insta::assert_snapshot!(text(&plan), @r#"
        plan: restore 2026/11/22-130000.00 into db:5432: 1 table, 1,500 rows, 63.22 KiB (20.00 KiB to read)
          create  table shop.public.orders_before from shop.public.orders (1,500 rows)
          create  sequence shop.public.orders_id_seq
          use     type public.status, as in the backup
          note    grants to role "bob" are left out
          in the way: table shop.public.orders_before already exists on db:5432
            way out: --new-table-name orders_restored
            or:      DROP TABLE public.orders_before;
          missing: table customers, which a foreign key needs, is missing
            way out: --skip-missing-foreign-keys
        "#);
    }

    #[test]
    fn a_plan_of_thousands_of_tables_stays_short() {
        let table = |number: u64| creation("table", &format!("t{number}"), None, Some(number));
        let plan = Plan { creates: (0..10_000).map(table).collect(), ..Plan::default() };
        let text = text(&plan);
        assert_eq!(text.lines().count(), 1 + SHOWN_OF_A_KIND + 1);
        assert!(text.contains("table: 9,988 more (--json shows all)"), "{text}");
    }
}
