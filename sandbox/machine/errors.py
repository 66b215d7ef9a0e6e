"""What ends a boot."""


class BootError(Exception):
    """Why the machine doesn't come up, in one sentence, for its console."""
