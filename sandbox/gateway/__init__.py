"""The way from this machine to the sandbox's sites by their own names: an HTTP proxy that asks the name server."""
