"""One module for each provider: verify a callback, make an event of it. Pure; `shared.callback` is the interface."""
