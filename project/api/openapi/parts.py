"""Builds parts of the OpenAPI document: schemas, parameters, responses."""

from typing import Any, TypeAlias

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from project.web.errors import handle_exception
from project.web.responses import PATCH_TYPES

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


def reference(kind: str, name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def envelope(**members: Json) -> Json:
    """Return the JSON Schema of a 2xx response.

    Args:
        members: the schemas of its members except for `status`.
    """
    properties = {"status": {"type": "string", "const": "success"}, **members}
    return {"type": "object", "required": [*properties], "properties": properties}


def header(
    description: str, example: object, type_: str = "string", required: bool = True
) -> Json:
    """Return the description of a response header."""
    return {
        "description": description,
        "required": required,
        "schema": {"type": type_},
        "example": example,
    }


def query_parameters(model: type[BaseModel]) -> list[Json]:
    """Return the parameters of a query string that a model validates."""
    parameters = []
    for name, schema in json_schema(model)["properties"].items():
        # The first alternative of `… | None`: a parameter may be missing, not null.
        alternatives = schema.pop("anyOf", [{}])
        schema = alternatives[0] | schema
        parameters.append(
            {
                "name": name,
                "in": "query",
                "description": schema.pop("description"),
                "schema": schema,
            }
        )
    return parameters


def request_body(name: str, example: Json, *, is_patch: bool = False) -> Json:
    """Return the description of a request body with the schema of a component."""
    content = {"schema": reference("schemas", name), "example": example}
    types = PATCH_TYPES if is_patch else (JSON,)
    return {"required": True, "content": {type_: content for type_ in types}}


def response(
    description: str, schema: str, headers: tuple[str, ...] = (), **examples: Json
) -> Json:
    """Return the description of a response.

    Args:
        schema: the name of a component.
        headers: the names of header components.
        examples: example bodies by name.
    """
    return {
        "description": description,
        "headers": {name: reference("headers", name) for name in headers},
        "content": {
            JSON: {
                "schema": reference("schemas", schema),
                "examples": {name: {"value": body} for name, body in examples.items()},
            }
        },
    }


def success(
    description: str, schema: str, headers: tuple[str, ...] = (), **members: object
) -> Json:
    """Return the description of a 2xx response.

    Args:
        schema, headers: see `response`.
        members: examples of the members except for `status`.
    """
    return response(description, schema, headers, done={"status": "success", **members})


def error_response(
    description: str, headers: tuple[str, ...] = (), **errors: Exception
) -> Json:
    """Return the description of a 4xx or 5xx response.

    Args:
        headers: see `response`.
        errors: exceptions by name; the examples are the responses to them.
    """
    examples = {
        name: handle_exception(error).get_json() for name, error in errors.items()
    }
    return response(description, "ErrorResponse", headers, **examples)
