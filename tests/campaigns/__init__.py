"""Campaigns: every case of a kind, tried one after the other for as long as it takes; `make test` tries a sample."""
