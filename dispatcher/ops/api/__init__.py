"""What the HTTP API offers, as data: its operations, and the OpenAPI description made of them."""
