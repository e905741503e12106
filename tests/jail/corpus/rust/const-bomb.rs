#![allow(long_running_const_eval)]
const fn spin() -> u64 { let mut n = 0; while n < u64::MAX { n += 1; } n }
pub fn handle(_: u8) -> u64 { const N: u64 = spin(); N }
