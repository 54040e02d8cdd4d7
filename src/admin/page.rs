//! The document for people: one page, made of it once, with nothing from elsewhere and no scripts.

use std::fmt::Write as _;

use serde_json::Value;

use super::problem::Kind;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;\
background:#fff}h1,h2{line-height:1.2}code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f3}code{padding:0 .2rem}\
pre{padding:.6rem;overflow:auto}details{border:1px solid #ccc;border-radius:4px;margin:.5rem 0;padding:.4rem .8rem}\
summary{cursor:pointer}summary b{display:inline-block;min-width:3.5rem}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;border-top:1px solid #ddd;padding:.2rem .6rem .2rem 0}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{background:#2a2a2a}}";

/// The page for a document.
pub(super) fn of(document: &Value) -> String {
    let mut page = String::new();
    let title = text(document, "/info/title");
    // Writing into a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}: admin API</title><style>{STYLE}</style>\n<h1>{title}: admin \
         API</h1>\n<p>{} The same for programs is <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).</p>\n",
        text(document, "/info/description")
    );
    for tag in document.pointer("/tags").and_then(Value::as_array).into_iter().flatten() {
        let name = tag.get("name").and_then(Value::as_str).unwrap_or("");
        let _ = write!(page, "<h2>{}</h2>\n<p>{}</p>\n", safe(name), text(tag, "/description"));
        operations(&mut page, document, name);
    }
    problems(&mut page);
    shapes(&mut page, document);
    page.push_str("</html>\n");
    page
}

/// What belongs to a tag.
fn operations(page: &mut String, document: &Value, tag: &str) {
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tags = operation.get("tags").and_then(Value::as_array);
            if tags.is_some_and(|tags| tags.iter().any(|one| one == tag)) {
                self::operation(page, path, method, operation);
            }
        }
    }
}

fn operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        page,
        "<details><summary><b>{}</b> <code>{}</code> {}</summary>\n<p>{}</p>\n",
        safe(&method.to_uppercase()),
        safe(path),
        text(operation, "/summary"),
        text(operation, "/description"),
    );
    let parameters = operation.get("parameters").and_then(Value::as_array);
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        page.push_str("<table><tr><th>parameter<th>in<th>meaning\n");
        for parameter in parameters {
            let (name, place) = (text(parameter, "/name"), text(parameter, "/in"));
            let _ = writeln!(
                page,
                "<tr><td><code>{name}</code><td>{place}<td>{}",
                text(parameter, "/description")
            );
        }
        page.push_str("</table>\n");
    }
    if let Some(content) = operation.pointer("/requestBody/content") {
        let _ = writeln!(page, "<p>Content: {}</p>", contents(content));
    }
    page.push_str("<table><tr><th>answer<th>meaning<th>content\n");
    for (status, response) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        let content = response.get("content").map_or_else(String::new, contents);
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code><td>{}<td>{content}",
            safe(status),
            text(response, "/description")
        );
    }
    page.push_str("</table></details>\n");
}

/// The kinds of content with their shapes.
fn contents(content: &Value) -> String {
    let kinds = content.as_object().into_iter().flatten().map(|(kind, of)| {
        let shape =
            of.pointer("/schema/$ref").and_then(Value::as_str).and_then(|shape| shape.rsplit('/').next());
        let shape = shape.map(|shape| format!(" <a href=\"#{0}\">{0}</a>", safe(shape))).unwrap_or_default();
        format!("<code>{}</code>{shape}", safe(kind))
    });
    kinds.collect::<Vec<_>>().join(", ")
}

fn problems(page: &mut String) {
    page.push_str(
        "<h2>Problems</h2>\n<p>Every error is a problem as RFC 9457 has it; its <code>type</code> never \
         changes.</p>\n<table><tr><th>type<th>status<th>meaning\n",
    );
    for kind in Kind::ALL {
        let (word, status, title) = (kind.word(), kind.status().as_u16(), kind.title());
        let _ = writeln!(page, "<tr><td><code>urn:forebay:problem:{word}</code><td>{status}<td>{title}");
    }
    page.push_str("</table>\n");
}

fn shapes(page: &mut String, document: &Value) {
    page.push_str("<h2>Shapes</h2>\n");
    let shapes = document.pointer("/components/schemas").and_then(Value::as_object);
    for (name, shape) in shapes.into_iter().flatten() {
        let pretty = serde_json::to_string_pretty(shape).unwrap_or_default();
        let _ = writeln!(
            page,
            "<details id=\"{0}\"><summary><code>{0}</code></summary><pre>{1}</pre></details>",
            safe(name),
            safe(&pretty)
        );
    }
}

/// A text of the document at a place, with its code marked as such.
fn text(document: &Value, place: &str) -> String {
    let plain = document.pointer(place).and_then(Value::as_str).unwrap_or("");
    let parts = plain.split('`').enumerate().map(|(nth, part)| match nth % 2 {
        0 => safe(part),
        _ => format!("<code>{}</code>", safe(part)),
    });
    parts.collect()
}

/// As text in HTML.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_document_becomes_a_tag() {
        let document = serde_json::json!({
            "info": { "title": "<b>", "description": "a `<i>` b" },
            "tags": [{ "name": "x", "description": "&" }],
            "paths": { "/<p>": { "get": { "tags": ["x"], "summary": "\"", "responses": { "200": { "description": "<u>" } } } } },
        });
        let page = of(&document);
        for tag in ["<b>:", "<i>", "<p>\"", "<u>"] {
            assert!(!page.contains(tag), "{tag}: {page}");
        }
        assert!(page.contains("a <code>&lt;i&gt;</code> b") && page.contains("/&lt;p&gt;"), "{page}");
    }
}
