"""The program with one thing of its components removed or weakened, previewed by the engine under the policies.

Rule: what protects data or traffic can't be lost by an edit that nobody notices. A mutant is the real program but for
one resource, keyword argument or entry of a structure in `components/`; its preview, on stacks that are up, has to be
rejected. One that isn't needs a reason in `survivors`, and there is none for what protects.

Cases are found in the source by `ast`, so a new argument is a new case. A case is named by file, resource, argument and
what is done to it, never by a line, so that edits elsewhere leave its result.
"""

import ast
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.campaigns.preloaded import interpreter, preloaded
from tests.campaigns.survivors import reason_for

COMPONENTS: Final = "components"
STACK_OF_JOINT: Final = "global"
SITES: Final = ("primary", "secondary")
STACK_OF_SITES: Final = SITES[0]
"""Sites run one program, and differ in values only."""
# Where a stack's declarations begin; what is imported from there belongs to that stack.
_ROOTS: Final = {STACK_OF_SITES: "site", STACK_OF_JOINT: "joint"}
SECONDS: Final = 300

REMOVED: Final = "removed"
FEWER: Final = "fewer"

# Values that weaken an argument, by its name, as source: what a mistake or a wish to save would write.
WEAKER: Final[Mapping[str, Sequence[str]]] = {
    "cidr_ipv4": ["'10.0.0.0/8'"],
    "child_health_threshold": ["1", "0"],
    "comparison_operator": ["'LessThanThreshold'"],
    "desired_capacity": ["1"],
    "failure_threshold": ["10"],
    "health_check_type": ["'EC2'"],
    "http_put_response_hop_limit": ["64"],
    "http_tokens": ["'optional'"],
    "include_deprecated": ["False"],
    "insufficient_data_health_status": ["'Healthy'", "'Unhealthy'"],
    "matcher": ["'200-499'"],
    "max_size": ["args.wanted"],
    "min_size": ["0", "1"],
    "noncurrent_days": ["1"],
    "object_ownership": ["'ObjectWriter'"],
    "records": ["['elsewhere.example.com']"],
    "region": ["'us-east-1'"],
    "request_interval": ["30"],
    "resource_path": ["'/'", "'healthz'"],
    "set_identifier": ["'same'"],
    "source_vpce": [],
    "sse_algorithm": ["'aws:kms'"],
    "switch_region": ["site.region"],
    "threshold": ["2.0"],
    "treat_missing_data": ["'notBreaching'", "'breaching'"],
    "ttl": ["86400"],
    "vpc_endpoint_type": ["'Interface'"],
    "weight": ["0"],
    "protect": ["False"],
    "enable_deletion_protection": ["False"],
    "force_destroy": ["True"],
    "Action": ["'s3:*'"],
    "Condition": ["{}"],
    "Effect": ["'Allow'"],
    "Resource": ["'*'"],
}
# A value that means the opposite, or nothing, wherever it stands.
_OPPOSITE: Final = {"Enabled": "Disabled", "Disabled": "Enabled", "Deny": "Allow", "HTTPS": "HTTP", "ELB": "EC2"}

# Calls whose arguments declare nothing.
_NO_DECLARATION: Final = (
    "super",
    "dataclass",
    "json",
    "yaml",
    "zip",
    "enumerate",
    "pulumi.RunError",
    "sorted",
    "pulumi.log",
    "pulumi.InvokeOptions",
)


@dataclass(frozen=True)
class Mutant:
    """One thing done to one file of the components: `file` as it would be is `source`."""

    case: str
    file: str
    source: str


def cases(folder: Path) -> dict[str, list[str]]:
    """Every case in the components of the checkout `folder`, by kind, which is the file's name."""
    return {path.stem: [case for case, _ in _found(path.stem, _parsed(path))] for path in _files(folder)}


def mutant(folder: Path, case: str) -> Mutant:
    """The mutant that `case` names. Raises LookupError if there is none in the checkout `folder`."""
    path = folder / COMPONENTS / f"{case.partition(' ')[0]}.py"
    tree = _parsed(path)
    for name, apply in _found(path.stem, tree):
        if name == case:
            apply()
            return Mutant(case, path.name, ast.unparse(ast.fix_missing_locations(tree)) + "\n")
    raise LookupError(f"no case {case!r} in {path}")


