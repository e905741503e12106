#![crate_type = "proc-macro"]
extern crate proc_macro;
#[proc_macro] pub fn steal(_: proc_macro::TokenStream) -> proc_macro::TokenStream { std::fs::read_to_string("@HOME@").unwrap().parse().unwrap() }
pub fn handle(x: u8) -> u8 { x }
