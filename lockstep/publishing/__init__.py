"""Puts the packages of a release into every region's bucket, and tells what is there."""
