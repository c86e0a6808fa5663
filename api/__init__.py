"""The HTTP API: Flask blueprints and marshmallow schemas, one file per area."""
