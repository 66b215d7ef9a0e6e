"""The keys of systemd's unit files that the sandbox knows, and what it makes of them.

systemd.unit(5), systemd.service(5), systemd.socket(5), systemd.exec(5), systemd.kill(5).
"""

from collections.abc import Mapping
from typing import Final

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    ".service": ("Unit", "Service", "Install"),
    ".socket": ("Unit", "Socket", "Install"),
}

DONE: Final[Mapping[str, frozenset[str]]] = {
    "Unit": frozenset(
        {
            "After",
            "Before",
            "BindsTo",
            "ConditionPathExists",
            "Description",
            "Documentation",
            "Requires",
            "StartLimitBurst",
            "StartLimitIntervalSec",
            "Wants",
        }
    ),
    "Service": frozenset(
        {
            "Environment",
            "EnvironmentFile",
            "ExecStart",
            "ExecStartPre",
            "KillMode",
            "KillSignal",
            "Restart",
            "RestartSec",
            "Sockets",
            "StandardError",
            "StandardOutput",
            "SyslogIdentifier",
            "TimeoutStartSec",
            "TimeoutStopSec",
            "Type",
            "WorkingDirectory",
        }
    ),
    "Socket": frozenset(
        {
            "Accept",
            "Backlog",
            "FileDescriptorName",
            "KeepAlive",
            "ListenStream",
            "NoDelay",
            "ReusePort",
            "Service",
        }
    ),
    "Install": frozenset({"Also", "RequiredBy", "WantedBy"}),
}

# What a service may not do on AWS and may here: it is a process of whoever runs the sandbox. Keys that also give a
# service something (StateDirectory=) aren't among them.
CONFINEMENT: Final = frozenset(
    {
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "DeviceAllow",
        "DevicePolicy",
        "DynamicUser",
        "Group",
        "InaccessiblePaths",
        "KeyringMode",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "RemoveIPC",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "SupplementaryGroups",
        "SystemCallArchitectures",
        "SystemCallErrorNumber",
        "SystemCallFilter",
        "UMask",
        "User",
    }
)

# Keys with a closed set of values, those that the sandbox does.
VALUES: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("Service", "Type"): frozenset({"simple", "exec"}),
    ("Service", "Restart"): frozenset({"no", "on-failure", "on-success", "always"}),
    ("Service", "KillMode"): frozenset({"control-group", "mixed"}),
    ("Service", "StandardOutput"): frozenset({"journal", "journal+console", "inherit", "null"}),
    ("Service", "StandardError"): frozenset({"journal", "journal+console", "inherit", "null"}),
    ("Socket", "Accept"): frozenset({"no", "false", "0", "off"}),
}
TRUE: Final = frozenset({"yes", "true", "1", "on"})
"""systemd.syntax(7): how a boolean is written; the opposites are no, false, 0 and off."""

# systemd.time(7), as far as a service's time-outs need it.
SPANS: Final[Mapping[str, float]] = {
    "ms": 0.001,
    "msec": 0.001,
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
}
