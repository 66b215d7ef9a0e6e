"""Where the name server gets its zones; apart from `zone_feed`, which imports all of the API."""

from typing import Final

PATH: Final = "/_sandbox/zones"