def _files(folder: Path) -> list[Path]:
    """Those with something to lose; a module that only names things has no case."""
    return [path for path in sorted((folder / COMPONENTS).glob("*.py")) if _found(path.stem, _parsed(path))]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def stacks(folder: Path, file: str) -> list[str]:
    """The stacks that run what is in `file` of the components, by what their roots import other than constants."""
    found = [stack for stack, root in _ROOTS.items() if Path(file).stem in _imported(folder, root)]
    # What no root imports, the program itself does: what `global` needs of the sites.
    return found or [STACK_OF_JOINT]


def _imported(folder: Path, module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        for node in ast.walk(_parsed(folder / COMPONENTS / f"{waiting.pop()}.py")):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{COMPONENTS}."):
                name = str(node.module).partition(".")[2]
                if name not in found and not all(alias.name.isupper() for alias in node.names):
                    found.add(name)
                    waiting.append(name)
    return found


Apply = Callable[[], None]
Found = tuple[str, Apply]


def _found(stem: str, tree: ast.Module) -> list[Found]:
    """Cases of a file, each with what does it to `tree`; the same case twice is numbered."""
    seen: Counter[str] = Counter()
    found = []
    for name, how, apply in _Finder(tree).all():
        text = f"{stem} {name}"
        seen[f"{text} {how}"] += 1
        number = seen[f"{text} {how}"]
        found.append((f"{text}{f'#{number}' if number > 1 else ''} {how}", apply))
    return found


@dataclass(frozen=True)
class _At:
    """Where a node is: in which resource or function, and under which names in there."""

    owner: str
    path: tuple[str, ...] = ()
    # Whether the node is the value of a name, so that a call doesn't say its own.
    named: bool = False

    def down(self, name: str) -> "_At":
        return _At(self.owner, (*self.path, name), named=True)

    def __str__(self) -> str:
        return f"{self.owner} {'.'.join(self.path)}".strip()


Case = tuple[str, str, Apply]


class _Finder:
    """Walks a module once, in order, and yields what can be done to it."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._modules, self._components = set(), set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                names = {alias.asname or alias.name for alias in node.names}
                if node.module == "pulumi_aws":
                    self._modules |= names
                elif (node.module or "").startswith(f"{COMPONENTS}."):
                    self._components |= names

    def all(self) -> Iterator[Case]:
        yield from self._block(self._tree.body, self._tree, "module")

    def _block(self, body: list[ast.stmt], function: ast.AST, owner: str) -> Iterator[Case]:
        for statement in list(body):
            match statement:
                case ast.ClassDef():
                    yield from self._block(statement.body, statement, statement.name)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    if statement.name != "__post_init__":
                        inside = statement.name if owner == "module" else f"{owner}.{statement.name}"
                        yield from self._block(statement.body, statement, inside)
                case ast.Raise() | ast.Import() | ast.ImportFrom():
                    pass
                case ast.AnnAssign() if statement.value is None:
                    pass
                case ast.For():
                    if _declares(statement):
                        yield self._fewer(owner, statement)
                    yield from self._block(statement.body, function, owner)
                case ast.If() | ast.With() | ast.Try():
                    yield from self._block(statement.body, function, owner)
                    for further in (getattr(statement, "orelse", []), getattr(statement, "finalbody", [])):
                        yield from self._block(further, function, owner)
                case _:
                    yield from self._removal(statement, body, function)
                    yield from self._visit(statement, _At(_assigned(statement) if owner == "module" else owner))

    def _removal(self, statement: ast.stmt, body: list[ast.stmt], function: ast.AST) -> Iterator[Case]:
        value = getattr(statement, "value", None)
        if not isinstance(value, ast.Call) or not self._is_resource(value):
            return
        name = self._name(value)
        match statement:
            case ast.Expr():
                yield name, REMOVED, lambda: _replace(body, statement, ast.Pass())
            case ast.Assign(targets=[ast.Name(id=variable)]):

                def drop() -> None:
                    _replace(body, statement, ast.Pass())
                    _Without(variable).visit(function)

                yield name, REMOVED, drop
            case ast.Return():
                yield name, REMOVED, lambda: setattr(statement, "value", ast.Constant(None))

    def _visit(self, node: ast.AST, at: _At) -> Iterator[Case]:
        match node:
            case ast.Call():
                yield from self._call(node, at)
            case ast.Dict():
                for key, value in list(zip(node.keys, node.values, strict=True)):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield from self._entry(node, key, value, at.down(key.value))
                    else:
                        yield from self._visit(value, at)
            case ast.List():
                for index, element in enumerate(list(node.elts)):
                    inside = at.down(_label(element) or str(index)) if len(node.elts) > 1 else at
                    if len(node.elts) > 1:
                        name = self._name(element) if self._is_resource(element) else str(inside)
                        yield name, REMOVED, _remover(node.elts, element)
                    yield from self._visit(element, inside)
            case ast.ListComp() | ast.DictComp():
                if _declares(node):
                    yield self._fewer(str(at), node.generators[0])
                for child in ast.iter_child_nodes(node):
                    yield from self._visit(child, at)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from self._visit(child, at)

    def _call(self, call: ast.Call, at: _At) -> Iterator[Case]:
        callee = ast.unparse(call.func)
        if callee.startswith(_NO_DECLARATION):
            return
        if self._is_resource(call):
            at = _At(self._name(call))
        elif not at.named and call.keywords:
            at = at.down(callee.rpartition(".")[2])
        yield from self._visit(call.func, at)
        for argument in call.args:
            yield from self._visit(argument, _At(at.owner, at.path))
        for keyword in list(call.keywords):
            if keyword.arg is None:
                continue
            inside = at.down(keyword.arg)
            yield str(inside), REMOVED, _remover(call.keywords, keyword)
            for weaker in _weaker(keyword.arg, keyword.value):
                yield str(inside), f"= {weaker}", _setter(keyword, weaker)
            yield from self._visit(keyword.value, inside)

    def _entry(self, node: ast.Dict, key: ast.Constant, value: ast.expr, at: _At) -> Iterator[Case]:
        def remove() -> None:
            index = node.keys.index(key)
            del node.keys[index], node.values[index]

        yield str(at), REMOVED, remove
        for weaker in _weaker(str(key.value), value):

            def weaken(weaker: str = weaker) -> None:
                node.values[node.keys.index(key)] = _expression(weaker)

            yield str(at), f"= {weaker}", weaken
        yield from self._visit(value, at)

    def _fewer(self, where: str, loop: "ast.For | ast.comprehension") -> Case:
        def fewer() -> None:
            loop.iter = _expression(f"list({ast.unparse(loop.iter)})[1:]")

        return f"{where} each {ast.unparse(loop.iter)}", FEWER, fewer

    def _is_resource(self, node: ast.AST) -> bool:
        """Whether a node makes a resource or a component: `module.Name(...)` of pulumi_aws, or a class of ours."""
        if not isinstance(node, ast.Call):
            return False
        match node.func:
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                return module in self._modules and name[:1].isupper()
            case ast.Name(id=name):
                made = name in self._components or name in self._modules
                return made and name[:1].isupper() and not name.endswith(("Args", "Site", "Outputs", "Bucket"))
        return False

    def _name(self, call: ast.AST) -> str:
        assert isinstance(call, ast.Call)
        role = _role(call.args[0]) if call.args else ""
        return f"{ast.unparse(call.func)}{f'({role})' if role else ''}"


def _role(argument: ast.expr) -> str:
    """What a resource's name says of it: `network` of `f"{name}-network"`."""
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                str(part.value)
                if isinstance(part, ast.Constant)
                else f"{{{ast.unparse(part.value).rpartition('.')[2]}}}"
                for part in parts[1:]
                if isinstance(part, ast.Constant | ast.FormattedValue)
            ).strip("-")
        case ast.Call(func=ast.Name(id="logical"), args=[_, second, *_]):
            return str(second.value) if isinstance(second, ast.Constant) else f"{{{ast.unparse(second)}}}"
    return ""


