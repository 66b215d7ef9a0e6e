"""The API's HTTP server: connections, ports, what backends learn of a request, and errors in AWS's form."""

import http.client
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest
from botocore.exceptions import ClientError
from moto.route53.models import Route53Backend

from lockstep.errors import FailedUnchangedError
from sandbox.api import request_context, unsupported
from sandbox.api.request_context import RequestContext
from sandbox.api.server import HOST, ApiServer
from tests.sandbox.checkout import eventually

ClientFactory = Callable[..., Any]
Connect = Callable[..., http.client.HTTPConnection]

MIB = 1024 * 1024


@pytest.fixture
def connect(api: ApiServer) -> Iterator[Connect]:
    """`connect(plain=False)`: a raw HTTP connection to one of the API's ports."""
    opened = []

    def connection(*, plain: bool = False) -> http.client.HTTPConnection:
        url = api.plain_endpoint_url if plain else api.endpoint_url
        opened.append(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10))
        return opened[-1]

    yield connection
    for one in opened:
        one.close()


def signed(region: str = "eu-west-1", service: str = "route53") -> dict[str, str]:
    """The header that tells the server region and service; the sandbox doesn't verify signatures."""
    scope = f"AKIAIOSFODNN7EXAMPLE/20260101/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def ask(connection: http.client.HTTPConnection, **headers: str) -> http.client.HTTPResponse:
    """Send the cheapest signed request there is, and read its answer."""
    connection.request("GET", "/2013-04-01/hostedzonecount", headers=signed() | headers)
    response = connection.getresponse()
    response.read()
    return response


