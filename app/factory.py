"""The web application's composition root: it lists packages and has no logic."""

from flask import Flask

from app.accounts import api as accounts
from app.accounts import credential_api as credentials
from app.accounts.guard import guard_routes
from app.audit import api as audit
from app.console import oidc as providers
from app.console import rooms as console
from app.environments import api as environments
from app.environments.domain import LARGEST_BYTES
from app.executions import api as executions
from app.executions import bulk_api as bulk
from app.executions.waiting import Waiters
from app.functions import api as functions
from app.functions import version_api as versions
from app.http import pages
from app.http.blueprints import document
from app.http.bodies import OrjsonProvider
from app.http.correlation import correlate_requests
from app.http.origins import refuse_foreigners
from app.http.problems import answer_as, answer_with_problems
from app.http.protection import protect_answers
from app.limits import api as limits
from app.oidc.client import clients
from app.operations import api as operations
from app.operations import health
from app.operations import letter_api as letters
from app.operations.flower import door as flower
from app.platform import Platform
from app.rules import with_rule
from app.settings import Settings

#: Base64 takes four bytes for three, and a body has more members than its code.
_BODY_OVERHEAD = 65_536


def create_app(settings: Settings) -> Flask:
    """The application for these settings; reads no environment and connects to nothing yet."""
    app = Flask("app", static_folder="http/static", template_folder="http/templates")
    platform = Platform.of(settings, process="web")
    app.extensions["kiln"] = platform
    app.extensions["kiln.waiters"] = Waiters(platform.database, most=settings.web_waiters)
    app.extensions["kiln.oidc"] = clients(settings)
    app.json = OrjsonProvider(app)
    texts = max(settings.max_source_bytes, LARGEST_BYTES)
    largest = max(texts * 6, settings.max_wasm_bytes * 4 // 3, settings.max_input_bytes)
    app.config.update(MAX_CONTENT_LENGTH=largest + _BODY_OVERHEAD, PROPAGATE_EXCEPTIONS=False)
    # An address is right or wrong; a redirect to another spelling would answer HTML.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    protect_answers(app)
    correlate_requests(app)
    refuse_foreigners(app, settings.hosts)
    guard_routes(app)
    api = app.extensions["kiln.api"] = document(app)
    answer_with_problems(app)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(console.blueprint)
    app.register_blueprint(providers.blueprint)
    app.view_functions["console.static"] = with_rule(app.view_functions["console.static"], is_open=True)
    app.register_blueprint(flower.blueprint)
    answer_as(app, flower.PROBLEMS)
    packages = (
        accounts,
        credentials,
        audit,
        environments,
        functions,
        versions,
        limits,
        executions,
        operations,
        letters,
    )
    for package in packages:
        api.register_blueprint(package.blueprint)
        answer_as(app, package.PROBLEMS)
    api.register_blueprint(bulk.blueprint)
    return app
