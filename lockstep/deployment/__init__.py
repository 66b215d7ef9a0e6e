"""Brings a release to every site, or to none."""