class TestConnections:
    def test_a_connection_serves_more_than_one_request(self, connect: Connect) -> None:
        """Without keep-alive every call of a preview opens a connection, and hundreds of calls take seconds more."""
        connection = connect()
        ask(connection)
        first = connection.sock
        assert ask(connection).status == 200
        assert connection.sock is first

    def test_a_client_may_ask_for_the_connection_to_be_closed(self, connect: Connect) -> None:
        """A client that sends `Connection: close` waits for the end of the connection; it would wait for ever."""
        response = ask(connect(), Connection="close")
        assert response.getheader("Connection") == "close"

    def test_small_answers_are_not_delayed(self, api: ApiServer, connect: Connect) -> None:
        """Nagle's algorithm together with delayed acknowledgements adds 40 ms to an answer of two segments."""
        ask(connect())
        served = list(api._servers[0].connections)
        assert served
        assert all(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in served)

    @pytest.mark.parametrize("length", [100, 9 * MIB])
    def test_a_client_that_leaves_inside_a_body_stores_nothing(
        self, api: ApiServer, aws: ClientFactory, connect: Connect, length: int
    ) -> None:
        """A deployment killed in the middle of an upload leaves no half package, and the sandbox goes on."""
        aws("s3").create_bucket(Bucket="half", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        with socket.create_connection((HOST, urlsplit(api.endpoint_url).port), timeout=10) as raw:
            head = f"PUT /half/key HTTP/1.1\r\nHost: s3\r\nContent-Length: {length}\r\n"
            raw.sendall(f"{head}Authorization: {signed(service='s3')['Authorization']}\r\n\r\nonly this".encode())
            raw.shutdown(socket.SHUT_WR)
            assert raw.recv(1024) == b""
        assert aws("s3").list_objects_v2(Bucket="half")["KeyCount"] == 0
        assert ask(connect()).status == 200

    def test_an_impossible_content_length_is_a_bad_request(self, connect: Connect) -> None:
        """Taken for zero, the body would be read as the next request."""
        connection = connect()
        connection.putrequest("PUT", "/bucket/key")
        connection.putheader("Content-Length", "many")
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (400, "close")


class TestBodies:
    @pytest.fixture
    def bucket(self, aws: ClientFactory) -> str:
        aws("s3").create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        return "bodies"

    def test_a_large_body_arrives_whole(self, aws: ClientFactory, bucket: str) -> None:
        """Packages are larger than what is kept in memory; a spooled body must be the same one."""
        body = os.urandom(9 * MIB)
        aws("s3").put_object(Bucket=bucket, Key="package", Body=body)
        assert aws("s3").get_object(Bucket=bucket, Key="package")["Body"].read() == body

    def test_a_body_of_unknown_length_arrives_whole(self, aws: ClientFactory, bucket: str) -> None:
        """boto3 sends a stream in chunks with a trailing checksum, `aws-chunked` inside HTTP chunks."""
        body = os.urandom(6 * MIB)
        aws("s3").put_object(Bucket=bucket, Key="stream", Body=io.BytesIO(body), ChecksumAlgorithm="SHA256")
        assert aws("s3").get_object(Bucket=bucket, Key="stream")["Body"].read() == body

    def test_a_chunked_request_is_put_together(self, connect: Connect, aws: ClientFactory, bucket: str) -> None:
        """Other clients than boto3 send plain HTTP chunks; moto reads none of them."""
        connection = connect()
        connection.request("PUT", f"/{bucket}/chunked", body=iter([b"one", b"two"]), headers=signed(service="s3"))
        assert connection.getresponse().status == 200
        assert aws("s3").get_object(Bucket=bucket, Key="chunked")["Body"].read() == b"onetwo"

    def test_a_client_that_waits_is_told_to_go_on(self, api: ApiServer, aws: ClientFactory, bucket: str) -> None:
        """boto3 holds S3 bodies back until `100 Continue`; without it each upload waits for a time-out."""
        with socket.create_connection((HOST, urlsplit(api.endpoint_url).port), timeout=10) as raw:
            scope = signed(service="s3")["Authorization"]
            head = f"PUT /{bucket}/waited HTTP/1.1\r\nHost: s3\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
            raw.sendall(f"{head}Authorization: {scope}\r\n\r\n".encode())
            assert raw.recv(1024).startswith(b"HTTP/1.1 100 ")
            raw.sendall(b"body")
            assert raw.recv(1024).startswith(b"HTTP/1.1 200 ")
        assert aws("s3").get_object(Bucket=bucket, Key="waited")["Body"].read() == b"body"

    def test_backends_answer_one_request_at_a_time(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        """moto isn't thread-safe: parallel overwrites of one S3 key were HTTP 500, one lock had two owners."""
        together = threading.Barrier(2)
        met: list[bool] = []

        def count(_: Route53Backend) -> int:
            try:
                together.wait(timeout=0.3)
            except threading.BrokenBarrierError:
                met.append(False)
            else:
                met.append(True)
            return 0

        monkeypatch.setattr(Route53Backend, "get_hosted_zone_count", count)
        with ThreadPoolExecutor(2) as pool:
            assert [response.status for response in pool.map(ask, (connect(), connect()))] == [200, 200]
        assert met == [False, False]


class TestRequestContext:
    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[RequestContext, dict[str, str]]]:
        """Context and headers of each request for the number of hosted zones."""
        requests: list[tuple[RequestContext, dict[str, str]]] = []

        def count(_: Route53Backend) -> int:
            requests.append((request_context.current(), dict(flask.request.headers)))
            return 0

        monkeypatch.setattr(Route53Backend, "get_hosted_zone_count", count)
        return requests

    def test_the_main_port_is_secure_and_the_other_is_not(self, connect: Connect, seen: list[Any]) -> None:
        """`aws:SecureTransport` in bucket policies is this; wrong, a TLS-only policy locks everyone out or nobody."""
        ask(connect())
        ask(connect(plain=True))
        assert [context.secure for context, _ in seen] == [True, False]

    def test_region_and_service_are_those_of_the_signature(self, connect: Connect, seen: list[Any]) -> None:
        """A region that is down is found by the signed region, as all regions share the port."""
        ask(connect())
        context, _ = seen[0]
        assert (context.region, context.service) == ("eu-west-1", "route53")

    def test_the_vpc_endpoint_is_known_to_backends_and_hidden_from_moto(
        self, connect: Connect, seen: list[Any]
    ) -> None:
        """`aws:SourceVpce` lets instances read the package bucket without credentials."""
        connection = connect()
        ask(connection, **{"X-Lockstep-Source-Vpce": "vpce-1"})
        ask(connection)
        assert [context.source_vpce for context, _ in seen] == ["vpce-1", None]
        assert not any("Vpce" in name for _, headers in seen for name in headers)

    def test_outside_of_a_request_there_is_a_context_too(self) -> None:
        """Replication and timers call backends without a request."""
        assert request_context.current() == RequestContext(secure=True, source_vpce=None, region=None, service=None)


class TestErrors:
    @pytest.mark.parametrize(
        ("service", "operation", "arguments"),
        [
            ("route53", "TestDNSAnswer", {"HostedZoneId": "Z1", "RecordName": "a", "RecordType": "A"}),
            ("ec2", "DescribeCapacityReservations", {}),
            ("rds", "DescribeCertificates", {}),
            ("autoscaling", "DescribeTrafficSources", {"AutoScalingGroupName": "fleet"}),
            ("elbv2", "ModifyCapacityReservation", {"LoadBalancerArn": "arn"}),
            ("cloudwatch", "DescribeAnomalyDetectors", {}),
            ("ssm", "DescribeInstanceInformation", {}),
            ("lambda", "ListCodeSigningConfigs", {}),
            # No part of the service exists.
            ("health", "DescribeEvents", {}),
            ("fms", "ListPolicies", {}),
            ("route53-recovery-control-config", "ListClusters", {}),
        ],
    )
    def test_what_moto_lacks_is_refused_by_name_and_not_retried(
        self, aws: ClientFactory, service: str, operation: str, arguments: dict[str, str]
    ) -> None:
        """moto answers HTTP 500 with a page, or an empty 404: a client retries for minutes, then can't read it."""
        client = aws(service)
        method = next(name for name, api_name in client.meta.method_to_api_mapping.items() if api_name == operation)
        with pytest.raises(ClientError) as refused:
            getattr(client, method)(**arguments)
        assert refused.value.response["Error"]["Code"] == "NotImplemented"
        assert refused.value.response["Error"]["Message"] == f"the sandbox doesn't support {service} {operation}"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0

    @pytest.mark.parametrize(
        ("service", "call"),
        [
            ("ec2", "describe_vpcs"),
            ("s3", "list_buckets"),
            ("rds", "describe_db_instances"),
            ("ssm", "describe_parameters"),
            ("lambda", "list_functions"),
        ],
    )
    def test_a_region_that_aws_does_not_have_is_named(self, aws: ClientFactory, service: str, call: str) -> None:
        """A typing error in a stack's region: S3 would accept it, and EC2 answer with a stack trace."""
        with pytest.raises(ClientError, match=r"\(UnknownRegion\).*'eu-nowhere-9'") as refused:
            getattr(aws(service, "eu-nowhere-9"), call)()
        assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0

    @pytest.mark.parametrize(
        ("service", "region", "call"),
        [
            ("iam", "eu-west-1", "list_roles"),
            ("route53", "eu-west-1", "list_hosted_zones"),
            ("s3", "eu-central-1", "list_buckets"),
            ("sts", "us-east-1", "get_caller_identity"),
        ],
    )
    def test_every_region_of_aws_is_known(self, aws: ClientFactory, service: str, region: str, call: str) -> None:
        """Global services sign for a region of their own, which must pass too."""
        assert getattr(aws(service, region), call)()["ResponseMetadata"]["HTTPStatusCode"] == 200

    @pytest.mark.parametrize("service", ["route53", "ec2", "ssm", "s3"])
    def test_a_failing_backend_is_an_internal_failure_that_says_what_failed(
        self, aws: ClientFactory, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A bug in the sandbox must be found by its message, in the client and in the log, not behind an HTML page."""
        from moto.ec2.models import EC2Backend
        from moto.s3.models import S3Backend
        from moto.ssm.models import SimpleSystemManagerBackend

        def fail(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("broken on purpose")

        monkeypatch.setattr(Route53Backend, "get_hosted_zone_count", fail)
        monkeypatch.setattr(EC2Backend, "describe_vpcs", fail)
        monkeypatch.setattr(S3Backend, "list_buckets", fail)
        monkeypatch.setattr(SimpleSystemManagerBackend, "describe_parameters", fail)
        call = {
            "route53": "get_hosted_zone_count",
            "ec2": "describe_vpcs",
            "ssm": "describe_parameters",
            "s3": "list_buckets",
        }[service]
        with pytest.raises(ClientError) as failed:
            getattr(aws(service), call)()
        error = failed.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("InternalFailure", "ZeroDivisionError: broken on purpose")
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        log = capsys.readouterr().err
        assert f"sandbox API: {service} " in log
        assert "Traceback" in log

    @pytest.mark.parametrize(
        ("protocol", "form"),
        [
            ("query", r"<ErrorResponse><Error><Type>Sender</Type><Code>C</Code><Message>&lt;m&gt;</Message></Error>"),
            (
                "rest-xml",
                r"<ErrorResponse><Error><Type>Sender</Type><Code>C</Code><Message>&lt;m&gt;</Message></Error>",
            ),
            ("ec2", r"<Response><Errors><Error><Code>C</Code><Message>&lt;m&gt;</Message></Error></Errors><RequestID>"),
            ("s3", r"<Error><Code>C</Code><Message>&lt;m&gt;</Message><RequestId>"),
            ("json", r'{"__type": "C", "message": "<m>"}'),
            ("rest-json", r'{"__type": "C", "message": "<m>"}'),
        ],
    )
    def test_each_protocol_has_its_form_of_an_error(self, protocol: str, form: str) -> None:
        """Other clients than boto3 read one form only."""
        operation = unsupported.Operation(service="x", name="Y", protocol=protocol)
        assert unsupported.error_response(operation, status=400, code="C", message="<m>").body.startswith(form.encode())

    @pytest.mark.parametrize(
        ("service", "query", "protocol"),
        [
            ("ec2", "Action=Y", "ec2"),
            ("rds", "Action=Y", "query"),
            ("elasticloadbalancing", "Action=Y&Version=2015-12-01", "query"),
            ("route53", "", "rest-xml"),
            ("s3", "", "s3"),
            ("lambda", "", "rest-json"),
            ("no-such-service", "", "rest-json"),
        ],
    )
    def test_the_protocol_is_that_of_the_service(self, service: str, query: str, protocol: str) -> None:
        """A client can't read an error in another service's protocol."""
        environ = {"QUERY_STRING": query, "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x"}
        environ |= {"SERVER_PORT": "1", "wsgi.url_scheme": "http"}
        assert unsupported.identify(environ, service, b"").protocol == protocol

    def test_a_request_that_is_no_operation_is_told_by_method_and_path(self, connect: Connect) -> None:
        """moto says 404 without a word to what a client with another API version sends."""
        connection = connect()
        connection.request("PATCH", "/2013-04-01/hostedzone", headers=signed())
        response = connection.getresponse()
        assert response.status == 400
        assert b"the sandbox doesn't support route53 PATCH /2013-04-01/hostedzone" in response.read()

    def test_an_anonymous_look_for_a_missing_bucket_is_a_404(self, connect: Connect) -> None:
        """Machines ask without credentials; the answer to HEAD has no body to tell it by."""
        connection = connect()
        connection.request("HEAD", "/no-such-bucket")
        assert connection.getresponse().status == 404

    def test_an_error_of_aws_passes_unchanged(self, aws: ClientFactory) -> None:
        """A missing object is an answer, not a missing operation, although it is a 404 without a body."""
        client = aws("s3")
        client.create_bucket(Bucket="there", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        with pytest.raises(ClientError, match=r"\(404\)"):
            client.head_object(Bucket="there", Key="not")
        with pytest.raises(ClientError, match="NoSuchKey"):
            client.get_object(Bucket="there", Key="not")


class TestLifetime:
    def test_a_port_in_use_is_named_and_nothing_is_left(self) -> None:
        """A second `sandbox up` must say which port it is, and keep no port of its own."""
        with socket.create_server((HOST, 0)) as other, socket.create_server((HOST, 0)) as free:
            taken, main = other.getsockname()[1], free.getsockname()[1]
            free.close()
            with pytest.raises(FailedUnchangedError, match=rf"127\.0\.0\.1:{taken}.*nothing was started") as refused:
                ApiServer(port=main, plain_port=taken)
            assert f":{taken}" in refused.value.remedy
            socket.create_server((HOST, main)).close()

    def test_stopping_frees_ports_and_connections(self) -> None:
        """A stopped sandbox that holds its port makes the next `sandbox up` fail."""
        server = ApiServer()
        server.start()
        address = urlsplit(server.endpoint_url)
        idle = http.client.HTTPConnection(address.netloc, timeout=10)
        assert ask(idle).status == 200
        server.stop()
        assert idle.sock.recv(1) == b""
        idle.close()
        socket.create_server((HOST, address.port or 0)).close()
        assert not [thread for thread in threading.enumerate() if thread.name == f"api-{address.port}"]

    def test_stopping_lets_go_what_a_fault_holds(self) -> None:
        """A sandbox that waits for a region which was made to vanish is killed, and its machines with it."""
        server = ApiServer()
        server.start()
        address = urlsplit(server.endpoint_url)
        control = http.client.HTTPConnection(address.netloc, timeout=10)

        def faults(body: str | None = None) -> str:
            control.request("GET" if body is None else "POST", "/_sandbox/faults", body)
            return control.getresponse().read().decode()

        faults('{"faults": [{"kind": "vanish"}]}')
        held = http.client.HTTPConnection(address.netloc, timeout=10)
        held.request("GET", "/2013-04-01/hostedzonecount", headers=signed())
        eventually(lambda: '"hit": 1' in faults(), "a request that is held")
        server.stop()
        # One that is still held is left behind by `stop`, with its connection open.
        with pytest.raises(ConnectionError):
            held.getresponse()
        held.close()
        control.close()

    def test_a_server_that_never_started_can_be_stopped(self) -> None:
        """An error between creating and starting the server must not hang the clean-up."""
        server = ApiServer()
        port = urlsplit(server.endpoint_url).port or 0
        server.stop()
        socket.create_server((HOST, port)).close()


class TestThisMachineOnly:
    def test_no_connection_leaves_loopback(self, api: ApiServer) -> None:
        """moto can call out (SNS to HTTP, API Gateway); nothing of a test may reach a real endpoint."""
        with socket.socket() as stream, pytest.raises(PermissionError, match=r"192\.0\.2\.1"):
            stream.connect(("192.0.2.1", 80))
        with socket.socket(type=socket.SOCK_DGRAM) as datagram, pytest.raises(PermissionError, match=r"192\.0\.2\.1"):
            datagram.sendto(b"x", ("192.0.2.1", 53))

    def test_no_name_is_looked_up_elsewhere(self, api: ApiServer) -> None:
        """A look-up alone tells a name server outside which names the sandbox uses."""
        with pytest.raises(PermissionError, match=r"example\.com"):
            socket.getaddrinfo("example.com", 80)

    def test_loopback_stays_open(self, api: ApiServer) -> None:
        """Machines and balancers have loopback addresses of their own."""
        with socket.create_server(("127.3.2.1", 0)) as listener:
            socket.create_connection(listener.getsockname(), timeout=10).close()


class TestSettings:
    def test_moto_validates_images_and_instance_types(self) -> None:
        """Without these settings moto launches any image id, and a wrong AMI is found on AWS only."""
        from moto import settings

        assert settings.ENABLE_AMI_VALIDATION
        assert settings.EC2_ENABLE_INSTANCE_TYPE_VALIDATION

    def test_settings_made_too_late_are_an_error(self) -> None:
        """moto reads its settings once: made later they would be ignored, and validation be off without a word."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MOTO_")}
        late = subprocess.run(
            [sys.executable, "-c", "import moto.settings; import sandbox.api"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert late.returncode == 1
        assert "MOTO_ENABLE_AMI_VALIDATION" in late.stderr

    def test_a_profile_of_the_shell_does_not_matter(self) -> None:
        """moto asks boto3 for regions, and boto3 fails on a profile that this machine doesn't have."""
        run = subprocess.run(
            [sys.executable, "-c", "import sandbox.api, boto3; boto3.Session().get_available_regions('ec2')"],
            env={**os.environ, "AWS_PROFILE": "production"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
