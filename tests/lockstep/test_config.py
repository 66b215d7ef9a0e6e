"""The configuration: what is read from where, and every way in which it can be wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.config import Config, ConfigError, DatabaseMode, RecordType, load, stack_files
from lockstep.config.checks import TTL_UNSET
from lockstep.config.keys import KEYS, REQUIRED
from lockstep.config.models import Egress
from lockstep.config.problems import Problem
from lockstep.errors import ExitCode, InvalidInputError

ROOT = Path(__file__).parents[2]
STACKS = ("primary", "secondary", "global")

Edit = Callable[[str, str, Any], None]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the committed configuration."""
    for name in stack_files(("primary", "secondary")):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def edit(project: Path) -> Edit:
    """`edit(stack, path, value)`: sets a value as `pulumi config set --path` does, or in Pulumi.yaml for stack ''.

    The value `...` removes it.
    """

    def change(stack: str, path: str, value: Any) -> None:
        file = project / (f"Pulumi.{stack}.yaml" if stack else "Pulumi.yaml")
        document = yaml.safe_load(file.read_text())
        key, *inner = path.split(".")
        place, name = document["config"], f"lockstep:{key}"
        if not stack and isinstance(place.get(name), dict):
            place, name = place[name], "default"
        for part in inner:
            place, name = place.setdefault(name, {}), part
        if value is ...:
            del place[name]
        else:
            place[name] = value
        file.write_text(yaml.safe_dump(document))

    return change


def problems(root: Path, stack: str = "global", **options: Any) -> tuple[Problem, ...]:
    """What is wrong with the configuration in `root`; fails if nothing is."""
    with pytest.raises(ConfigError) as caught:
        load(root, stack, **options)
    return caught.value.problems


def only(root: Path, stack: str = "global") -> Problem:
    """The one thing that is wrong, the same for every stack."""
    found = {name: problems(root, name) for name in STACKS}
    assert len(found["global"]) == 1, [str(problem) for problem in found["global"]]
    assert found["primary"] == found["secondary"] == found["global"]
    return found[stack][0]


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_files_are_valid_for_every_stack(stack: str) -> None:
    """A fresh clone couldn't be brought up."""
    config = load(ROOT, stack)
    assert config.stack == stack
    assert [site.name for site in config.sites] == ["primary", "secondary"]
    assert [site.region for site in config.sites] == ["eu-west-1", "eu-central-1"]
    assert [site.domain for site in config.sites] == ["primary.orders.example.com", "secondary.orders.example.com"]
    assert [site.weight for site in config.sites] == [100, 100]
    assert [site.release for site in config.sites] == [None, None]
    assert (config.ttl, config.health_check.interval, config.health_check.threshold) == (30, 10, 3)
    assert config.record_type is RecordType.CNAME
    assert config.sites[0].database.mode is DatabaseMode.NONE
    assert config.protect


def test_the_joining_stack_lives_in_no_sites_region() -> None:
    """In a dead region a provider fails at its credentials check: nothing that joins the sites could be changed."""
    config = load(ROOT, "global")
    assert config.region == config.global_region
    assert config.global_region not in {site.region for site in config.sites}


def test_the_project_file_declares_every_shared_key_with_the_type_that_the_program_reads() -> None:
    """`pulumi config` would know other keys and types than the program, and a default would be missing."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {name: entry["type"] for name, entry in declared.items()} == {
        key.full_name: key.kind for key in KEYS if key.scope.in_project
    }
    assert all("default" in entry and entry["description"] for entry in declared.values())


def test_a_default_in_the_project_file_is_the_default_of_the_program() -> None:
    """Removing a line from Pulumi.yaml would change what runs, without saying so."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    optional = [key for key in KEYS if key.scope.in_project and key.default is not REQUIRED]
    assert optional
    for key in optional:
        written = key.adapter.validate_python(declared[key.full_name]["default"])
        default = TTL_UNSET[RecordType.CNAME] if key.name == "ttl" else key.default
        assert written == key.adapter.validate_python(default), key.name


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_has_a_salt_for_its_secrets(stack: str) -> None:
    """`pulumi stack init` would add one and reformat the file: a demo would leave changes in the checkout."""
    assert yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["encryptionsalt"].startswith("v1:")


