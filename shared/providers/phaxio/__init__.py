"""Phaxio: shapes, signatures and meanings of its callbacks."""
