std::arch::global_asm!(".incbin \"@SHM@\"");
pub fn handle(x: u8) -> u8 { x }