def test_a_site_has_the_next_one_as_its_peer() -> None:
    """Contracts and drain switches of three sites would name the wrong region."""
    config = load(ROOT, "primary")
    assert config.peer_of(config.site).name == "secondary"
    assert config.peer_of(config.sites[1]).name == "primary"


def test_a_third_site_is_a_name_and_a_file(project: Path, edit: Edit) -> None:
    """More sites would need changes of code."""
    edit("", "sites", ["primary", "secondary", "tertiary"])
    (project / "Pulumi.tertiary.yaml").write_text(
        "config: {'lockstep:region': eu-west-3, 'lockstep:cidr': 10.30.0.0/16}\n"
    )
    config = load(project, "tertiary")
    assert config.site.region == "eu-west-3"
    assert config.site.weight == 100
    assert config.peer_of(config.site).name == "primary"


def test_values_may_be_text_as_the_command_writes_them(project: Path, edit: Edit) -> None:
    """`pulumi config set` quotes numbers and booleans at the top level: each would be refused."""
    edit("global", "ttl", "60")
    edit("global", "protect", "false")
    edit("primary", "fleet.instances", "3")
    config = load(project, "global")
    assert (config.ttl, config.protect, config.sites[0].fleet.instances) == (60, False, 3)


def test_an_object_in_a_stack_file_changes_only_what_it_names(project: Path, edit: Edit) -> None:
    """A site that overrides its number of instances would have to repeat the image, and miss its next change."""
    edit("secondary", "fleet.instances", 4)
    first, second = load(project, "secondary").sites
    assert (first.fleet.instances, second.fleet.instances) == (2, 4)
    assert first.fleet.image == second.fleet.image


def test_what_joins_the_sites_is_read_from_the_joining_stack_by_all(project: Path, edit: Edit) -> None:
    """A balancer would check another path than Route 53 does, and a bad release would leave users with errors."""
    edit("global", "healthCheck.path", "/ready")
    assert {load(project, stack).health_check.path for stack in STACKS} == {"/ready"}


def test_the_source_of_the_data_comes_up_first_only_if_there_is_data() -> None:
    """Sites without a database would wait for each other for nothing."""
    config = load(ROOT, "global")
    assert config.up_order == (("primary", "secondary"), ("global",))
    with_data = [
        site.model_copy(update={"database": site.database.model_copy(update={"mode": DatabaseMode.REPLICA})})
        for site in config.sites
    ]
    assert config.model_copy(update={"sites": tuple(with_data)}).up_order == (("primary",), ("secondary",), ("global",))


def test_the_engines_values_count_for_the_running_stack(project: Path) -> None:
    """A preview with another configuration file would show the committed one's plan."""
    config = load(project, "primary", {"region": "eu-west-3", "cidr": "10.50.0.0/16", "fleet": {"instances": 5}})
    assert config.site.region == "eu-west-3"
    assert config.site.fleet.instances == 5
    assert config.site.fleet.image
    assert config.sites[1].region == "eu-central-1"


def test_a_configuration_can_not_be_changed() -> None:
    """A component could change what the next one sees."""
    with pytest.raises(ValueError, match="frozen"):
        load(ROOT, "primary").ttl = 5


