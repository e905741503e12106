"""The embedded PostgreSQL and the one-command launcher. Linux only.

Owns what runs on one machine under `KILN_HOME`: the data directory, the socket directory, the server process, the locks
that keep two launchers apart, and the processes of the Procfile while `make up` lasts. `addresses` is all that the rest
of Kiln needs of it, and imports nothing but the standard library.
"""
