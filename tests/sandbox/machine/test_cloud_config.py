"""cloud-config: every key of cloud-init's schema that the sandbox honours, and that it refuses the others."""

import base64
import gzip

import pytest
import yaml

from components.cloud_config import cloud_config
from sandbox.machine.cloud_config import parse
from sandbox.machine.errors import BootError


def refused(document: object) -> str:
    with pytest.raises(BootError) as caught:
        parse("#cloud-config\n" + (document if isinstance(document, str) else yaml.safe_dump(document)))
    return str(caught.value)


@pytest.mark.parametrize("release", [None, "1.0.0"])
def test_what_the_program_writes_is_understood(release: str | None) -> None:
    """A change of the program's user data that the sandbox refuses would stop every site."""
    wanted = parse(cloud_config(application="orders", release=release, bucket_name="b", region="eu-west-1"))
    assert wanted.packages == (("orders",) if release else ())
    assert len(wanted.repositories) == len(wanted.commands) == (1 if release else 0)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("text/plain", "hello"),
        ("b64", base64.b64encode(b"hello").decode()),
        ("base64", base64.b64encode(b"hello").decode()),
        ("gz+b64", base64.b64encode(gzip.compress(b"hello", mtime=0)).decode()),
        ("gzip+base64", base64.b64encode(gzip.compress(b"hello", mtime=0)).decode()),
    ],
)
def test_contents_are_decoded(encoding: str, content: str) -> None:
    """A certificate in base64 would be written as base64."""
    (file,) = parse(
        "#cloud-config\n" + yaml.safe_dump({"write_files": [{"path": "/x", "content": content, "encoding": encoding}]})
    ).files
    assert (file.content, file.permissions, file.append, file.deferred) == (b"hello", 0o644, False, False)


def test_packages_and_commands_in_both_forms() -> None:
    """[name, version] and texts are as common as the others."""
    document = {
        "packages": ["a", ["b", "1.0"]],
        "runcmd": ["systemctl start 'a b'", ["systemctl", "start", "x"]],
    }
    wanted = parse("#cloud-config\n" + yaml.safe_dump(document))
    assert wanted.packages == ("a", "b-1.0")
    assert wanted.commands == (("systemctl", "start", "a b"), ("systemctl", "start", "x"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("a: [", "isn't YAML"),
        ("- a\n", "isn't a mapping of cloud-config's keys but list"),
        ({"hostname": "x", "users": []}, "doesn't support hostname, users of cloud-config"),
        ({"packages": "orders"}, "packages of cloud-config isn't a list but 'orders'"),
        ({"packages": [{"snap": ["x"]}]}, "neither a name nor [name, version] but {'snap': ['x']}"),
        ({"package_update": "maybe"}, "package_update of cloud-config is neither true nor false but 'maybe'"),
        ({"write_files": [{"content": "x"}]}, "an entry of write_files has no path"),
        ({"write_files": [{"path": "x"}]}, "path of write_files (x) isn't absolute"),
        ({"write_files": [{"path": "/x", "source": {}}]}, "doesn't support source of write_files (/x)"),
        ({"write_files": [{"path": "/x", "permissions": "rw"}]}, "permissions of write_files (/x) aren't an octal"),
        ("write_files: [{path: /x, permissions: 0644}]", "permissions of write_files (/x) aren't an octal number in"),
        ("write_files: [{path: /x, permissions: 644}]", "quotes but 644"),
        ({"write_files": [{"path": "/x", "encoding": "rot13"}]}, "encoding of write_files (/x) is none of"),
        ({"write_files": [{"path": "/x", "encoding": "b64", "content": "a"}]}, "content of write_files (/x) isn't b64"),
        ({"write_files": [{"path": "/x", "append": "yes please"}]}, "append of write_files (/x) is neither true nor"),
        ({"yum_repos": []}, None),
        ({"yum_repos": ["x"]}, "yum_repos of cloud-config isn't a mapping"),
        ({"yum_repos": {"x": {"mirrorlist": "y"}}}, "repository x of yum_repos has no baseurl"),
        ({"yum_repos": {"../x": {"baseurl": "y"}}}, "'../x' of yum_repos isn't an id of a repository"),
        ({"runcmd": ["systemctl start a; reboot"]}, "the sandbox has no shell for ';'"),
        ({"runcmd": ["systemctl start 'a"]}, "can't be read"),
        ({"runcmd": [7]}, "an entry of runcmd is neither a text nor a list but 7"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(document: object, expected: str | None) -> None:
    """Ignored, an instance would come up here that doesn't on AWS, or comes up otherwise."""
    if expected is None:
        parse("#cloud-config\n" + yaml.safe_dump(document))
    else:
        assert expected in refused(document)


def test_the_first_line_decides() -> None:
    """cloud-init takes nothing else for cloud-config, a blank in front of it neither."""
    for text in (" #cloud-config\n{}", "\n#cloud-config\n{}", "#cloud-config-archive\n[]", "#cloud-configuration\n{}"):
        with pytest.raises(BootError, match="begins '#cloud-config'"):
            parse(text)
