#![crate_name = "../../stolen"]
#![feature(rustc_private)]
pub fn handle(x: u8) -> u8 { x }
