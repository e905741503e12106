use serde_json::{json, Value};

pub fn handle(input: Value) -> Result<Value, String> {
    let name = input["name"].as_str().unwrap_or("world");
    Ok(json!({ "greeting": format!("Hello, {name}") }))
}
