from tests.cloud.conftest import cloud

__all__ = ["cloud"]
