"""What every part of the HTTP API shares: requests read, errors answered, operations described in OpenAPI."""
