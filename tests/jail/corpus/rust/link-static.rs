#[link(name = "passwd", kind = "static", modifiers = "+verbatim")] extern "C" {}
#[link(name = "/etc/passwd", kind = "static", modifiers = "+verbatim,+whole-archive")] extern "C" { fn stolen() -> u8; }
pub fn handle(_: u8) -> u8 { unsafe { stolen() } }
