"""What operators see and what keeps the platform tidy: health, queues, upkeep."""