def _label(element: ast.expr) -> str:
    """How an element of a list calls itself."""
    if isinstance(element, ast.Dict):
        for key, value in zip(element.keys, element.values, strict=True):
            named = isinstance(key, ast.Constant) and key.value in ("Sid", "id", "name", "resource_type")
            if named and isinstance(value, ast.Constant):
                return str(value.value)
    return ""


def _assigned(statement: ast.stmt) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return "module"


def _declares(node: ast.AST) -> bool:
    """Whether a loop can make something: it calls a class, or a method of the component."""
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(
        ast.unparse(called).startswith("self._") or ast.unparse(called).rpartition(".")[2][:1].isupper()
        for called in calls
    )


def _weaker(name: str, value: ast.expr) -> list[str]:
    """Values to put in the place of `value`, as source."""
    text = ast.unparse(value)
    found = list(WEAKER.get(name, []))
    match value:
        case ast.Constant(value=bool(flag)):
            found.append(str(not flag))
        case ast.Constant(value=str(word)) if word in _OPPOSITE:
            found.append(repr(_OPPOSITE[word]))
    return [each for each in dict.fromkeys(found) if each != text]


def _expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _setter(keyword: ast.keyword, source: str) -> Apply:
    return lambda: setattr(keyword, "value", _expression(source))


