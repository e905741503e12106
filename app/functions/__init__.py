"""What is deployed: functions, their immutable versions, and the artifacts that compilation makes of them."""
