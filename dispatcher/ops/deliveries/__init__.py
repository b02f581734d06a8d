"""Single deliveries, for people: the requests that were sent, sent again when a person asks."""
