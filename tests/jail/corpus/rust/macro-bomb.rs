macro_rules! double { ($($t:tt)*) => { double!($($t)* $($t)*); } }
double!(a);
pub fn handle(x: u8) -> u8 { x }
