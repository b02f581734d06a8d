"""Channels: the code that reaches one kind of endpoint, chosen by the scheme of its URL.

A channel takes an `Attempt` and reports an outcome; it decides nothing about what comes next.
"""

from dispatcher.channels.base import Attempt, Channel

__all__ = ["Attempt", "Channel"]
