//! What holds for every operation of the API, read from its description: a new one is tested as soon as
//! it is there. Requests are made from the schemas, with nothing but what is required.

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use strongroom_controlplane::model::{Resource, Role};
use uuid::Uuid;

use crate::support::{Answer, TestService};

/// What everybody who is known may ask: the organization's name, who they are, and what is
/// the same for all. Lists which show only what the caller may see need not stand here.
const FOR_EVERYBODY: &[(&str, &str)] = &[
    ("get", "/organization"),
    ("get", "/session"),
    ("delete", "/session"),
    ("get", "/cluster-versions"),
    ("get", "/clusters/available-regions"),
];

/// An operation, as the description has it.
struct Operation {
    method: String,
    path: String,
    description: Value,
    /// Parameters in the path: their names, and whether they are ids.
    parameters: Vec<(String, bool)>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn is_open(&self) -> bool {
        self.description["security"] == json!([{}])
    }

    fn is_for_everybody(&self) -> bool {
        FOR_EVERYBODY.contains(&(self.method.as_str(), self.path.as_str()))
    }

    /// The path with a value for every parameter, and what else the query needs.
    fn address(&self, document: &Value, value: impl Fn(&str, bool) -> String) -> String {
        let mut path = self.path.clone();
        for (name, is_id) in &self.parameters {
            path = path.replace(&format!("{{{name}}}"), &value(name, *is_id));
        }
        let needed = parameters(&self.description, "query").filter(|one| one["required"] == true);
        let query: Vec<_> = needed
            .map(|one| {
                let value = sample(document, &one["schema"]);
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{}={value}", one["name"].as_str().unwrap())
            })
            .collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// A body with all that is required. Null: it takes none.
    fn body(&self, document: &Value) -> Value {
        match &self.description["requestBody"]["content"]["application/json"]["schema"] {
            Value::Null => Value::Null,
            schema => sample(document, schema),
        }
    }

    async fn ask(&self, service: &TestService, key: &str, address: &str, body: Value) -> Answer {
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes()).unwrap();
        service.ask(key, method, address, body).await
    }
}

fn document() -> Value {
    serde_json::to_value(strongroom_api::openapi::document()).unwrap()
}

fn parameters<'a>(operation: &'a Value, place: &'a str) -> impl Iterator<Item = &'a Value> {
    operation["parameters"].as_array().into_iter().flatten().filter(move |one| one["in"] == place)
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, description) in methods.as_object().unwrap() {
            let parameters = parameters(description, "path")
                .map(|one| {
                    let is_id = one["schema"]["format"] == "uuid" || one["name"] == "id";
                    (one["name"].as_str().unwrap().to_owned(), is_id)
                })
                .collect();
            operations.push(Operation {
                method: method.clone(),
                path: path.strip_prefix("/api/v1").unwrap().to_owned(),
                description: description.clone(),
                parameters,
            });
        }
    }
    assert!(operations.len() > 20, "the description is empty");
    operations
}

/// A value of a schema, as small as it may be.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return sample(document, document.pointer(&name[1..]).unwrap());
    }
    for combination in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[combination].as_array() {
            let not_null = schemas.iter().find(|schema| schema["type"] != "null").unwrap();
            return sample(document, not_null);
        }
    }
    if let Some(schemas) = schema["allOf"].as_array() {
        let mut all = Map::new();
        for part in schemas {
            all.extend(sample(document, part).as_object().unwrap().clone());
        }
        return Value::Object(all);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values[0].clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").unwrap(),
        kind => kind,
    };
    match kind.as_str() {
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => json!(Uuid::nil()),
            Some("date-time") => json!("2026-11-22T13:00:00Z"),
            Some("date") => json!("2026-11-22"),
            Some("int64") => json!("1"),
            _ => json!("somebody@example.org"),
        },
        Some("integer") | Some("number") => schema["minimum"].as_i64().unwrap_or(1).into(),
        Some("boolean") => json!(false),
        Some("array") => match schema["minItems"].as_u64() {
            Some(1..) => json!([sample(document, &schema["items"])]),
            _ => json!([]),
        },
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let field = |name: &Value| {
                let name = name.as_str().unwrap();
                (name.to_owned(), sample(document, &schema["properties"][name]))
            };
            Value::Object(required.map(field).collect())
        }
    }
}

