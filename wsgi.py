"""The web's entry: environment -> settings -> application."""

import os

from app.factory import create_app
from app.logs import configure_logs
from app.settings import load_settings

settings = load_settings(os.environ)
configure_logs(settings.log_level, process="web")
app = create_app(settings)
