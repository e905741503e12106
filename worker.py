"""The workers' entry and that of every Celery tool: environment -> settings -> Celery with its tasks."""

import os
import sys
from typing import Any

from celery.signals import celeryd_init, setup_logging, worker_init, worker_ready

from app.database import WORKER_OPTIONS
from app.executions import queries as executions
from app.executions.results import results_of
from app.functions import queries as functions
from app.logs import configure_logs
from app.memory import keep_for_good
from app.nodes import take_name
from app.platform import Platform
from app.queue import Queue, create_celery
from app.settings import load_settings
from tasks import register_tasks

settings = load_settings(os.environ)
configure_logs(settings.log_level, process="worker")
platform = Platform.of(settings, process="worker", options=WORKER_OPTIONS)
celery = create_celery(
    settings.database_url,
    lease_seconds=settings.lease_seconds,
    on_claim={Queue.EXECUTE: executions.BEGIN},
    on_dead=[executions.LOST, *functions.ON_DEAD],
    on_expired=[executions.EXPIRED],
    on_released=[executions.RELEASED],
    results=results_of(platform),
    child_max_tasks=settings.child_max_tasks,
    child_max_memory_mb=settings.child_max_memory_mb,
)
register_tasks(celery, platform)
app = celery


def name_node(*, instance: Any, **_more: object) -> None:
    """Before a worker is anything else it has a name of its own on this host."""
    instance.hostname = take_name(instance.hostname, settings.home / "nodes")


def outlive_children(*, sender: Any, **_more: object) -> None:
    """A child that is killed while its worker starts is replaced like any other: Celery would end the worker."""
    sender.pool.did_start_ok = lambda: True


celeryd_init.connect(name_node)
worker_ready.connect(outlive_children)
# Logs are as KILN_LOG_LEVEL wants them: Celery sets up its own only where nobody else did.
setup_logging.connect(lambda **_more: None, weak=False)
# Before the children are forked, and in the main process once more when it is ready.
for moment in (worker_init, worker_ready):
    moment.connect(lambda **_more: keep_for_good(), weak=False)

# Celery's command line loads its plugins, Flower among them, before it asks for this application.
if "flower.views" in sys.modules:
    from app.operations.flower.queues import teach_flower

    teach_flower()