# Each row: stack of the file ('' is Pulumi.yaml), key, value, what is found, and what the message must say.
BAD: list[tuple[str, str, Any, str, str]] = [
    ("primary", "region", "eu-west-9", "eu-west-9", "did you mean eu-west"),
    ("primary", "region", "cn-north-1", "cn-north-1", "knows no such region"),
    ("primary", "region", 7, "7", "not a text"),
    ("global", "region", "nowhere-1", "nowhere-1", "knows no such region"),
    ("secondary", "region", "eu-west-1", "eu-west-1", "primary is in eu-west-1 too"),
    ("secondary", "cidr", "10.10.128.0/17", "10.10.128.0/17", "primary has 10.10.0.0/16"),
    ("secondary", "cidr", "10.20.0.0/15", '"10.20.0.0/15"', "between /16 and /28"),
    ("secondary", "cidr", "10.20.0.0/29", '"10.20.0.0/29"', "between /16 and /28"),
    ("secondary", "cidr", "10.20.0.0/24", '"10.20.0.0/24"', "a balancer needs /27"),
    ("secondary", "cidr", "10.20.0.1/16", '"10.20.0.1/16"', "the block is 10.20.0.0/16"),
    ("secondary", "cidr", "8.8.0.0/16", '"8.8.0.0/16"', "public range"),
    ("secondary", "cidr", "fd00::/16", '"fd00::/16"', "private IPv4 block"),
    ("secondary", "cidr", "10.20.0.0", '"10.20.0.0"', "10.10.0.0/16"),
    ("secondary", "cidr", "nonsense/16", '"nonsense/16"', "private IPv4 block"),
    ("secondary", "databaseBorn", "source", "source", "primary is the source"),
    ("secondary", "databaseBorn", "twin", '"twin"', "source or replica"),
    ("global", "weights.primary", 300, "300", "from 0 to 255"),
    ("global", "weights.primary", -1, "-1", "from 0 to 255"),
    ("global", "weights.primary", 1.5, "1.5", "not a whole number"),
    ("global", "weights.primary", "abc", '"abc"', "not a whole number"),
    ("global", "weights.primary", True, "true", "not a whole number"),
    ("global", "weights", {"primary": 0, "secondary": 0}, "primary: 0, secondary: 0", "all are 0"),
    ("global", "weights", {"primary": 1}, "nothing", "secondary would get no traffic"),
    ("global", "weights", {"primary": 1, "secondary": 1, "secndary": 1}, "1", "did you mean secondary?"),
    ("global", "weights", [1, 2], "[1, 2]", "for every site"),
    ("global", "ttl", 0, "0", "from 1 to 172800"),
    ("global", "ttl", "172801", '"172801"', "from 1 to 172800"),
    ("global", "ttl", "half an hour", '"half an hour"', "from 1 to 172800"),
    ("global", "recordType", "mx", '"mx"', "cname"),
    ("global", "healthCheck.threshold", 11, "11", "from 1 to 10"),
    ("global", "healthCheck.threshold", 0, "0", "from 1 to 10"),
    ("global", "healthCheck.interval", 20, "20", "10 or 30"),
    ("global", "healthCheck.path", "healthz", '"healthz"', "begins with /"),
    ("global", "healthCheck.path", "/a b", '"/a b"', "blanks"),
    ("global", "healthCheck.path", "/" + "a" * 255, "(258 characters)", "256 characters, and Route 53 takes 255"),
    ("global", "healthCheck.pth", "/", '"/"', "did you mean path?"),
    ("global", "healthCheck", "/healthz", '"/healthz"', "an object"),
    ("global", "objectives.rtoSeconds", 0, "0", "1 or more"),
    ("global", "objectives.rpoSeconds", -1, "-1", "0 or more"),
    ("", "objectives", {"rtoSeconds": 60}, "nothing", "0 or more"),
    ("", "application", "Orders", '"Orders"', "lower-case letters"),
    ("", "application", "o", '"o"', "3 to 63"),
    ("", "application", "a" * 64, "a" * 64, "at most 63 characters"),
    ("", "application", "1orders", '"1orders"', "the first a letter"),
    ("", "application", "or--ders", '"or--ders"', "single hyphens"),
    ("", "application", "internal-orders", '"internal-orders"', "AWS refuses"),
    ("", "application", "sthree-orders", '"sthree-orders"', "AWS refuses"),
    ("", "application", "orders_eu", '"orders_eu"', "lower-case letters"),
    ("", "domain", "orders.example.org", "orders.example.org", "outside its zone"),
    ("", "domain", "ordersexample.com", "ordersexample.com", "outside its zone"),
    ("", "domain", f"{'a' * 64}.example.com", "a" * 64, "1 to 63 characters"),
    ("", "domain", ".".join(["a" * 60] * 4) + ".example.com", "a" * 60, "at most 253"),
    ("", "domain", ".".join(["a" * 58] * 4) + ".example.com", "a" * 58, "the site's own name, has"),
    ("", "domain", "orders.example.com.", '"orders.example.com."', "without a dot at its end"),
    ("", "zone", "com", '"com"', "two parts or more"),
    ("", "release", "latest", '"latest"', "pinned"),
    ("", "release", "1.0+build", '"1.0+build"', "up to 64"),
    ("", "release", "../1", '"../1"', "up to 64"),
    ("primary", "release", "1" * 65, "1" * 65, "up to 64"),
    ("", "sites", ["primary"], '["primary"]', "two or more"),
    ("", "sites", ["primary", "primary"], '["primary", "primary"]', "twice in the list: primary"),
    ("", "sites", ["primary", "global"], '"global"', "joins the sites"),
    ("", "sites", ["primary", "Second"], '"Second"', "DNS name"),
    ("", "sites", "primary", '"primary"', "a list"),
    ("", "fleet.zones", 1, "1", "from 2 to 4"),
    ("", "fleet.zones", 5, "5", "from 2 to 4"),
    ("", "fleet.instances", 0, "0", "from 1 to 500"),
    ("", "fleet.instances", 501, "501", "from 1 to 500"),
    ("", "fleet.image", "al2023-ami-*", '"al2023-ami-*"', "another image tomorrow"),
    ("", "fleet.image", "al2023-latest", '"al2023-latest"', "another image tomorrow"),
    ("", "fleet.image", "ab", '"ab"', "3 to 128"),
    ("", "fleet.image", ..., "nothing", "the full name of one image"),
    ("", "fleet.instanceTypes", [], "[]", "one EC2 instance type"),
    ("", "fleet.instanceTypes", ["t4g"], '"t4g"', "not the form"),
    ("", "fleet.instanceTypes", ["t4g.small", "t4g.medium"], '["t4g.small", "t4g.medium"]', "of several types"),
    ("", "fleet.capacity", 0, "0", "from 1 to 100"),
    ("", "fleet.capacity", 101, "101", "from 1 to 100"),
    ("", "fleet.capacity", "half", '"half"', "full, or the percentage"),
    ("", "fleet.deregistrationSeconds", 3601, "3601", "from 0 to 3600"),
    ("", "fleet.errorsPerMinute", 0, "0", "from 1 to 1000000"),
    ("", "fleet.targetRequests", 0, "0", "requests per target"),
    ("", "https", "yes", '"yes"', "true or false"),
    ("", "fleet.instnces", 2, "2", "did you mean instances?"),
    ("", "database.mode", "replica", "replica", "aren't built yet"),
    ("", "database.mode", "backup", "backup", "aren't built yet"),
    ("", "database.mode", "raid", '"raid"', "none, replica or backup"),
    ("", "database.engineVersion", 17.6, "17.6", "in quotes"),
    ("", "database.fencing", "maybe", '"maybe"', "available or strict"),
    ("", "database.crossRegionWrites", "yes", '"yes"', "true or false"),
    ("", "packages.noncurrentDays", 0, "0", "from 1 to 3650"),
    ("", "packages.noncurrentDays", 3651, "3651", "from 1 to 3650"),
    ("", "packages.noncurrentDays", "never", '"never"', "from 1 to 3650"),
    ("primary", "packages.accessLogDays", 0, "0", "from 1 to 3650"),
    ("", "packages.accessLogs", "yes", '"yes"', "true or false"),
    ("", "packages.encryption", "sse-kms", '"sse-kms"', "read packages without credentials"),
    ("", "packages.encryption", "aws:kms", '"aws:kms"', "no instance could install anything"),
    ("", "packages.encryption", "sse-c", '"sse-c"', "needs nothing from who reads"),
    ("", "packages.expireDays", 30, "30", "one of the keys noncurrentDays"),
    ("", "protect", "yes", '"yes"', "true or false"),
    ("", "protect", 1, "1", "true or false"),
]


