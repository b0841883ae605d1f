"""Two pandas assets, the job that makes them, and its nightly schedule."""

import pandas as pd
from dagster import Definitions, ScheduleDefinition, asset, define_asset_job

VERSION = "v1"


@asset(code_version=VERSION)
def raw_orders() -> pd.DataFrame:
    return pd.DataFrame({"order": [1, 2, 3], "amount": [12.5, 0.0, 99.9]})


@asset(code_version=VERSION)
def paid_orders(raw_orders: pd.DataFrame) -> pd.DataFrame:
    return raw_orders[raw_orders.amount > 0]


nightly = define_asset_job("nightly", selection="*")

defs = Definitions(
    assets=[raw_orders, paid_orders],
    jobs=[nightly],
    schedules=[ScheduleDefinition(job=nightly, cron_schedule="0 0 * * *")],
    metadata={"version": VERSION},
)
