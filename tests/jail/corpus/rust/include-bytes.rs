#![doc = include_str!("@TMP@")]
pub fn handle(_: u8) -> &'static [u8] { include_bytes!("@SHM@") }
