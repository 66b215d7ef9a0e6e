"""What the system is made of, one file for each thing. Nothing here reads configuration."""
