"""Builds parts of the OpenAPI document: schemas, parameters, responses."""

from typing import Any, TypeAlias

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from project.api.users import schemas
from project.web.errors import handle_exception

Json: TypeAlias = dict[str, Any]

JSON = "application/json"


class SchemaGenerator(GenerateJsonSchema):
    """Generates JSON Schema without titles of fields, and without null as a default."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: titles would repeat the names."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Omit the default None, which means that a field may be omitted."""
        if schema.get("default", None) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def json_schema(
    model: type[BaseModel], mode: JsonSchemaMode = "validation"
) -> JsonSchemaValue:
    """Return the JSON Schema of a pydantic model."""
    return TypeAdapter(model).json_schema(mode=mode, schema_generator=SchemaGenerator)


REQUEST_MODELS: dict[str, type[BaseModel]] = {
    "NewUser": schemas.NewUser,
    "UserReplacement": schemas.UserReplacement,
    "UserChange": schemas.UserChange,
}
SCHEMAS: dict[str, Json] = {
    "User": json_schema(schemas.UserOut, mode="serialization"),
    **{name: json_schema(model) for name, model in REQUEST_MODELS.items()},
}


# The user that the examples of request bodies create. Its optional fields have their
# defaults, since these bodies contain only the required ones.
USER = schemas.example(schemas.UserOut) | schemas.DEFAULTS


def reference(kind: str, name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def query_parameters(model: type[BaseModel]) -> list[Json]:
    """Return the parameters of a query string that a model validates."""
    parameters = []
    for name, schema in json_schema(model)["properties"].items():
        # The first alternative of `… | None`: a parameter may be missing, not null.
        alternatives = schema.pop("anyOf", [{}])
        schema = alternatives[0] | schema
        parameter = {
            "name": name,
            "in": "query",
            "description": schema.pop("description"),
            "schema": schema,
        }
        if schema["type"] == "array":
            # The items are separated by commas.
            parameter["explode"] = False
        parameters.append(parameter)
    return parameters


def request_body(name: str, example: Json) -> Json:
    """Return the description of a request body with the schema of a component."""
    content = {"schema": reference("schemas", name), "example": example}
    return {"required": True, "content": {JSON: content}}


def envelope(status: str, **members: Json) -> Json:
    """Return the JSON Schema of a response.

    Args:
        status: the value of its `status`.
        members: the schemas of the other members.
    """
    properties = {"status": {"const": status}, **members}
    return {"type": "object", "required": [*properties], "properties": properties}


def response(
    description: str, schema: Json, headers: tuple[str, ...] = (), **examples: Json
) -> Json:
    """Return the description of a response.

    Args:
        headers: the names of header components.
        examples: example bodies by name.
    """
    return {
        "description": description,
        "headers": {name: reference("headers", name) for name in headers},
        "content": {
            JSON: {
                "schema": schema,
                "examples": {name: {"value": body} for name, body in examples.items()},
            }
        },
    }


def success(
    description: str,
    headers: tuple[str, ...] = (),
    message: str | None = None,
    data: Json | None = None,
    example: Json | None = None,
) -> Json:
    """Return the description of a 2xx response.

    Args:
        message: an example of the message, if there is one.
        data: the JSON Schema of the data, if there is any.
        example: an example of the data.
    """
    members: Json = {}
    body: Json = {"status": "success"}
    if message:
        members["message"] = {"type": "string"}
        body["message"] = message
    if data:
        members["data"] = data
        body["data"] = example
    return response(description, envelope("success", **members), headers, done=body)


def error_response(
    description: str, headers: tuple[str, ...] = (), **errors: Exception
) -> Json:
    """Return the description of a 4xx response.

    Args:
        errors: exceptions by name; the examples are the responses to them.
    """
    examples = {
        name: handle_exception(error).get_json() for name, error in errors.items()
    }
    return response(description, reference("schemas", "Refusal"), headers, **examples)
