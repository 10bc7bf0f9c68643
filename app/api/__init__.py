"""Routers, one per noun, and the response models."""
