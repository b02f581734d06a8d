"""Sentences for people: why a store could not be reached, why a value is wrong."""
