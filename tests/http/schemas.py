"""As much of JSON Schema as openapi.json uses, and what of a reply that document does not tell of."""
import re

FORMATS = {"date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"),
           "date": re.compile(r"\d{4}-\d\d-\d\d")}
KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer",
         float: "number", type(None): "null"}


class Schemas:
    """Of one document. Members that a schema does not name are wrong too."""

    def __init__(self, document):
        self.document = document

    def resolve(self, schema):
        while "$ref" in schema:
            place = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                place = place[part]
            schema = place
        return schema

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def wrong(self, value, schema, at="$"):
        """What is wrong, one line for each."""
        schema = self.resolve(schema)
        if "oneOf" in schema:
            tried = [list(self.wrong(value, one, at)) for one in schema["oneOf"]]
            if all(tried):
                yield from min(tried, key=len)
            return
        kinds = schema.get("type", [])
        kind = KINDS[type(value)]
        if kinds and kind not in ([kinds] if isinstance(kinds, str) else kinds):
            yield f"{at}: {kind}, want {kinds}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{at}: {value!r} is not among {schema['enum']}"
        elif "minimum" in schema and kind == "integer" and value < schema["minimum"]:
            yield f"{at}: {value} is below {schema['minimum']}"
        elif "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: {value!r} is not {schema['pattern']}"
        elif "format" in schema and kind == "string" and not FORMATS[schema["format"]].fullmatch(value):
            yield f"{at}: {value!r} is no {schema['format']}"
        elif kind == "object" and "properties" in schema:
            yield from self.wrong_members(value, schema, at)
        elif kind == "array":
            for n, item in enumerate(value):
                yield from self.wrong(item, schema["items"], f"{at}[{n}]")

    def wrong_members(self, value, schema, at):
        for name in schema.get("required", []):
            if name not in value:
                yield f"{at}: no {name}"
        for name, member in value.items():
            if name in schema["properties"]:
                yield from self.wrong(member, schema["properties"][name], f"{at}.{name}")
            else:
                yield f"{at}: {name} is not in the schema"

    def wrong_reply(self, method, path, reply):
        """Of the operation at `path`, as the document spells it. Each problem is its default."""
        responses = self.document["paths"][path][method.lower()]["responses"]
        response = self.resolve(responses.get(str(reply.status), responses["default"]))
        kind = reply.headers["content-type"].partition(";")[0]
        if str(reply.status) not in responses and not 400 <= reply.status < 500:
            return [f"status {reply.status}"]
        if kind not in response["content"] and "*/*" not in response["content"]:
            return [f"{kind} with {reply.status}"]
        if kind not in ("application/json", "application/problem+json"):
            return []
        return list(self.wrong(reply.json, response["content"][kind]["schema"]))