/// A value for a parameter in a path: a new id, or something that its schema allows.
fn any_value(operation: &Operation, document: &Value, name: &str, is_id: bool) -> String {
    if is_id {
        return Uuid::new_v4().to_string();
    }
    let parameter = parameters(&operation.description, "path").find(|one| one["name"] == name);
    match sample(document, &parameter.unwrap()["schema"]) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_credentials() {
    let (service, document) = (TestService::start().await, document());
    for operation in operations(&document).iter().filter(|operation| !operation.is_open()) {
        let address = operation
            .address(&document, |name, is_id| any_value(operation, &document, name, is_id));
        for key in ["", "srk_0123456789abcdef_00"] {
            let refused = operation.ask(&service, key, &address, operation.body(&document)).await;
            assert_eq!(
                refused.status,
                StatusCode::UNAUTHORIZED,
                "{}: {refused:?}",
                operation.name()
            );
            assert_eq!(refused.body["code"], 16, "{}: {refused:?}", operation.name());
        }
    }
}

#[tokio::test]
async fn without_roles_nothing_is_done_or_seen() {
    let (service, document) = (TestService::start().await, document());
    let key = service.key(&[Role::OrgMember]).await;
    for operation in operations(&document).iter().filter(|operation| !operation.is_open()) {
        if operation.is_for_everybody() {
            continue;
        }
        let address = operation
            .address(&document, |name, is_id| any_value(operation, &document, name, is_id));
        let refused = operation.ask(&service, &key, &address, operation.body(&document)).await;
        let name = operation.name();
        if refused.status == StatusCode::OK && operation.method == "get" {
            // A list of what the caller may see, which is nothing.
            let lists = refused.body.as_object().unwrap().values().filter_map(Value::as_array);
            assert!(lists.clone().count() > 0, "{name}: {refused:?}");
            assert!(lists.into_iter().all(Vec::is_empty), "{name}: {refused:?}");
            continue;
        }
        let expected = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
        assert!(expected.contains(&refused.status), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn somebody_elses_cluster_does_not_exist() {
    let (service, document) = (TestService::start().await, document());
    let (mine, other) = (service.cluster("mine").await, service.cluster("other").await);
    let key = service.key_with(&[(Role::ClusterAdmin, Resource::Cluster(mine))]).await;
    for operation in operations(&document) {
        let of_cluster = |name: &str| name.ends_with("cluster_id");
        if !operation.parameters.iter().any(|(name, _)| of_cluster(name)) {
            continue;
        }
        let address = operation.address(&document, |name, is_id| match of_cluster(name) {
            true => other.to_string(),
            false => any_value(&operation, &document, name, is_id),
        });
        let hidden = operation.ask(&service, &key, &address, operation.body(&document)).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{}: {hidden:?}", operation.name());
        let unknown = address.replace(&other.to_string(), &Uuid::nil().to_string());
        let unknown = operation.ask(&service, &key, &unknown, operation.body(&document)).await;
        let said = unknown.body["message"].to_string();
        let said = said.replace(&Uuid::nil().to_string(), &other.to_string());
        assert_eq!(hidden.body["message"].to_string(), said, "they can not be told apart");
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_told_so() {
    let (service, document) = (TestService::start().await, document());
    let key = service.key(&[Role::OrgAdmin, Role::ClusterAdmin]).await;
    for operation in operations(&document) {
        for (wrong, _) in operation.parameters.iter().filter(|(_, is_id)| *is_id) {
            let address = operation.address(&document, |name, is_id| match name == wrong {
                true => "not-an-id".to_owned(),
                false => any_value(&operation, &document, name, is_id),
            });
            let refused = operation.ask(&service, &key, &address, operation.body(&document)).await;
            let name = operation.name();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{name}, {wrong}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn fields_that_nobody_knows_are_refused() {
    let (service, document) = (TestService::start().await, document());
    let key = service.key(&[Role::OrgAdmin, Role::ClusterAdmin]).await;
    for operation in operations(&document) {
        let Value::Object(mut body) = operation.body(&document) else { continue };
        body.insert("no_such_field".to_owned(), json!(1));
        let address = operation
            .address(&document, |name, is_id| any_value(&operation, &document, name, is_id));
        let refused = operation.ask(&service, &key, &address, Value::Object(body)).await;
        let name = operation.name();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{name}: {refused:?}");
        assert!(
            refused.body["message"].to_string().contains("no_such_field"),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn every_operation_says_what_it_may_answer() {
    let document = document();
    let mut ids = Vec::new();
    for operation in operations(&document) {
        let name = operation.name();
        let id = operation.description["operationId"].as_str().unwrap_or_else(|| panic!("{name}"));
        assert!(!ids.contains(&id.to_owned()), "{name}: another one is called {id}, too");
        ids.push(id.to_owned());
        for status in ["200", "400", "401", "403", "404", "409", "429", "500", "503"] {
            let answer = &operation.description["responses"][status];
            assert!(answer.is_object(), "{name} does not say {status}");
        }
        assert!(operation.description["summary"].is_string(), "{name} has no summary");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(&name[1..]).is_some(), "{name} is not there");
                }
                fields.values().for_each(|value| check(document, value));
            }
            Value::Array(values) => values.iter().for_each(|value| check(document, value)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}
