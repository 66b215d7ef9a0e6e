"""The sandbox's AWS API. Importing anything in here sets moto's settings first: moto reads them when it is imported."""

from sandbox.api import settings

settings.apply()
