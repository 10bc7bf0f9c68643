"""Addresses in words → unified codes: comparable text, the address base, resolving, made-up bases.

Imports numpy, pyarrow and three libraries of text (`opencc`, `ahocorasick_rs`, `rapidfuzz`). Pure: no
database, no clock. An address names a place; nothing here knows who lives there.
"""
