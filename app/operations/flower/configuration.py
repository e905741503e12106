"""Flower's own configuration file: it executes this when it starts (`celery -A worker flower --conf=…`) and takes each
name below that is an option of its.
"""

import os
import threading

from celery import current_app

from app.addresses import flower_socket, private_directory
from app.logs import configure_logs
from app.operations.flower.introductions import introduce_workers
from app.platform import Platform
from app.settings import load_settings

_settings = load_settings(os.environ)
configure_logs(_settings.log_level, process="flower")

# It makes its socket writable for everybody, so the directory is what keeps them out.
_socket = flower_socket(_settings.home)
private_directory(_socket.parent)

# Who may use it is decided at our door, and nobody else reaches the socket.
os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"

unix_socket = str(_socket)
url_prefix = "flower"

#: Our logs are configured above; Flower's own would set the level anew.
logging = "none"

#: Our workers send their events unasked, so that there is no need to tell them to every five seconds.
enable_events = False

# It asks up to eight questions at a time, and seldom: the connections for them need not wait for the next.
current_app.conf.broker_pool_limit = 0

#: It holds each task in memory until so many came after it. What happened before is in `GET /operations/events`.
max_tasks = 5_000

threading.Thread(target=introduce_workers, args=(Platform.of(_settings, process="flower"),), daemon=True).start()
