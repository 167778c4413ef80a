"""What the operations of the document are made of: schemas, parameters, answers."""

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from project.api.users import schemas
from project.errors import answer_error

JSON = "application/json"


class Generator(GenerateJsonSchema):
    """Pydantic's JSON Schema without titles, and without null for what is left out."""

    def field_title_should_be_set(self, schema):
        """Return False: a title would repeat the name."""
        return False

    def default_schema(self, schema):
        """Return the schema of something with a default, which None is not."""
        if schema.get("default", None) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def generate(name):
    """Return the JSON Schema of one of the API's schemas.

    Args:
        name: the class's name; User is what goes out, the others come in.
    """
    mode = "serialization" if name == "User" else "validation"
    adapter = TypeAdapter(getattr(schemas, name))
    return adapter.json_schema(mode=mode, schema_generator=Generator)


SCHEMAS = {
    name: generate(name)
    for name in ("User", "NewUser", "UserReplacement", "UserChange")
}


def example(name, fields=None):
    """Return an example of one of SCHEMAS, made of its fields' examples.

    Args:
        name: the schema's name.
        fields: the names of the fields to show; without it the required ones.
    """
    properties = SCHEMAS[name]["properties"]
    return {
        field: properties[field]["examples"][0]
        for field in fields or SCHEMAS[name]["required"]
    }


USER = example("User")


def reference(kind, name):
    """Return a reference to one of the document's components."""
    return {"$ref": f"#/components/{kind}/{name}"}


def query_parameters(schema):
    """Return the descriptions of a query's parameters.

    Args:
        schema: the name of the schema that validates the query.
    """
    properties = generate(schema)["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": field.pop("description"),
            "schema": field,
        }
        for name, field in properties.items()
    ]


def body(schema, shown):
    """Return the description of a request's body.

    Args:
        schema: the name of its schema.
        shown: an example.
    """
    content = {"schema": reference("schemas", schema), "example": shown}
    return {"required": True, "content": {JSON: content}}


def envelope(status, **members):
    """Return the JSON Schema of an answer.

    Args:
        status: its `status`.
        members: the schema of each further member.
    """
    properties = {"status": {"const": status}, **members}
    return {"type": "object", "required": [*properties], "properties": properties}


def answer(description, schema, headers=(), **examples):
    """Return the description of an answer.

    Args:
        description: when it is given.
        schema: its JSON Schema.
        headers: the names of the components that describe its headers.
        examples: what it may look like, by the reason.
    """
    shown = {name: {"value": value} for name, value in examples.items()}
    return {
        "description": description,
        "headers": {name: reference("headers", name) for name in headers},
        "content": {JSON: {"schema": schema, "examples": shown}},
    }


def success(description, headers=(), message=None, data=None, shown=None):
    """Return the description of the answer to a request that was carried out.

    Args:
        description: what was done.
        headers: the names of its headers' components.
        message: an example of its message, where it has one.
        data: the JSON Schema of its data, where it has some.
        shown: an example of its data.
    """
    members, value = {}, {"status": "success"}
    if message:
        members["message"] = {"type": "string"}
        value["message"] = message
    if data:
        members["data"] = data
        value["data"] = shown
    return answer(description, envelope("success", **members), headers, done=value)


def refusal(description, headers=(), **reasons):
    """Return the description of a refusal.

    Args:
        description: why it is given.
        headers: the names of its headers' components.
        reasons: what the code raises, by the reason; its answers are the examples.
    """
    shown = {name: answer_error(error).get_json() for name, error in reasons.items()}
    return answer(description, reference("schemas", "Refusal"), headers, **shown)
