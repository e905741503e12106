#[path = "@JOB@"] mod stolen;
pub fn handle(x: u8) -> u8 { x }
