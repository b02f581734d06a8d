"""One module for each provider: verify a callback, and make an event of it. Pure; `shared.callback` is the interface."""
