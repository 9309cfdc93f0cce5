//! Renders the OpenAPI description as an HTML page.

use ok2cry_protocol::code::Code;
use serde_json::Value;
use std::fmt::Write;

pub(super) const STYLE: &str = "\
    body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    code{font:14px ui-monospace,monospace}h3 b{display:inline-block;min-width:4.5rem}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;\
    border-bottom:1px solid #ccc}section{margin:2rem 0}";

pub(super) fn render(openapi: &Value) -> String {
    let mut page = HtmlPage(String::new());
    let info = at(openapi, "/info");
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    page.text(at(info, "/title"))
        .raw("</title><meta name=\"viewport\" content=\"width=device-width\"><style>");
    page.raw(STYLE)
        .raw("</style></head><body><h1>")
        .text(at(info, "/title"))
        .raw(" ")
        .text(at(info, "/version"));
    page.raw("</h1><p>").text(at(info, "/description")).raw("</p><p>");
    page.raw(
        "<a href=\"openapi.json\">OpenAPI description</a> · <a href=\"#codes\">codes</a></p><h2>Calls</h2>",
    );
    for (path, item) in entries(at(openapi, "/paths")) {
        for (method, operation) in entries(item).filter(|(key, _)| *key != "parameters") {
            page.operation(path, method, item, operation);
        }
    }
    page.raw("<h2>Bodies</h2>");
    for (name, schema) in entries(at(openapi, "/components/schemas")) {
        page.schema(name, schema);
    }
    page.raw("<h2 id=\"codes\">Codes</h2><table><tr><th>code<th>status<th>meaning");
    for code in Code::ALL {
        // The registry's texts need no escaping; `str` escapes them anyway.
        page.raw("<tr id=\"").str(code.as_str()).raw("\"><td><code>").str(code.as_str()).raw("</code><td>");
        page.str(&code.status().to_string()).raw("<td>").str(code.title());
    }
    page.raw("</table></body></html>");
    page.0
}

struct HtmlPage(String);

impl HtmlPage {
    fn operation(&mut self, path: &str, method: &str, item: &Value, operation: &Value) {
        self.raw("<section><h3><b>").str(&method.to_uppercase()).raw("</b> <code>").str(path);
        self.raw("</code></h3><p><strong>").text(at(operation, "/summary")).raw(".</strong> ");
        self.text(at(operation, "/description")).raw("</p><table>");
        let body = at(operation, "/requestBody/content/application~1json/schema");
        if !body.is_null() {
            self.raw("<tr><td>body<td>").type_of(body);
        }
        for parameter in items(at(item, "/parameters")).chain(items(at(operation, "/parameters"))) {
            if let Some(name) = reference(parameter) {
                self.raw("<tr><td>path<td><code>").str(name).raw("</code>");
            } else {
                self.raw("<tr><td>")
                    .text(at(parameter, "/in"))
                    .raw("<td><code>")
                    .text(at(parameter, "/name"));
                self.raw("</code>: ").text(at(parameter, "/description"));
            }
        }
        for (status, response) in entries(at(operation, "/responses")) {
            self.raw("<tr><td>").str(status).raw("<td>");
            if let Some(codes) = at(response, "/x-codes").as_array() {
                for code in codes {
                    self.raw("<a href=\"#").text(code).raw("\"><code>").text(code).raw("</code></a> ");
                }
            } else if reference(response).is_some() {
                self.raw("problems that any call can return: see <a href=\"#codes\">codes</a>");
            } else {
                self.text(at(response, "/description")).raw(" ");
                self.type_of(at(response, "/content/application~1json/schema"));
            }
        }
        self.raw("</table></section>");
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        self.raw("<section id=\"").str(name).raw("\"><h3><code>").str(name).raw("</code></h3><p>");
        self.text(at(schema, "/description")).raw("</p><table>");
        let required: Vec<_> = items(at(schema, "/required")).collect();
        for (field, value) in entries(at(schema, "/properties")) {
            self.raw("<tr><td><code>").str(field).raw("</code><td>");
            if !required.iter().any(|name| *name == field) {
                self.raw("(optional) ");
            }
            self.type_of(value).raw(" ").text(at(value, "/description"));
        }
        for choice in items(at(schema, "/oneOf")) {
            self.raw("<tr><td>or<td>").type_of(choice);
        }
        self.raw("</table></section>");
    }

    fn type_of(&mut self, schema: &Value) -> &mut Self {
        if let Some(name) = reference(schema) {
            return self.raw("<a href=\"#").str(name).raw("\"><code>").str(name).raw("</code></a>");
        }
        let constant = at(schema, "/const");
        if !constant.is_null() {
            return self.raw("<code>").str(&constant.to_string()).raw("</code>");
        }
        if !at(schema, "/items").is_null() {
            return self.raw("array of ").type_of(at(schema, "/items"));
        }
        let encoding = at(schema, "/contentEncoding");
        self.raw("<code>")
            .text(if encoding.is_null() { at(schema, "/type") } else { encoding })
            .raw("</code>")
    }

    fn text(&mut self, value: &Value) -> &mut Self {
        self.str(value.as_str().unwrap_or_default())
    }

    fn str(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    fn raw(&mut self, html: &str) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = self.0.write_str(html);
        self
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn items(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

/// The value at this JSON pointer, or null.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The last segment of `$ref`.
fn reference(schema: &Value) -> Option<&str> {
    at(schema, "/$ref").as_str()?.rsplit('/').next()
}
