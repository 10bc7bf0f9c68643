"""Wusetu for notebooks: `wusetu.Client(url, token)`; see docs/notebook.md."""

from __future__ import annotations

from app.client import Analysis, Client, ClientError, JobAnswer

__all__ = ["Analysis", "Client", "ClientError", "JobAnswer"]
