"""The engine's gRPC protocol (generated stubs of the Pulumi SDK), without importing the SDK itself.

`import pulumi` costs about half a second and 44 MB, which every plugin process would pay at each operation. The stubs
are self-contained, so they are loaded from the SDK's folder under a package name of our own.
"""

import importlib.util
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        analyzer_pb2,
        language_pb2,
        language_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )
else:
    _spec = importlib.util.find_spec("pulumi")
    if _spec is None or not _spec.submodule_search_locations:
        raise ImportError("the Pulumi SDK isn't installed for this Python: run `make setup`")
    _package = types.ModuleType("_pulumi_protocol")
    _package.__path__ = [str(Path(_spec.submodule_search_locations[0], "runtime", "proto"))]
    sys.modules["_pulumi_protocol"] = _package
    from _pulumi_protocol import (
        analyzer_pb2,
        language_pb2,
        language_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )

__all__ = [
    "CHANNEL_OPTIONS",
    "analyzer_pb2",
    "language_pb2",
    "language_pb2_grpc",
    "listen",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
]

# The engine sends and accepts messages of up to 400 MiB (sdk/go/common/util/rpcutil, GrpcChannelOptions).
_MAX_MESSAGE_BYTES = 400 << 20
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
]


def listen(server: grpc.Server, port: int = 0) -> int:
    """Bind `server` to loopback and return its port; port 0 takes a free one.

    Raises RuntimeError if the port is taken.
    """
    return server.add_insecure_port(f"127.0.0.1:{port}")
