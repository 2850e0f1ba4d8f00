from tests.cloud.conftest import _empty_database, cloud, sqlite_cloud

__all__ = ["_empty_database", "cloud", "sqlite_cloud"]
