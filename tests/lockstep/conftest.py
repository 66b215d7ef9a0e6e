"""The sandbox's API, for what the command asks of AWS."""

from tests.sandbox.conftest import api, api_server, aws, boto3_session

__all__ = ["api", "api_server", "aws", "boto3_session"]
