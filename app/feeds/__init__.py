"""Adapters: the ways rows of a feed come in. `base` says what every one of them promises."""
