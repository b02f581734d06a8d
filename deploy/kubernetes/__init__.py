"""Kubernetes: the chart, and its plain manifests."""
