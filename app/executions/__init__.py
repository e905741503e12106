"""A function run once: accepted, run by a worker in one or more attempts, ended in exactly one state, kept."""
