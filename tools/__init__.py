"""How the toolchain gets here: set-up, the Pulumi CLI's build, and the Python language host beside it."""
