"""The description of the HTTP API in OpenAPI 3.1, made from what is there. Pure."""
