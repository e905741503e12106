pub fn handle(_: u8) -> &'static str { env!("KILN_CANARY") }
