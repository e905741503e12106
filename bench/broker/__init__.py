"""Kiln's transport beside Redis, RabbitMQ and the other ways to queue on PostgreSQL, in one run."""
