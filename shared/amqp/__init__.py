"""AMQP: connections that are kept, a channel for the hot path, and a publisher that knows what was kept."""