def _remover(container: list[Any], item: Any) -> Apply:
    return lambda: container.remove(item)


def _replace(body: list[ast.stmt], old: ast.stmt, new: ast.stmt) -> None:
    body[body.index(old)] = new


class _Without(ast.NodeTransformer):
    """Takes out what a variable is given to by name or in a list, as who removes a resource would."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def _mentions(self, node: ast.AST) -> bool:
        return any(isinstance(each, ast.Name) and each.id == self._variable for each in ast.walk(node))

    def visit_List(self, node: ast.List) -> ast.AST:
        node.elts = [element for element in node.elts if not self._mentions(element)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if not self._mentions(keyword.value)]
        return node


# Trying one

SURVIVED: Final = "survived"


@dataclass(frozen=True)
class Previews:
    """Previews of changed copies of the checkout `folder`, in the stacks of `environment`.

    `environment_of_new` has stacks of the same names that nothing is in; `address` is where a Python that has imported
    already listens.
    """

    folder: Path
    environment: Mapping[str, str]
    environment_of_new: Mapping[str, str]
    address: Path

    def run(self, case: str) -> dict[str, Any]:
        """What becomes of `case`: `ok` if it is rejected or has a reason to be let through, else `failed`."""
        made = mutant(self.folder, case)
        changes: dict[str, Any] = {}
        with self._copied() as copied:
            # A file that was written in the same second, and is as long, would be taken for the one that was compiled.
            shutil.rmtree(copied / COMPONENTS / "__pycache__", ignore_errors=True)
            (copied / COMPONENTS / made.file).write_text(made.source)
            for stack in stacks(self.folder, made.file):
                found = self.preview(copied, stack, self.environment)
                if found["outcome"] == SURVIVED and "changes" not in found:
                    # What AWS keeps when nobody says it any more isn't lost; who brings up a stack anew never has it.
                    found = self.preview(copied, stack, self.environment_of_new)
                    found = found if found["outcome"] != SURVIVED else {"outcome": SURVIVED}
                    found["in"] = "a new stack"
                if found["outcome"] != SURVIVED:
                    return {"result": "ok", **found}
                changes |= {stack: found["changes"]} if "changes" in found else {}
        found = {"outcome": SURVIVED, "changes": changes}
        reason = reason_for(case)
        if reason is None:
            problem = "no policy rejects it, and `survivors` has no reason why"
            return {"result": "failed", **found, "problems": [problem]}
        return {"result": "ok", **found, "reason": reason}

    def check_unchanged(self) -> None:
        """Raise AssertionError unless the program as it is plans clean: else no mutant's preview would say anything."""
        with self._copied() as copied:
            for stack in _ROOTS:
                found = self.preview(copied, stack, self.environment)
                assert found == {"outcome": SURVIVED, "stack": stack}, f"the program itself isn't clean: {found}"
                found = self.preview(copied, stack, self.environment_of_new)
                assert found["outcome"] == SURVIVED, f"the program itself is rejected in a new stack: {found}"

    @contextmanager
    def _copied(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="lockstep-mutant-") as name:
            yield _copy(self.folder, Path(name), self.address)

    def preview(self, folder: Path, stack: str, environment: Mapping[str, str]) -> dict[str, Any]:
        """Plan a stack of the project in `folder` under the policies, with the state that `environment` leads to.

        Returns what it came to, `policy`, `engine`, `provider`, `program` or `survived`, and what said so.
        """
        log = folder / "events.json"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *("pulumi", "preview", "--non-interactive", "--color", "never", "-s", stack),
                *("--policy-pack", str(folder / "policies"), "--event-log", str(log)),
            ],
            cwd=folder,
            env={
                **environment,
                "PYTHONPATH": str(folder),
                "LOCKSTEP_PROJECT": str(folder),
                # Without it the CLI doesn't know --event-log.
                "PULUMI_DEBUG_COMMANDS": "true",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return {**_judged(done, events), "stack": stack}


@contextmanager
def previews(folder: Path, environment: Mapping[str, str]) -> Iterator[Previews]:
    """Previews of changes of the checkout `folder`, whose stacks are up, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="lockstep-previews-") as name:
        address, backend = Path(name) / "python", Path(name) / "backend"
        backend.mkdir()
        new = {**environment, "PULUMI_BACKEND_URL": f"file://{backend}"}
        for site in (*SITES, STACK_OF_JOINT):
            subprocess.run(
                ["pulumi", "stack", "init", "--non-interactive", "--no-select", site],
                cwd=folder,
                env=new,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
            )
        with preloaded(folder, environment, address):
            yield Previews(folder, environment, new, address)


def _judged(done: "subprocess.CompletedProcess[str]", events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    policies = [event["policyEvent"] for event in events if "policyEvent" in event]
    rejecting = {_rule(each["message"]) for each in policies if each["enforcementLevel"] == "mandatory"}
    if rejecting:
        return {"outcome": "policy", "by": sorted(rejecting)}
    if done.returncode:
        diagnostics = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        errors = [each for each in diagnostics if each.get("severity") == "error" and not each.get("ephemeral")]
        return _rejected([str(each["message"]).strip() for each in errors] or [done.stdout + done.stderr])
    summaries = [event["summaryEvent"] for event in events if "summaryEvent" in event]
    changes = {
        operation: count
        for summary in summaries
        for operation, count in (summary.get("resourceChanges") or {}).items()
        if operation not in ("same", "read")
    }
    return {"outcome": SURVIVED, **({"changes": changes} if changes else {})}


def _rule(message: str) -> str:
    """The rule that a policy's message names."""
    found = re.search(r"\[([a-z]+/[a-z-]+)\]", message)
    return found[1] if found else message[:80]


def _rejected(errors: Sequence[str]) -> dict[str, Any]:
    text = "\n".join(errors)
    last = next((line.strip() for line in reversed(errors[0].splitlines()) if line.strip()), "")
    if "is protected" in text or "marked for protection" in text or "protect" in last:
        return {"outcome": "engine", "by": ["a protected resource would be deleted"]}
    if "Traceback" in text or "Program failed" in text or "program failed" in text:
        return {"outcome": "program", "by": [last[:160]]}
    return {"outcome": "provider", "by": [last[:160]]}


def _copy(folder: Path, to: Path, address: Path) -> Path:
    """The checkout `folder` with components of its own and the Python that listens at `address`."""
    interpreter(to, address)
    for entry in folder.iterdir():
        # A link would lead back: Python looks for what a program imports beside the real file, a pack for its Python.
        if entry.name in (COMPONENTS, "policies"):
            shutil.copytree(entry, to / entry.name)
        elif entry.name == "__main__.py":
            shutil.copy2(entry, to / entry.name)
        elif entry.name != ".venv":
            (to / entry.name).symlink_to(entry)
    return to
