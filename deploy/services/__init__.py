"""RabbitMQ and PostgreSQL for a laptop and for the tests."""
