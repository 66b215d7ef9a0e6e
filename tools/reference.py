"""Writes the parts of the documentation that the code knows: the pages in `docs/` that `PAGES` names.

`python -m tools.reference` writes them; a test compares what is committed with what this makes.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lockstep.cli import COMMANDS, load
from lockstep.config import limits
from lockstep.config.keys import KEYS, REQUIRED, Key
from lockstep.config.models import EGRESS_PRICES, Egress
from lockstep.errors import ExitCode

DOCS = Path(__file__).resolve().parent.parent / "docs"
GENERATED = "<!-- Written by `make docs`; edit the code instead. -->"

EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.UNEXPECTED: "a bug, or a failure that nobody thought of; `LOCKSTEP_DEBUG=1` shows the traceback",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INVALID: "configuration or input can't be used; nothing was changed",
    ExitCode.REFUSED: "refused for safety: a policy forbids it, nobody agreed to the plan, or another operation runs",
    ExitCode.FAILED_UNCHANGED: "failed, and everything is as before",
    ExitCode.INCOMPLETE: "stopped part way; run it again, it settles what is left",
    ExitCode.REGION_UNREACHABLE: "a region, or the sandbox, doesn't answer",
    ExitCode.OBJECTIVE_MISSED: "an objective was missed",
    ExitCode.DEGRADED: "degraded: something runs, and something that should doesn't",
    ExitCode.UNPROTECTED: "unprotected: the loss of a region would lose more than the objectives allow",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; what had begun was ended in order",
}


def cli() -> str:
    """`docs/cli.md`."""
    lines = ["# Command line", "", GENERATED, ""]
    lines += ["Data goes to stdout, everything else to stderr. Every command takes `--help`.", ""]
    for entry in COMMANDS:
        lines += _command(f"lockstep {entry.name}", load(entry))
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {EXIT_CODES[code]} |" for code in ExitCode]
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _command(f"{path} {name}", child)
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([path, *(_form(each) for each in arguments)])
    yield from (f"## `{usage}`", "", (command.help or "").strip(), "")
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    if arguments:
        yield from ("| argument | meaning |", "|---|---|")
        for argument in arguments:
            yield f"| `{_form(argument)}` | {_cell(argument.help or '')} |"
        yield ""
    if options:
        yield from ("| option | meaning |", "|---|---|")
        for option in options:
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            yield f"| {names} | {_cell(option.help or '')} |"
        yield ""


def _form(argument: Any) -> str:
    """`NAME`, or `[NAME]` if it may be left out."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def configuration() -> str:
    """`docs/configuration.md`."""
    lines = ["# Configuration", "", GENERATED, ""]
    lines += [
        "What the stacks share stands in `Pulumi.yaml`, under `config:`; `Pulumi.<stack>.yaml` holds what differs.",
        "An object in a stack's file is laid over the one in `Pulumi.yaml` key by key. Every preview, and every",
        "command, checks all files together and reports all problems at once.",
        "",
        "| key | where | form | default |",
        "|---|---|---|---|",
    ]
    for key in KEYS:
        lines += _key(key)
    lines += ["", "## What `lockstep:network.egress` reaches and costs", "", EGRESS_PRICES, ""]
    lines += ["| egress | instances reach | cost |", "|---|---|---|"]
    lines += [f"| `{egress}` | {_cell(egress.reaches)} | {_cell(egress.cost)} |" for egress in Egress]
    lines += ["", "## Restricting `lockstep:network.ingress`", ""]
    lines += [
        "A list of blocks has to name everybody who sends a site requests, Route 53's health checkers excepted: also",
        "the machines on which `lockstep deploy`, `lockstep status` and the like run, as they ask the sites' own",
        "names, and any CDN in front. The checkers come in by AWS's managed prefix list",
        f"`com.amazonaws.REGION.route53-healthchecks`, which counts as {limits.HEALTH_CHECKERS_WEIGHT} of the",
        f"{limits.GROUP_RULES_MAX} rules that a security group may have, and every block as two.",
    ]
    return "\n".join(lines) + "\n"


def _key(key: Key) -> Iterator[str]:
    default = "required" if key.default is REQUIRED else _default(key.default)
    yield f"| `{key.full_name}` | {key.scope.value} | {_cell(key.expected)} | {default} |"
    if key.model is not None:
        yield from _fields(key.full_name, key.model)


def _fields(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _default(field.default)
        yield f"| `{prefix}.{field.alias or name}` | | {_cell(field.description or '')} | {default} |"


def policies() -> str:
    """`docs/policies.md`."""
    # The pack is no part of the installed package: it has to work without this repository.
    if (folder := str(DOCS.parent / "policies")) not in sys.path:
        sys.path.append(folder)
    from lockstep_policies import GROUPS, POLICIES
    from lockstep_policies.rules import COMMON, RULES

    lines = ["# Policies", "", GENERATED, ""]
    lines += [
        "What a preview is judged by. Every policy can be `mandatory`, `advisory` or `disabled` by its",
        "`enforcementLevel` in the configuration (`pulumi preview --policy-pack policies --policy-pack-config FILE`);",
        "[policies/README.md](../policies/README.md) says how, and what is known before an update.",
        "",
        "| policy | level | severity | what it proves |",
        "|---|---|---|---|",
    ]
    for policy in POLICIES:
        level = policy.enforcement_level.value if policy.enforcement_level else "mandatory"
        severity = policy.severity.value if policy.severity else ""
        lines += [f"| [`{policy.name}`](#{policy.name}) | {level} | {severity} | {_cell(policy.description)} |"]
    for policy in POLICIES:
        lines += ["", f"## {policy.name}", "", f"{policy.description} To repair: {policy.remediation_steps}", ""]
        lines += [f"Background: <{policy.url}>"]
        if policy.config_schema is not None:
            lines += ["", "| option | default | meaning |", "|---|---|---|"]
            for name, part in policy.config_schema.properties.items():
                lines += [f"| `{name}` | {_json(part.get('default'))} | {_cell(part.get('description', ''))} |"]
        if group := GROUPS.get(policy.name):
            lines += ["", "| rule | what it demands |", "|---|---|"]
            lines += [f"| `{group}/{name}` | {_cell(text)} |" for name, text in {**RULES[group], **COMMON}.items()]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return "none" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"


def _default(value: Any) -> str:
    """As it would stand in the file."""
    if value in (None, "", {}):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def fidelity() -> str:
    """`docs/fidelity.md`."""
    from tools.fidelity import page

    return page()


def security() -> str:
    """`docs/security.md`."""
    from tools.security import page

    return page()


PAGES = {
    "cli.md": cli,
    "configuration.md": configuration,
    "policies.md": policies,
    "fidelity.md": fidelity,
    "security.md": security,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
