"""The console: pages for people at `/` of the ops port, rendered here, with a little script of our own."""
