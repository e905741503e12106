//! Does what its input asks for: `{"do": "echo", "value": …}`.
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    deeper(depth + 1) + black_box(frame)[depth as usize % 64]
}

/// A beginning that all readings of the second clock are counted from cannot be had, so it is the difference to none.
fn clocks() -> Value {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let earlier = Instant::now();
    while earlier.elapsed().as_nanos() == 0 {}
    json!([wall.as_micros() as f64 / 1e3, earlier.elapsed().as_nanos() as f64 / 1e6])
}

fn forever() -> Value {
    println!("::progress 40 halfway");
    loop {
        black_box(());
    }
}

fn hoard() -> Value {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

pub fn handle(mut input: Value) -> Result<Value, String> {
    Ok(match input["do"].as_str().unwrap_or("") {
        "echo" => input["value"].take(),
        "log" => {
            println!("printed");
            eprintln!("complained");
            Value::Null
        }
        "environment" => std::env::var(input["name"].as_str().unwrap()).map_or(Value::Null, Value::from),
        "context" => kiln::context(),
        "fail" => panic!("order {} is unknown", 7), // fails here
        "trap" => core::arch::wasm32::unreachable(), // traps here
        "loop" => forever(),
        "memory" => hoard(),
        "recursion" => deeper(0).into(),
        "output" => "x".repeat(4 << 20).into(),
        "clock" => clocks(),
        "file" => match std::fs::read_to_string("/etc/passwd") {
            Ok(text) => text.into(),
            Err(_) => return Err("there are no files".into()),
        },
        "random" => RandomState::new().build_hasher().finish().into(),
        _ => Value::Null,
    })
}
