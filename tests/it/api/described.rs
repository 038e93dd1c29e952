//! The description at `openapi.json`: every route is in it, answers as it says there, and opens to no less than a token
//! of the scope that it names.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use super::Desk;
use crate::support::http::Answer;

/// An operation of the description.
struct Operation {
    method: String,
    path: String,
    scope: Option<String>,
}

fn operations(description: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scope = operation["security"][0]["token"][0].as_str().map(str::to_owned);
            let path = path.strip_prefix("/api/v1").unwrap().to_owned();
            all.push(Operation { method: method.to_uppercase(), path, scope });
        }
    }
    all
}

/// Holds answers against the description.
struct Judge {
    description: Value,
    judged: BTreeSet<String>,
}

impl Judge {
    fn new(mut description: Value) -> Self {
        close(&mut description);
        Self { description, judged: BTreeSet::new() }
    }

    /// The answer is of a kind that is described for this operation, and nothing in it is not.
    fn hold(&mut self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.description["paths"][format!("/api/v1{path}")][method.to_lowercase()]["responses"];
        let responses = responses.as_object().unwrap_or_else(|| panic!("{method} {path} is not described"));
        let exact = answer.status.to_string();
        let code = if responses.contains_key(&exact) { exact } else { format!("{}XX", answer.status / 100) };
        let content = &responses.get(&code).unwrap_or_else(|| panic!("{method} {path}: {code}"))["content"];
        let kind = answer.header("content-type");
        assert!(content[kind].is_object(), "{method} {path}: {code} as {kind} is not described");
        if kind.ends_with("json") {
            let slash = |text: &str| text.replace('~', "~0").replace('/', "~1");
            let place = format!(
                "description.json#/paths/{}/{}/responses/{code}/content/{}/schema",
                slash(&format!("/api/v1{path}")),
                method.to_lowercase(),
                slash(kind)
            );
            let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
            compiler.add_resource("description.json", self.description.clone()).unwrap();
            let schema = compiler.compile(&place, &mut schemas).unwrap_or_else(|e| panic!("{place}: {e:#}"));
            let json = answer.json();
            if let Err(e) = schemas.validate(&json, schema) {
                panic!("{method} {path}: {e:#}\n{json:#}");
            }
        }
        self.judged.insert(format!("{method} {path} {}", answer.status));
    }
}

/// Lets nothing through that is not described: to clients further fields are promised, here they are a mistake.
fn close(description: &mut Value) {
    let schemas = description["components"]["schemas"].as_object_mut().unwrap();
    let mut parts = BTreeSet::new();
    for schema in schemas.values() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            parts.extend(part["$ref"].as_str().map(|of| of.rsplit('/').next().unwrap().to_owned()));
        }
    }
    for (name, schema) in schemas.iter_mut().filter(|(name, _)| !parts.contains(*name)) {
        let is_object = schema["properties"].is_object() || schema["allOf"].is_array();
        if is_object {
            schema["unevaluatedProperties"] = json!(false);
        } else {
            assert!(!schema["type"].is_null() || schema["oneOf"].is_array(), "{name}: {schema}");
        }
    }
}

#[test]
fn every_route_answers_as_it_is_described() {
    let desk = Desk::open();
    let case = desk.claim("priya");
    let token = desk.token("bot", "read,letters,act");
    let description = desk.get("", "/openapi.json").json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1."), "{}", description["openapi"]);
    assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let all = operations(&description);
    let letter =
        desk.get(&token, &format!("/cases/{case}/letters")).json()["letters"][0]["letter"].as_str().unwrap().to_owned();
    let mut judge = Judge::new(description);
    let filled =
        |path: &str, case: &str| path.replace("{case}", case).replace("{letter}", &letter).replace("{index}", "0");
    for Operation { method, path, .. } in &all {
        let body = if path.ends_with("/preview") {
            json!({"act": "approve", "words": ["repair"]})
        } else {
            json!({"act": "note", "text": "seen"})
        };
        let query = if path == "/search" { "?q=priya" } else { "" };
        let ask = |token: &str, case: &str| match method.as_str() {
            "POST" => desk.post(token, &filled(path, case), &[], &body),
            _ => desk.get(token, &format!("{}{query}", filled(path, case))),
        };
        let answer = ask(&token, &case);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        judge.hold(method, path, &answer);
        if path != "/openapi.json" {
            judge.hold(method, path, &ask("", &case));
        }
        if path.contains("{case}") {
            let unknown = ask(&token, "AS-22222222");
            assert_eq!(unknown.status, 404, "{path}");
            judge.hold(method, path, &unknown);
        }
    }
    // With a draft, an RMA and what it comes to, the same descriptions hold.
    let approved =
        desk.post(&token, &format!("/cases/{case}/acts"), &[], &json!({"act": "approve", "words": ["repair"]}));
    judge.hold("POST", "/cases/{case}/acts", &approved);
    let late = desk.post(&token, &format!("/cases/{case}/acts"), &[("If-Match", "\"1\"")], &json!({"act": "close"}));
    judge.hold("POST", "/cases/{case}/acts", &late);
    for path in ["/cases/{case}", "/cases/{case}/explanation", "/stats", "/health", "/cases"] {
        judge.hold("GET", path, &desk.get(&token, &filled(path, &case)));
    }
    for Operation { method, path, .. } in &all {
        assert!(judge.judged.contains(&format!("{method} {path} 200")), "{method} {path}");
    }
    assert!(judge.judged.contains("POST /cases/{case}/acts 412"));
}

#[test]
fn nothing_opens_to_less_than_a_token_of_its_scope() {
    let desk = Desk::open();
    let case = desk.claim("priya");
    let all = operations(&desk.get("", "/openapi.json").json());
    assert!(all.len() >= 11, "{}", all.len());
    let scopes = ["read", "letters", "act"];
    let tokens = scopes.map(|without| {
        let others: Vec<&str> = scopes.into_iter().filter(|scope| *scope != without).collect();
        (without, desk.token(&format!("no-{without}"), &others.join(",")))
    });
    for Operation { method, path, scope } in &all {
        if path == "/openapi.json" {
            continue;
        }
        let scope = scope.as_deref().unwrap_or_else(|| panic!("{method} {path} names no scope"));
        let (_, token) = tokens.iter().find(|(without, _)| *without == scope).unwrap();
        let at = path.replace("{case}", &case).replace("{letter}", &"0".repeat(64)).replace("{index}", "0");
        let at = if path == "/search" { "/search?q=x".to_owned() } else { at };
        let body = if method == "POST" { "{\"act\": \"close\"}" } else { "" };
        let json = ("Content-Type", "application/json");
        let refused = desk.ask(token, method, &at, &[json], body);
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text());
        assert_eq!(refused.json()["type"], "urn:aftersalesd:insufficient_scope");
        // Neither nobody nor somebody who is signed in at the console.
        let cookie = ("Cookie", "desk=0123456789abcdef; __Host-desk=0123456789abcdef");
        for headers in [&[json][..], &[json, cookie]] {
            assert_eq!(desk.ask("", method, &at, headers, body).status, 401, "{method} {path}");
        }
    }
    assert_eq!(desk.here.json(&["cases", "list", "--json"])[0]["state"], "with_staff");
}
