"""Calls to the sandbox's API, from one place."""

import threading
from typing import Any

import boto3
from botocore.config import Config


class ClientCache:
    """boto3 clients of one endpoint, made once per service and region.

    Making a client costs up to a fifth of a second (EC2's model), a call a few milliseconds.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._session: Any = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
        self._config = Config(
            connect_timeout=3,
            read_timeout=60,
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            # The client and the API are one machine: checking parameters against the model stays on, checksums stay on.
            tcp_keepalive=True,
        )
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        """The client of `service` in `region`."""
        key = (service, region)
        found = self._clients.get(key)
        if found is None:
            # boto3 sessions aren't thread-safe while they make clients (boto3 guide, "Multithreading").
            with self._lock:
                found = self._clients.get(key) or self._session.client(
                    service, region_name=region, endpoint_url=self.endpoint_url, config=self._config
                )
                self._clients[key] = found
        return found


class Aws:
    """AWS as one resource sees it: its region's clients, and the account."""

    ACCOUNT_ID = "123456789012"
    PARTITION = "aws"

    def __init__(self, clients: ClientCache, region: str) -> None:
        self.region = region
        self._clients = clients

    def client(self, service: str) -> Any:
        """The client of `service` in this resource's region."""
        return self._clients.client(service, self.region)

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One API call. Raises botocore's ClientError as AWS answers it."""
        answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        return answer