@pytest.mark.parametrize(("stack", "path", "value", "found", "says"), BAD)
def test_a_bad_value_is_refused_with_file_key_value_form_and_remedy(
    project: Path, edit: Edit, stack: str, path: str, value: Any, found: str, says: str
) -> None:
    """AWS would refuse it half way through an update, or accept it and fail when a region is lost."""
    edit(stack, path, value)
    first = problems(project)[0]
    assert first.place.startswith(f"Pulumi.{stack}.yaml:" if stack else "Pulumi.yaml:")
    assert first.key.startswith(f"lockstep:{path}"), first.key
    assert found in first.found
    assert says in f"{first.expected}\n{first.reason}"
    if stack:
        assert first.fix.startswith("pulumi config ")
        assert f"--stack {stack}" in first.fix
        assert path.partition(".")[0] in first.fix
    else:
        assert first.fix.startswith(("Pulumi.yaml, line ", "remove or rename it in Pulumi.yaml:"))


def test_an_alias_has_its_balancers_ttl(project: Path, edit: Edit) -> None:
    """A TTL that AWS ignores would be promised, and the failover model would count with it."""
    edit("", "recordType", "alias")
    problem = only(project)
    assert (problem.key, problem.found) == ("lockstep:ttl", "30")
    assert "60" in problem.expected
    edit("", "ttl", 60)
    assert load(project, "global").ttl == 60
    edit("", "ttl", ...)
    config = load(project, "global")
    assert (config.ttl, config.record_type) == (60, RecordType.ALIAS)
    edit("", "recordType", "cname")
    assert load(project, "global").ttl == 30


