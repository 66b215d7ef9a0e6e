"""Pulumi's language host for Python, for a CLI that was built from its Go module.

Pulumi's own downloads carry a Python language host; the Go module of the CLI does not. This one implements what
`pulumi preview|up|refresh|destroy` and policy packs need of the LanguageRuntime service (pulumi/proto/language.proto).
It runs programs with the virtualenv that `runtime.options.virtualenv` names, and policy packs with that of their
`PulumiPolicy.yaml`. It stands beside the `pulumi` binary as `pulumi-language-python`; `make setup` puts it there.
"""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf import empty_pb2

from tools.protocol import (
    CHANNEL_OPTIONS,
    analyzer_pb2,
    language_pb2,
    language_pb2_grpc,
    listen,
    plugin_pb2,
)

VERSION = "3.259.0"
# pulumi-language-python-exec exits with this after it has shown the user what is wrong itself.
EXIT_AFTER_SHOWING_ERROR = 32
PACK_START_SECONDS = 60
_SECONDS_BETWEEN_LOOKS = 1.0
_EXECUTOR = Path(os.environ.get("LOCKSTEP_LANGUAGE_EXECUTOR", "pulumi-language-python-exec"))
_CHILD = Path(__file__).with_name("child.py")


class Children:
    """The programs and packs that run now; ends them when the engine cancels or the host is told to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the engine or a signal has ended the operation."""
        return self._stopping

    @contextlib.contextmanager
    def start(
        self, command: list[str], env: Mapping[str, str], cwd: str, stdout: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run `command` in a session of its own and yield it; it is ended, quietly, if it still runs afterwards.

        Its own session keeps a Ctrl-C at the terminal from reaching the program, whose traceback the engine would show;
        the engine tells the host instead.
        """
        process = subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=stdout, start_new_session=True)
        with self._lock:
            self._running.add(process)
            if self._stopping:
                process.terminate()
        try:
            yield process
        finally:
            with self._lock:
                self._running.discard(process)
            if process.poll() is None:
                process.terminate()
                process.wait()

    def stop(self) -> None:
        """End every child. SIGTERM, because a KeyboardInterrupt would print a traceback."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.terminate()


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """The Python that runs `info`'s program: that of its virtualenv option, else the host's own.

    Raises FileNotFoundError if the virtualenv has no Python.
    """
    virtualenv = dict(info.options).get("virtualenv")
    if not virtualenv:
        return sys.executable
    python = Path(info.root_directory, str(virtualenv), "bin", "python")
    if not python.exists():
        raise FileNotFoundError(f"the virtualenv {virtualenv} of {info.root_directory} has no Python: run `make setup`")
    return str(python)


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """The LanguageRuntime service."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address
        self._children = Children()

    def stop(self) -> None:
        """End what runs."""
        self._children.stop()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        self._engine_address = request.engine_address or self._engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        # Providers are attached or found by the engine; listing them here would only pre-install them.
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        return language_pb2.GetRequiredPluginsResponse()

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        return language_pb2.GetProgramDependenciesResponse()

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._children.stop()
        return empty_pb2.Empty()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run a program to its end and say how it ended."""
        try:
            python = interpreter(request.info)
        except FileNotFoundError as error:
            return language_pb2.RunResponse(error=str(error))
        env = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        options = {
            "monitor": request.monitor_address,
            "engine": self._engine_address,
            "project": request.project,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": "true" if request.dryRun else "false",
            "parallel": str(request.parallel),
            "organization": request.organization,
            "root_directory": request.info.root_directory,
        }
        command = [python, "-u", str(_CHILD), str(_EXECUTOR)]
        for name, value in options.items():
            command += [f"--{name}", value]
        command += [str(Path(request.info.program_directory, request.info.entry_point)), *request.args]
        with self._children.start(command, env, request.pwd) as process:
            status = process.wait()
        if status == EXIT_AFTER_SHOWING_ERROR or self._children.stopping:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error="" if status == 0 else f"the program ended with exit code {status}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a policy pack; other kinds of plugin written in Python are refused by name."""
        if request.kind != "analyzer":
            message = f"this language host runs programs and policy packs, not the {request.kind} {request.name}\n"
            yield language_pb2.RunPluginResponse(stderr=message.encode())
            yield language_pb2.RunPluginResponse(exitcode=1)
            return
        yield from PolicyPackRun(request, self._engine_address, self._children).outputs()


class PolicyPackRun:
    """One policy pack: a proxy that answers at once, and the pack itself, started when its stack is known.

    A pack reads its stack and config from the environment, which the engine tells only by ConfigureStack, after the
    plugin has reported its port. So the proxy takes the port, waits for ConfigureStack and forwards what follows.
    `pulumi policy analyze` sends no ConfigureStack: there the first other call starts the pack.
    """

    _FORWARDED = ("Analyze", "AnalyzeStack", "Remediate", "GetAnalyzerInfo", "GetPluginInfo", "Configure", "Cancel")

    def __init__(self, request: language_pb2.RunPluginRequest, engine_address: str, children: Children) -> None:
        self._request = request
        self._engine_address = engine_address
        self._children = children
        self._stack = analyzer_pb2.AnalyzerStackConfigureRequest()
        self._wanted = threading.Event()
        self._settled = threading.Event()
        self._pack: grpc.Channel | None = None

    def outputs(self) -> Iterator[language_pb2.RunPluginResponse]:
        """Everything the engine is to read from the pack: the port line first, its output, and its exit code."""
        server = grpc.server(futures.ThreadPoolExecutor(8), options=CHANNEL_OPTIONS)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pulumirpc.Analyzer", self._handlers()),))
        port = listen(server)
        server.start()
        yield language_pb2.RunPluginResponse(stdout=f"{port}\n".encode())
        while not self._wanted.wait(1):
            if self._children.stopping:
                return
        try:
            yield from self._run_pack()
        finally:
            self._settled.set()
            server.stop(0)

    def _run_pack(self) -> Iterator[language_pb2.RunPluginResponse]:
        request = self._request
        env = dict(pair.split("=", 1) for pair in request.env)
        env |= {
            "PULUMI_ORGANIZATION": self._stack.organization,
            "PULUMI_PROJECT": self._stack.project,
            "PULUMI_STACK": self._stack.stack,
            "PULUMI_DRY_RUN": "true" if self._stack.dry_run else "false",
            "PULUMI_CONFIG": json.dumps(dict(self._stack.config)),
        }
        try:
            python = interpreter(request.info)
        except FileNotFoundError as error:
            yield language_pb2.RunPluginResponse(stderr=f"{error}\n".encode())
            yield language_pb2.RunPluginResponse(exitcode=1)
            return
        command = [
            python,
            "-u",
            str(_CHILD),
            "-m",
            "pulumi.policy",
            self._engine_address,
            request.info.program_directory,
        ]
        with self._children.start(command, env, request.pwd, subprocess.PIPE) as process:
            assert process.stdout is not None
            first_line = process.stdout.readline()
            if first_line.strip().isdigit():
                self._pack = grpc.insecure_channel(f"127.0.0.1:{int(first_line)}", options=CHANNEL_OPTIONS)
            else:
                yield language_pb2.RunPluginResponse(stderr=first_line)
            self._settled.set()
            for line in process.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)
            yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def _handlers(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        def configure_stack(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._stack = analyzer_pb2.AnalyzerStackConfigureRequest.FromString(request)
            self._wanted.set()
            return analyzer_pb2.AnalyzerStackConfigureResponse().SerializeToString()

        def handshake(request: bytes, context: grpc.ServicerContext) -> bytes:
            return analyzer_pb2.AnalyzerHandshakeResponse().SerializeToString()

        handlers = {name: self._forward(name) for name in self._FORWARDED}
        handlers |= {"ConfigureStack": configure_stack, "Handshake": handshake}
        return {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}

    def _forward(self, name: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            if name == "Cancel" and not self._wanted.is_set():
                return empty_pb2.Empty().SerializeToString()
            self._wanted.set()
            self._settled.wait(PACK_START_SECONDS)
            if self._pack is None:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the policy pack did not start; its output says why")
            try:
                method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._pack.unary_unary(
                    f"/pulumirpc.Analyzer/{name}"
                )
                answer = method(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details() or f"the policy pack failed in {name}")
            return answer

        return call


def main() -> None:
    """Serve until the engine or a signal ends the host; the first line on stdout is the port."""
    engine_address = next((arg for arg in reversed(sys.argv[1:]) if not arg.startswith("-")), "")
    server = grpc.server(futures.ThreadPoolExecutor(32), options=CHANNEL_OPTIONS)
    host = Host(engine_address)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = listen(server)
    ended = threading.Event()

    # Set explicitly: a background job of a script inherits "ignore SIGINT", and each operation would then end with
    # the engine's wait of five seconds.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    print(port, flush=True)
    engine = os.getppid()
    # An engine that is killed ends no plugin. Its parent's death signal is no help here: it is tied to the thread that
    # started the host, and Go's come and go.
    while not ended.wait(_SECONDS_BETWEEN_LOOKS) and os.getppid() == engine:
        pass
    host.stop()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
