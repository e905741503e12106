"""The promises of docs/guarantees.md, each shown against real processes that are being killed, stopped and cut off."""
