"""Traces by OpenTelemetry, an extra: where a context comes from and goes to, settings, spans."""
