"""KEDA's kinds as far as the manifests use them, since kubernetes-validate has the schemas of Kubernetes' own kinds only.

Names, types and required fields are those of KEDA's documentation of ScaledObject, TriggerAuthentication, and the scalers for
Prometheus and Apache Kafka. Unknown fields are refused, so a misspelt one is found.
"""

from typing import Any, Literal

import msgspec


class _Fields(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Fields in camel case, none of them unknown."""


class _Named(_Fields):
    name: str


class _Metadata(_Named):
    namespace: str


class _Prometheus(_Fields):
    server_address: str
    query: str
    threshold: str
    ignore_null_values: Literal["true", "false"]


class _Kafka(_Fields):
    bootstrap_servers: str
    consumer_group: str
    topic: str
    lag_threshold: str
    offset_reset_policy: Literal["latest", "earliest"]
    sasl: Literal["none", "plaintext", "scram_sha256", "scram_sha512"]
    tls: Literal["enable", "disable"]


class _PrometheusTrigger(_Fields, tag_field="type", tag="prometheus"):
    metadata: _Prometheus
    metric_type: Literal["AverageValue", "Value"]


class _KafkaTrigger(_Fields, tag_field="type", tag="kafka"):
    metadata: _Kafka
    authentication_ref: _Named


class _AutoscalerConfig(_Fields):
    behavior: dict[str, Any]


class _Advanced(_Fields):
    horizontal_pod_autoscaler_config: _AutoscalerConfig


class _ScaledObjectSpec(_Fields):
    scale_target_ref: _Named
    polling_interval: int
    min_replica_count: int
    max_replica_count: int
    advanced: _Advanced
    triggers: list[_PrometheusTrigger | _KafkaTrigger]


class _ScaledObject(_Fields, tag_field="kind", tag="ScaledObject"):
    api_version: Literal["keda.sh/v1alpha1"]
    metadata: _Metadata
    spec: _ScaledObjectSpec


class _FromEnvironment(_Named):
    parameter: str
    container_name: str


class _FromSecret(_Named):
    parameter: str
    key: str


class _TriggerAuthenticationSpec(_Fields):
    env: list[_FromEnvironment]
    secret_target_ref: list[_FromSecret]


class _TriggerAuthentication(_Fields, tag_field="kind", tag="TriggerAuthentication"):
    api_version: Literal["keda.sh/v1alpha1"]
    metadata: _Metadata
    spec: _TriggerAuthenticationSpec


def validate_keda(manifest: dict[str, Any]) -> None:
    """Check a manifest of KEDA's. Propagates msgspec.ValidationError, which names the field."""
    msgspec.convert(manifest, _ScaledObject | _TriggerAuthentication)