def test_the_name_where_the_zone_begins_needs_an_alias(project: Path, edit: Edit) -> None:
    """Route 53 would refuse a CNAME beside the zone's own records."""
    edit("", "domain", "example.com")
    problem = only(project)
    assert (problem.key, problem.found, problem.expected) == ("lockstep:recordType", "cname", "alias")
    assert "where the zone begins" in problem.reason
    edit("", "recordType", "alias")
    edit("", "ttl", 60)
    config = load(project, "global")
    assert [site.domain for site in config.sites] == ["primary.example.com", "secondary.example.com"]


@pytest.mark.parametrize("key", ["region", "cidr"])
def test_a_value_that_every_site_needs_is_missed(project: Path, edit: Edit, key: str) -> None:
    """A site would be built somewhere by default."""
    edit("secondary", key, ...)
    problem = only(project)
    assert (problem.place, problem.key, problem.found) == ("Pulumi.secondary.yaml", f"lockstep:{key}", "nothing")
    assert problem.fix.startswith(f"pulumi config set lockstep:{key} ")
    assert problem.fix.endswith("--stack secondary")


@pytest.mark.parametrize("key", ["application", "domain", "zone", "objectives", "fleet", "sites"])
def test_a_shared_value_without_a_default_is_missed(project: Path, key: str) -> None:
    """The program would make one up."""
    document = yaml.safe_load((project / "Pulumi.yaml").read_text())
    del document["config"][f"lockstep:{key}"]
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    problem = problems(project)[0]
    assert (problem.place, problem.key, problem.found) == ("Pulumi.yaml", f"lockstep:{key}", "nothing")
    assert "add to config: in Pulumi.yaml" in problem.fix


