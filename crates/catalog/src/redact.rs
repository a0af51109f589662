//! Blots out secrets in what is kept for people to read: audit details, statements, error messages.
//!
//! Whoever records something leaves secrets out. This is the net below: it knows URLs and the names
//! under which secrets usually go.

use serde_json::Value;

const BLOT: &str = "redacted";

/// The text with passwords and keys in URLs blotted out.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after
            .find(|character: char| character.is_whitespace() || "'\"<>".contains(character))
            .unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        shown.push_str(before);
        shown.push_str(&url_part(url));
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// The value with secrets blotted out: fields with telling names, and URLs in all text.
pub fn json(value: &Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(string)),
        Value::Array(values) => Value::Array(values.iter().map(json).collect()),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let tells = is_secret(name) && !value.is_null() && !value.is_boolean();
                let shown = if tells { Value::String(BLOT.to_owned()) } else { json(value) };
                (name.clone(), shown)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// The part of a URL after `://`.
fn url_part(url: &str) -> String {
    let (place, query) = url.split_once('?').map_or((url, None), |(p, q)| (p, Some(q)));
    let place = match place.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{BLOT}@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    let Some(query) = query else { return place };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={BLOT}"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(parameter).collect();
    format!("{place}?{}", query.join("&"))
}

/// Whether a field or parameter of this name holds a secret. A key's id or name is none.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let harmless = ["key_id", "key_name", "key_prefix", "access_key_id"];
    !harmless.iter().any(|end| name.ends_with(end))
        && ["password", "passphrase", "secret", "token", "credential", "key"]
            .iter()
            .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn secrets_in_urls_are_blotted_out() {
        for (text, shown) in [
            ("no secrets here", "no secrets here"),
            ("'postgresql://ann@db/x' is odd", "'postgresql://ann@db/x' is odd"),
            ("'postgresql://ann:p@ss@db/x' is odd", "'postgresql://ann:redacted@db/x' is odd"),
            (
                "BACKUP INTO 's3://b/x?AWS_ACCESS_KEY_ID=i&AWS_SECRET_ACCESS_KEY=hush&AWS_REGION=r'",
                "BACKUP INTO 's3://b/x?AWS_ACCESS_KEY_ID=i&AWS_SECRET_ACCESS_KEY=redacted&AWS_REGION=r'",
            ),
            ("azure://c?AZURE_CLIENT_SECRET=hush", "azure://c?AZURE_CLIENT_SECRET=redacted"),
        ] {
            assert_eq!(super::text(text), shown);
        }
    }

    #[test]
    fn secrets_in_json_are_blotted_out() {
        let shown = super::json(&json!({
            "name": "x", "key_id": "k1", "password": "hush", "to": ["s3://b?AWS_SESSION_TOKEN=hush"],
            "nested": {"apiKey": {"hush": 1}, "has_password": true, "old_secret": null},
        }));
        assert_eq!(
            shown,
            json!({
                "name": "x", "key_id": "k1", "password": "redacted",
                "to": ["s3://b?AWS_SESSION_TOKEN=redacted"],
                "nested": {"apiKey": "redacted", "has_password": true, "old_secret": null},
            })
        );
    }
}
