"""Who may do what: users, groups, sessions, API keys, and the one rule of access."""
