"""The jail: what a program in it can do, what it leaves, how it ends."""
