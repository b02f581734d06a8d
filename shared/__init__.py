"""What ingress and dispatcher must agree on: words, broker, signatures, providers, media, SQL."""
