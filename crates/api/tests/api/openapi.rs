//! The committed description of the API is the one that the handlers make.

#[test]
fn the_committed_document_is_what_the_handlers_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
    let made = strongroom_api::openapi::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == made,
        "openapi.json is not what the handlers say; make it anew with:\n  \
         UPDATE_OPENAPI=1 cargo test -p strongroom-api the_committed_document"
    );
}

#[test]
fn every_reference_in_it_leads_somewhere() {
    let document = serde_json::to_value(strongroom_api::openapi::document()).unwrap();
    let mut values = vec![&document];
    let mut references = 0;
    while let Some(value) = values.pop() {
        match value {
            serde_json::Value::Array(items) => values.extend(items),
            serde_json::Value::Object(fields) => {
                if let Some(serde_json::Value::String(to)) = fields.get("$ref") {
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
                    references += 1;
                }
                values.extend(fields.values());
            }
            _ => {}
        }
    }
    assert!(references > 0);
}
