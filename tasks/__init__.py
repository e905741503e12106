"""What workers do: each task is about ten lines around one service call."""

from celery import Celery

from app.platform import Platform
from tasks.compile import register_compile
from tasks.execute import register_execute
from tasks.verify import register_verify
from tasks.warm import register_warm


def register_tasks(celery: Celery, platform: Platform) -> None:
    """Give the Celery application its tasks, each bound to this process's platform."""
    register_compile(celery, platform)
    register_verify(celery, platform)
    register_execute(celery, platform)
    register_warm(platform)
