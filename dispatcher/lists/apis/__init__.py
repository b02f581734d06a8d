"""The providers' list APIs: what to ask, and what an answer says. Pure."""
