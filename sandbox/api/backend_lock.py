"""The lock that guards moto's state.

moto's backends are plain Python objects with unguarded read-modify-write (measured: two winners of one conditional
write, HTTP 500 on parallel writes of one S3 key). The server takes the lock around each request; whatever else in this
process reads or changes backends (S3 replication, checkers, timers) takes it too. Hold it for one step, never while
waiting.
"""

import threading

backend_lock = threading.RLock()