def test_every_problem_of_every_file_is_reported_at_once(project: Path, edit: Edit) -> None:
    """Each fix would need another preview to learn of the next problem."""
    edit("primary", "region", "mars-1")
    edit("secondary", "fleet.zones", 1)
    edit("global", "ttl", 0)
    edit("", "application", "A")
    found = {(problem.place.partition(":")[0], problem.key) for problem in problems(project, "primary")}
    assert found == {
        ("Pulumi.primary.yaml", "lockstep:region"),
        ("Pulumi.secondary.yaml", "lockstep:fleet.zones"),
        ("Pulumi.global.yaml", "lockstep:ttl"),
        ("Pulumi.yaml", "lockstep:application"),
    }


def test_a_shared_mistake_is_reported_once(project: Path, edit: Edit) -> None:
    """One wrong line would read like one problem for each site."""
    edit("", "fleet.instances", 0)
    only(project)


def test_the_place_has_the_line_of_the_value(project: Path) -> None:
    """The reader would have to search a file of sixty lines."""
    text = (project / "Pulumi.yaml").read_text().replace("interval: 10", "interval: 20")
    (project / "Pulumi.yaml").write_text(text)
    line = text.splitlines().index("      interval: 20") + 1
    problem = only(project)
    assert problem.place == f"Pulumi.yaml:{line}"
    assert problem.fix == f"Pulumi.yaml, line {line}: interval: 10"


@pytest.mark.parametrize("missing", STACKS)
def test_a_missing_stack_file_is_an_error_in_every_stack(project: Path, missing: str) -> None:
    """A site of the list would silently not be there when the other one is lost."""
    (project / f"Pulumi.{missing}.yaml").unlink()
    problem = only(project)
    assert problem.place == f"Pulumi.{missing}.yaml"
    assert f"pulumi stack init {missing}" in problem.fix


def test_an_unknown_stack_is_refused_with_the_names_of_all(project: Path) -> None:
    """A stack with a typo in its name would be built as something else, or fail without a hint."""
    problem = problems(project, "primry")[0]
    assert (problem.found, problem.expected) == ("primry", "one of primary, secondary, global")
    assert "did you mean primary?" in problem.reason


def test_a_misspelt_key_is_refused_with_the_nearest_one(project: Path, edit: Edit) -> None:
    """What the key should have set would keep its default without a word."""
    edit("secondary", "cdir", "10.20.0.0/16")
    problem = only(project)
    assert problem.reason == "no key has that name; did you mean lockstep:cidr?"
    assert problem.fix == "pulumi config rm lockstep:cdir --stack secondary"


def test_a_misspelt_key_in_the_project_file_is_refused(project: Path, edit: Edit) -> None:
    """As above, for all stacks."""
    edit("", "weigths", {"primary": 1, "secondary": 1})
    assert "did you mean lockstep:weights?" in only(project).reason


def test_keys_of_other_namespaces_are_left_alone(project: Path) -> None:
    """Pulumi's own keys, and other tools' keys, would make a stack unusable."""
    text = (project / "Pulumi.primary.yaml").read_text()
    (project / "Pulumi.primary.yaml").write_text(text + "  aws:region: us-east-1\n  pulumi:tags: {team: a}\n")
    assert load(project, "primary").site.region == "eu-west-1"


@pytest.mark.parametrize(
    ("stack", "key", "value", "where"),
    [
        ("primary", "sites", ["primary", "secondary"], "Pulumi.yaml only"),
        ("global", "domain", "orders.example.com", "Pulumi.yaml only"),
        ("primary", "ttl", 30, "Pulumi.yaml or Pulumi.global.yaml only"),
        ("primary", "weights", {"primary": 1, "secondary": 1}, "Pulumi.yaml or Pulumi.global.yaml only"),
        ("global", "cidr", "10.30.0.0/16", "each site's own file only"),
        ("", "region", "eu-west-1", "each stack's own file only"),
    ],
)
def test_a_value_where_it_would_have_no_effect_is_refused(
    project: Path, edit: Edit, stack: str, key: str, value: Any, where: str
) -> None:
    """The stacks would disagree about the application they serve, or the value would be ignored."""
    edit(stack, key, value)
    problem = only(project)
    assert problem.key == f"lockstep:{key}"
    assert where in problem.expected


