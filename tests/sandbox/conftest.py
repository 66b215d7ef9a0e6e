"""An API server per test session, emptied before each test, and clients that speak to it and nothing else."""

import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from sandbox.api.server import ApiServer

ClientFactory = Callable[..., Any]


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def api(api_server: ApiServer) -> ApiServer:
    """The session's API server, with nothing in it."""
    request = urllib.request.Request(f"{api_server.endpoint_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=10).close()
    return api_server


@pytest.fixture(scope="session")
def boto3_session() -> Any:
    """One for all tests: it keeps the service descriptions, which take longer to read than a test takes to run."""
    return boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox")


@pytest.fixture
def aws(api: ApiServer, boto3_session: Any) -> ClientFactory:
    """`aws(service, region)`: a boto3 client on the API; `endpoint_url=` picks another port."""

    def client(service: str, region: str = "eu-west-1", endpoint_url: str | None = None) -> Any:
        return boto3_session.client(
            service,
            region_name=region,
            endpoint_url=endpoint_url or api.endpoint_url,
            config=Config(retries={"max_attempts": 1}),
        )

    return client
