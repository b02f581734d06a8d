"""What RabbitMQ imports on a blank node."""
