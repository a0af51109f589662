//! Blots out secrets in what is printed.
//!
//! The errors of this program contain none. This is for those that quote an argument which a
//! person put into the wrong place, such as a URL where a name belongs.

/// The text with passwords and keys in URLs blotted out.
pub(crate) fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after
            .find(|character: char| character.is_whitespace() || "'\"<>".contains(character))
            .unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        shown.push_str(before);
        shown.push_str(&redacted_url(url));
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// The part of a URL after `://`.
fn redacted_url(url: &str) -> String {
    let (place, query) = url.split_once('?').map_or((url, None), |(p, q)| (p, Some(q)));
    let place = match place.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    let Some(query) = query else { return place };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(parameter).collect();
    format!("{place}?{}", query.join("&"))
}

/// Whether a URL's parameter of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "credentials", "key"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_quoted_urls_are_blotted_out() {
        for (text, shown) in [
            ("no secrets here", "no secrets here"),
            ("'postgresql://ann@db/x' is odd", "'postgresql://ann@db/x' is odd"),
            ("'postgresql://ann:p@ss@db/x' is odd", "'postgresql://ann:***@db/x' is odd"),
            (
                "s3://b/x?AWS_SECRET_ACCESS_KEY=hush&AWS_REGION=r",
                "s3://b/x?AWS_SECRET_ACCESS_KEY=***&AWS_REGION=r",
            ),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