@pytest.mark.parametrize("value", [{"secure": "v1:abc"}, {"instances": {"secure": "v1:abc"}}])
def test_an_encrypted_value_is_refused(project: Path, edit: Edit, value: Any) -> None:
    """The other stacks can't decrypt it and would go on with something else."""
    edit("primary", "fleet", value)
    problem = only(project)
    assert problem.found == "an encrypted value"
    assert "--plaintext lockstep:fleet" in problem.fix


def test_an_encrypted_value_of_the_running_stack_is_refused_though_the_engine_can_read_it(
    project: Path, edit: Edit
) -> None:
    """One stack would come up and the next one fail."""
    edit("primary", "region", {"secure": "v1:abc"})
    running = {"region": "eu-west-1", "cidr": "10.10.0.0/16"}
    assert [problem.key for problem in problems(project, "primary", running=running)] == ["lockstep:region"]


def test_a_file_that_is_no_yaml_is_named_with_its_line(project: Path) -> None:
    """The message would be a traceback."""
    (project / "Pulumi.secondary.yaml").write_text("config:\n  lockstep:region: [eu-west-1\n  x: y\n")
    problem = only(project)
    assert problem.place.startswith("Pulumi.secondary.yaml:")


def test_a_project_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """The CLI, started in the wrong folder, would end in a traceback."""
    assert problems(tmp_path)[0].place == "Pulumi.yaml"


def test_a_renamed_project_is_refused(project: Path) -> None:
    """The stacks would look for each other under the old name."""
    text = (project / "Pulumi.yaml").read_text().replace("name: lockstep\n", "name: other\n", 1)
    (project / "Pulumi.yaml").write_text(text)
    assert only(project).key == "name"


def test_an_invalid_list_of_sites_does_not_hide_other_problems(project: Path, edit: Edit) -> None:
    """As for any other value: each fix would need another preview."""
    edit("", "sites", ["primary"])
    edit("", "application", "A")
    edit("primary", "cidr", "10.0.0.0/8")
    keys = [problem.key for problem in problems(project, "primary")]
    assert keys == ["lockstep:sites", "lockstep:application", "lockstep:cidr"]


def test_the_error_is_invalid_input_with_all_problems_in_its_text(project: Path, edit: Edit) -> None:
    """Scripts would see another exit status than the documented one, and people not all of the message."""
    edit("global", "ttl", 0)
    with pytest.raises(InvalidInputError) as caught:
        load(project, "global")
    assert caught.value.exit_code == ExitCode.INVALID
    for part in (
        "1 problem",
        "nothing was changed",
        "lockstep:ttl",
        "found:    0",
        "from 1 to 172800",
        "pulumi config",
    ):
        assert part in caught.value.message


def test_a_site_by_an_unknown_name_is_a_lookup_error() -> None:
    """A caller would get None and fail later, somewhere else."""
    config: Config = load(ROOT, "global")
    with pytest.raises(LookupError, match="primary, secondary"):
        config.site_named("tertiary")
    with pytest.raises(LookupError):
        _ = config.site


def test_networks_are_open_cheap_and_without_logs_by_default(project: Path, edit: Edit) -> None:
    """A site that nobody configured would cost more, or be unreachable."""
    edit("", "network", ...)
    network = load(project, "primary").site.network
    assert network.clients is None
    assert (network.egress, network.flow_log_days) == (Egress.S3, 0)


