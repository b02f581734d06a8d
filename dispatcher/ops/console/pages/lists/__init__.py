"""Lists of the console: filtered, a page at a time."""
