"""Imports every table, so that the metadata is whole."""

from app.accounts import models as accounts
from app.audit import models as audit
from app.database import Base
from app.environments import models as environments
from app.executions import models as executions
from app.functions import models as functions

metadata = Base.metadata

__all__ = ["accounts", "audit", "environments", "executions", "functions", "metadata"]
