"""Measurements of autoresearch's own cost; `make bench` prints them."""