def test_a_site_may_have_a_network_of_its_own(project: Path, edit: Edit) -> None:
    """A site with another office, or one that is only tried out, would need its own program."""
    edit("primary", "network.ingress", ["203.0.113.0/24", "198.51.100.7/32"])
    edit("primary", "network.egress", "nat")
    primary, secondary = load(project, "primary").sites
    assert primary.network.clients is not None
    assert [str(block) for block in primary.network.clients] == ["203.0.113.0/24", "198.51.100.7/32"]
    assert (primary.network.egress, secondary.network.egress) == (Egress.NAT, Egress.S3)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("ingress", "everybody", "neither 'anywhere' nor a list"),
        ("ingress", [], "lets nobody in but the health checkers"),
        ("ingress", ["203.0.113.0"], "EC2 keeps '203.0.113.0' as 203.0.113.0/32"),
        ("ingress", ["203.0.113.9/24"], "EC2 keeps '203.0.113.9/24' as 203.0.113.0/24"),
        ("ingress", ["0.0.0.0/0"], "that is 'anywhere'"),
        ("ingress", ["10.1.0.0/16"], "no request from the internet has such an address"),
        ("ingress", ["office"], "isn't an IPv4 range"),
        ("ingress", ["203.0.113.0/24"] * 2, "twice in the list: 203.0.113.0/24"),
        ("ingress", [f"203.0.{number}.0/24" for number in range(18)], "the health checkers' prefix list takes 25"),
        ("egress", "internet", ""),
        ("endpointServices", [], ""),
        ("endpointServices", ["ssm", "ssm"], "twice in the list: ssm"),
        ("endpointServices", ["s3"], "S3 has a gateway endpoint in any case"),
        ("endpointServices", ["com.amazonaws.eu-west-1.ssm"], "not the last part"),
        ("flowLogDays", 10, "these numbers of days only"),
        ("flowLogDays", -1, "these numbers of days only"),
    ],
)
def test_a_network_that_cannot_be_is_refused(project: Path, edit: Edit, path: str, value: Any, reason: str) -> None:
    """AWS would refuse it half way through an update, or it would shut out what nobody thought of."""
    edit("", f"network.{path}", value)
    problem = only(project)
    assert problem.key.startswith(f"lockstep:network.{path}")
    assert reason in problem.reason
    assert problem.expected
    assert problem.fix


def test_as_many_clients_as_a_security_group_has_room_for_are_accepted(project: Path, edit: Edit) -> None:
    """A list that AWS takes would be refused, or one that it doesn't accepted: 25 and two rules for each are 60."""
    edit("", "network.ingress", [f"203.0.{number}.0/24" for number in range(17)])
    assert len(load(project, "primary").site.network.clients or ()) == 17


@pytest.mark.parametrize(
    ("fleet", "key", "says"),
    [
        ({"targetRequests": 600}, "lockstep:fleet.maxInstances", "says how far"),
        ({"maxInstances": 4}, "lockstep:fleet.maxInstances", "nothing has the group grow"),
        ({"targetRequests": 600, "maxInstances": 3}, "lockstep:fleet.maxInstances", "is rolled by starting"),
    ],
)
def test_a_fleet_that_grows_has_a_measure_and_an_end(
    project: Path, edit: Edit, fleet: dict[str, int], key: str, says: str
) -> None:
    """It would grow without end, or never."""
    for name, value in fleet.items():
        edit("primary", f"fleet.{name}", value)
    (first,) = problems(project)
    assert first.key == key
    assert says in first.reason


def test_a_long_name_is_refused_only_where_a_certificate_needs_it(project: Path, edit: Edit) -> None:
    """ACM refuses it when everything else is up."""
    edit("", "domain", f"{'a' * 60}.example.com")
    assert not load(project, "global").https
    edit("", "https", True)
    (first,) = problems(project)
    assert first.key == "lockstep:domain"
    assert "at most 64" in first.expected


@pytest.mark.parametrize(("capacity", "needed"), [("full", 3), (100, 3), ("60", 5), (1, 300)])
def test_what_the_load_needs_follows_from_what_is_ready(
    project: Path, edit: Edit, capacity: int | str, needed: int
) -> None:
    """A policy would judge a site by a number that nobody has promised."""
    edit("", "fleet.instances", 3)
    edit("", "fleet.capacity", capacity)
    assert load(project, "global").load_instances == needed
