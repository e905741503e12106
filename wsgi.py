"""The web's entry: environment -> settings -> application. `python wsgi.py` serves it; so does any WSGI server."""

import os

from app.factory import create_app
from app.http.server import serve
from app.logs import configure_logs
from app.memory import keep_for_good
from app.operations.service import warn_of_superuser
from app.settings import load_settings

settings = load_settings(os.environ)
configure_logs(settings.log_level, process="web")
app = create_app(settings)

if __name__ == "__main__":
    keep_for_good()
    warn_of_superuser(app.extensions["kiln"])
    end_waiting = app.extensions["kiln.waiters"].let_go
    serve(
        app,
        host=settings.bind,
        port=settings.port,
        waiters=settings.web_waiters,
        end_waiting=end_waiting,
        proxy=settings.trusted_proxy,
    )
