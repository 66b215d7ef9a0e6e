"""Everything the sandbox changes in moto's S3. The modules beside this one each hold one subject.

| module | subject |
|---|---|
| `s3_request`, `s3_operation`, `s3_error` | what a request is, the order of the checks, the form of a refusal |
| `s3_access`, `s3_policy`, `s3_condition` | who may do what |
| `s3_bucket` | names, regions, defaults |
| `s3_integrity`, `s3_multipart`, `s3_checksum` | bodies are what they are said to be |
| `s3_versioning`, `s3_objects` | versions, conditional writes, copies |
| `s3_replication`, `s3_replication_changes`, `s3_replicator`, `s3_replica`, `s3_role` | replication |
| `s3_lifecycle`, `s3_logging`, `s3_configuration` | lifecycle, access logs, configuration documents |
"""

from sandbox.api import (
    s3_access,
    s3_bucket,
    s3_error,
    s3_integrity,
    s3_lifecycle,
    s3_logging,
    s3_multipart,
    s3_objects,
    s3_replication_changes,
    s3_versioning,
)


def stop() -> None:
    """Drop replication that is due, and end its thread; for when the server stops. The next write starts it again."""
    s3_replication_changes.replicator.stop()


# The checks before an answer order themselves (s3_request.Stage). Of wraps around one method the later is the outer
# one: replication must see what versioning made of a write.
CHANGES = (
    *s3_error.CHANGES,
    *s3_bucket.CHANGES,
    *s3_access.CHANGES,
    *s3_integrity.CHANGES,
    *s3_multipart.CHANGES,
    *s3_versioning.CHANGES,
    *s3_objects.CHANGES,
    *s3_lifecycle.CHANGES,
    *s3_logging.CHANGES,
    *s3_replication_changes.CHANGES,
)
