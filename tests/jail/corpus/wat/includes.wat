(include "/etc/passwd") (module (import "@HOME@" "stolen" (func)))
