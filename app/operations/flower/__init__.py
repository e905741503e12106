"""Flower, which operators of Celery know: what it is started with, what its broker tab reads, whom it is introduced to,
and our door to it.

Nothing of it is changed, and it listens on a socket that only its own user can reach. `queues` alone imports it, and is
imported only where Celery's command line has loaded Flower already; the web process speaks HTTP to it and no more.
"""
