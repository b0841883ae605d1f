"""The code location: importing this package gives Dagster its definitions."""

from dagster_shared.libraries import DagsterLibraryRegistry

from orders.definitions import VERSION, defs

# ListRepositories answers with the registered library versions, so a client sees which source is serving.
DagsterLibraryRegistry.register("orders", VERSION, is_dagster_package=False)

__all__ = ["defs"]
