"""A provider for trying out what lists repair: its list APIs, and callbacks of which some are never sent."""
