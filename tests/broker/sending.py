"""Sending and receiving as the tests of this folder do it."""

from typing import Any

from kombu import Connection, Consumer, Message, Producer, Queue


def publish(connection: Connection, body: object, queue: Queue, **options: Any) -> None:
    """Send one message."""
    Producer(connection.default_channel).publish(body, routing_key=queue.routing_key, declare=[queue], **options)


def receive(connection: Connection, queue: Queue, count: int = 1) -> list[Message]:
    """The next messages, not acknowledged."""
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append, prefetch_count=count):
        while len(got) < count:
            connection.drain_events(timeout=5)
    return got


def nothing_arrives(connection: Connection, queue: Queue, *, seconds: float = 0.2) -> bool:
    """Whether the queue gives nothing within a moment."""
    with Consumer(connection.channel(), [queue], on_message=lambda message: message.ack()):
        try:
            connection.drain_events(timeout=seconds)
        except TimeoutError:
            return True
    return False


def drain(connection: Connection) -> None:
    """Deliver whatever comes within a moment."""
    while True:
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            return
