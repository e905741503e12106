const SEEN: [Option<&str>; 6] = [option_env!("KILN_CANARY"), option_env!("HOME"), option_env!("PWD"), option_env!("PATH"),
    option_env!("OLDPWD"), option_env!("_")];
pub fn handle(_: u8) -> (Vec<Option<&'static str>>, &'static str) { (SEEN.to_vec(), file!()) }
