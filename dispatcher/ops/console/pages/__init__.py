"""The pages of the console: one module for each, and the pure parts that it is made from."""
