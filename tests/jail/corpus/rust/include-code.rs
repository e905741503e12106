include!("@VAR_TMP@");
pub fn handle(x: u8) -> u8 { x }
