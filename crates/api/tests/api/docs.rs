//! What the documents say of the API holds.

use strongroom_controlplane::Permission;
use strongroom_controlplane::caller::title;

/// What stands around the table of roles in docs/api.md.
const BEGIN: &str = "by UPDATE_DOCS=1 cargo test -p strongroom-api the_table_of_roles -->\n";
const END: &str = "<!-- end of roles -->";

#[test]
fn the_table_of_roles_is_what_the_code_permits() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the table's beginning");
    let (committed, after) = rest.split_once(END).expect("the table's end");
    let mut made = "\n| may | roles |\n|---|---|\n".to_owned();
    for permission in Permission::ALL {
        let roles: Vec<_> = permission
            .roles()
            .iter()
            .map(|role| format!("{} (`{}`)", title(*role), role.name()))
            .collect();
        made += &format!("| {} | {} |\n", permission.doing(), roles.join(", "));
    }
    made += "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert_eq!(committed, made, "make it anew with UPDATE_DOCS=1");
    }
}
