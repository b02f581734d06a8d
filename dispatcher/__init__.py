"""Events in, deliveries out; the ops surface is in `dispatcher.ops`."""
