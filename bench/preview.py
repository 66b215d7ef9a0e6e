"""A preview without changes of one site, against the engine with an empty program, and its parts."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import ROOT, Result, medians, sandbox, shell
from sandbox.provider.aws import ClientCache
from sandbox.provider.engine import Engine, ProviderConfig

IMPORTS = "import components.site, components.joint, components.references, lockstep.config.program"


def run() -> list[Result]:
    """Whole and parts, in seconds; the peer is the engine itself."""
    with sandbox() as environment, TemporaryDirectory(prefix="lockstep-bench-") as folder:
        empty = Path(folder)
        (empty / "Pulumi.yaml").write_text(
            f"name: empty\nruntime: {{name: python, options: {{toolchain: pip, virtualenv: {ROOT / '.venv'}}}}}\n"
        )
        (empty / "__main__.py").write_text("import pulumi\n")
        shell("pulumi stack init dev", environment, empty)
        shell("pulumi up --yes --skip-preview", environment, empty)
        shell("pulumi up --yes --skip-preview -s primary", environment)
        state = json.loads(shell("pulumi stack export -s primary", environment))["deployment"]["resources"]
        custom = [each for each in state if each["type"].startswith("aws:")]
        engine = Engine(ClientCache(environment["AWS_ENDPOINT_URL"]))
        config = ProviderConfig(region="eu-west-1")

        def provider() -> None:
            for each in custom:
                inputs, _ = engine.check(config, each["type"], "name", each["inputs"], each["inputs"], b"seed")
                engine.diff(config, each["type"], each["outputs"], each["inputs"], inputs)

        bare, whole, policies, imports, answers = medians(
            lambda: shell("pulumi preview -s dev", environment, empty),
            lambda: shell("pulumi preview -s primary --expect-no-changes", environment),
            lambda: shell("pulumi preview -s primary --expect-no-changes --policy-pack policies", environment),
            lambda: shell(f"python -c '{IMPORTS}'", environment),
            provider,
        )
    return [
        Result(f"engine, empty program ({len(state)} resources in the site)", bare, "s"),
        Result("whole site, no change", whole, "s", "under 6 s"),
        Result("  of which imports of the program (alone)", imports, "s"),
        Result("  of which the provider's check and diff (alone)", answers, "s"),
        Result("  of which registration and the rest", max(whole - bare - imports - answers, 0), "s"),
        Result("whole site with policies", policies, "s"),
        Result("  of which policies", policies - whole, "s"),
        Result("whole site / engine alone", whole / bare, "x"),
        Result("with policies / without", policies / whole, "x", "1.4 or better"),
    ]
