"""Stillwave: self-hosted listening sessions that learn which settings you rate best."""

__version__ = "0.1.0"
