"""Whether the fields of an endpoint are right, each and together."""
