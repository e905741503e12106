"""flask-smorest as this API speaks it: our problems instead of its errors, our reading of bodies, ids in paths."""

import threading
from http import HTTPStatus
from typing import Any
from uuid import UUID

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin, OpenAPIConverter
from flask import Flask, current_app
from flask_smorest import Api, Blueprint
from flask_smorest.utils import prepare_response
from marshmallow import INCLUDE, Schema, fields
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, IntegerConverter, Map, ValidationError

from app.http.bodies import JSON_VALUE, BodyParser
from app.http.problems import CONTENT_TYPE, from_http_exception, render
from app.identity import parse_id
from app.platform import Platform
from app.rules import with_rule

#: Headers of answers, for the document.
TAGGED = {"ETag": {"description": "Send it in If-Match to change only what was read.", "schema": {"type": "string"}}}
LOCATED = {"Location": {"description": "Where the resource is.", "schema": {"type": "string"}}}

#: A name in addresses that begins with a letter.
LABEL = "[a-z][a-z0-9-]{0,62}"

#: The largest that a column of numbers holds.
LARGEST_NUMBER = 2**31 - 1

#: The same of long numbers.
LARGEST_LONG = 2**63 - 1


class IdConverter(BaseConverter):
    """`<id:function_id>` in a route: a malformed id is an address that nothing has, whatever the method."""

    regex = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

    def to_python(self, value: str) -> UUID:
        """The id, or the routing error that ends as 404."""
        parsed = parse_id(value)
        if parsed is None:
            raise ValidationError
        return parsed

    def to_url(self, value: UUID) -> str:
        """Its canonical form."""
        return str(value)


class NumberConverter(IntegerConverter):
    """`<number:number>` in a route: a count from 1 that PostgreSQL can hold; anything else is an address that nothing
    has.
    """

    regex = "[1-9][0-9]{0,9}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=LARGEST_NUMBER)


class LongConverter(IntegerConverter):
    """`<long:id>` in a route: an id that the database counts."""

    regex = "[1-9][0-9]{0,18}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=LARGEST_LONG)


class LabelConverter(BaseConverter):
    """`<label:name>` in a route: a name that is no number."""

    regex = LABEL


class ErrorItem(Schema):
    """One thing that is wrong with the request."""

    pointer = fields.String(required=True, metadata={"description": "JSON Pointer to the member."})
    message = fields.String(required=True)


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it; some codes bring members of their own."""

    class Meta:
        """Extension members are part of the format."""

        unknown = INCLUDE

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "Machine word; switch on it."})
    correlationId = fields.String(required=True)  # noqa: N815 - the name on the wire
    errors = fields.List(fields.Nested(ErrorItem))


class ProblemApi(Api):  # type: ignore[misc]
    """The API's error handling: every HTTP error is a problem, in the answers and in the document. That is written when
    it is first asked for: it takes as long as everything else that a web process does to start.
    """

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unwritten: list[Blueprint] = []
        self._writing = threading.RLock()
        super().__init__(*args, **kwargs)

    @property
    def spec(self) -> APISpec:
        """The document."""
        with self._writing:
            while self._unwritten:
                blueprint = self._unwritten.pop(0)
                blueprint.register_views_in_doc(self, self._app, self._spec, name=blueprint.name, parameters=None)
                self._spec.tag({"name": blueprint.name, "description": blueprint.description})
        return self._spec

    @spec.setter
    def spec(self, value: APISpec) -> None:
        self._spec = value

    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
        """Register a blueprint in the application, and in the document when there is one."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp, **options)
        self._unwritten.append(blp)

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Render what Flask and webargs raise."""
        return render(from_http_exception(error))

    def _register_responses(self) -> None:
        """flask-smorest's own documents errors as application/json."""
        described = {status.name: status.phrase for status in HTTPStatus} | {"DEFAULT_ERROR": "An error"}
        for name, phrase in described.items():
            response = {"description": phrase, "schema": self.ERROR_SCHEMA}
            prepare_response(response, self.spec, CONTENT_TYPE)
            self.spec.components.response(name, response, lazy=True)


class WireConverter(OpenAPIConverter):  # type: ignore[misc]
    """apispec's reading of schemas, with what a schema says of itself as a whole in `Meta.openapi`."""

    def schema2jsonschema(self, schema: Schema) -> dict[str, Any]:
        """The JSON Schema of a marshmallow schema."""
        described: dict[str, Any] = super().schema2jsonschema(schema)
        return described | getattr(schema.Meta, "openapi", {})


class WirePlugin(MarshmallowPlugin):  # type: ignore[misc]
    """apispec's plugin with our converter."""

    Converter = WireConverter


class ResourceBlueprint(Blueprint):  # type: ignore[misc]
    """A blueprint that reads bodies by our rules."""

    ARGUMENTS_PARSER = BodyParser()


def document(app: Flask) -> ProblemApi:
    """Add `/openapi.json` and `/docs` to the application."""
    app.url_map.converters |= {
        "id": IdConverter,
        "number": NumberConverter,
        "long": LongConverter,
        "label": LabelConverter,
    }
    app.config.update(
        API_TITLE="Kiln",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL="/static/swagger/",
    )
    info = {
        "description": "Source in, JSON out: register functions and execute them. To try out requests here that change "
        "something, authorize with an API key: this page does not know a session's CSRF token."
    }
    # Whoever is let in without credentials says so: `POST /sessions`.
    security: list[dict[str, list[str]]] = [{"apiKey": []}, {"session": []}]
    api = ProblemApi(app, spec_kwargs={"info": info, "marshmallow_plugin": WirePlugin(), "security": security})
    api.spec.components.security_scheme("apiKey", {"type": "http", "scheme": "bearer"})
    api.spec.components.security_scheme("session", {"type": "apiKey", "in": "cookie", "name": "kiln_session"})
    api.spec.components.schema("JsonValue", JSON_VALUE)
    described = {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}
    # Whoever is let in may read what there is.
    for endpoint in ("static", "api-docs.openapi_json"):
        app.view_functions[endpoint] = with_rule(app.view_functions[endpoint])
    page = "api-docs.openapi_swagger_ui"
    app.view_functions[page] = with_rule(app.view_functions[page], is_page=True)
    api.register_converter(NumberConverter, lambda _converter: described)
    api.register_converter(LongConverter, lambda _converter: described | {"maximum": LARGEST_LONG})
    api.register_converter(LabelConverter, lambda _converter: {"type": "string", "pattern": f"^{LABEL}$"})
    api.register_converter(IdConverter, lambda _converter: {"type": "string", "format": "uuid"})
    return api


def platform() -> Platform:
    """The platform of the application that answers this request."""
    value: Platform = current_app.extensions["kiln"]
    return value
