#![recursion_limit = "1000000"]
struct Outer<T>(T);
trait Deep { fn deep() -> u64; }
impl<T> Deep for T where Outer<T>: Deep { fn deep() -> u64 { <Outer<T> as Deep>::deep() } }
pub fn handle(_: u8) -> u64 { <u8 as Deep>::deep() }
