"""TypeScript: checked and turned into JavaScript by its own compiler, then read by JavaScript's engine."""
