"""What values of the chart may be: the shape by hand, settings from the models that services themselves read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from timeside.worker import WorkerSettings
from timeside_api.http.settings import HttpSettings
from timeside_api.settings import ApiSettings
from timeside_core.bus.access import KafkaAccess, Mechanism
from timeside_core.stage.settings import StageSettings
from timeside_decoder.stage import DecoderSettings

CHART = Path(__file__).parent / "timeside"
_BY_THE_CHART = frozenset(
    {
        *("database_url", "secret", "kafka_bootstrap", "store_url", "home", "scratch", "pool", "lanes", "local_pool"),
        *("live", "host", "port", "http_host", "http_port", "path_prefix"),
        *KafkaAccess.model_fields,
    }
)
"""Settings that follow from other values."""
_SHARED = frozenset({"lease_s"})
"""Settings that must be the same everywhere."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
OptionalName = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=40)]
SecretName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
OptionalSecretName = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)]
Key = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
Count = Annotated[int, Field(ge=0, le=1000)]
WholeSeconds = Annotated[int, Field(ge=1, le=86_400)]
UrlPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=200)]
Lane = Literal["interactive", "bulk"]
Mode = Literal["none", "hpa", "keda"]
Strings = dict[str, str]
Objects = list[dict[str, Any]]


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Images(_Values):
    """Of all components."""

    registry: str
    """Goes before each repository."""
    tag: str
    """The chart's appVersion where empty."""
    digests: dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]]
    """By repository; of images that are named by no tag."""
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]
    pullSecrets: list[SecretName]


class Image(_Values):
    """Of a component."""

    repository: Annotated[str, Field(min_length=1)]
    tag: str = ""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """Instead of a tag."""


class KafkaAuthorities(_Values):
    """PEM of the authorities that vouch for brokers, in a Secret or a ConfigMap; those of the image where neither."""

    existingSecret: OptionalSecretName
    existingConfigMap: OptionalSecretName
    key: Key


class KafkaCertificate(_Values):
    """A certificate to show to brokers, and its key, as PEM; none where no Secret is named."""

    existingSecret: OptionalSecretName
    certificateKey: Key
    privateKeyKey: Key


class KafkaTls(_Values):
    """Encryption."""

    enabled: bool
    ca: KafkaAuthorities
    certificate: KafkaCertificate


class KafkaSasl(_Values):
    """Passwords; none where no Secret is named."""

    existingSecret: OptionalSecretName
    username: str
    """In place of usernameKey."""
    usernameKey: Key
    passwordKey: Key
    mechanism: Mechanism


class Kafka(_Values):
    """The brokers."""

    bootstrap: Annotated[str, Field(pattern=r"^([^\s:,/]+:[0-9]+(,[^\s:,/]+:[0-9]+)*)?$")]
    """host:port, parted by commas."""
    tls: KafkaTls
    sasl: KafkaSasl
    maxPartitions: Annotated[int, Field(ge=1)] | None = None
    """Of a topic, on a small cluster; it may be raised later, never lowered."""


class SecretKey(_Values):
    """A Secret that is there, and the key that holds the value."""

    existingSecret: SecretName
    key: Key


class Volume(_Values):
    """A folder that all pods share: ReadWriteMany."""

    existingClaim: OptionalSecretName
    size: Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(Mi|Gi|Ti|M|G|T))?$")]
    """A claim of this size is made; it outlives the release."""
    storageClassName: str | None = None
    """That of the cluster where not given."""


class Store(_Values):
    """Media and results: a bucket or a volume."""

    url: Annotated[str, Field(pattern=r"^(s3://[^\s]+)?$")]
    existingSecret: OptionalSecretName
    """Its keys become variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT, AWS_REGION."""
    volume: Volume


class ServiceAccount(_Values):
    """Of all pods; no token is mounted."""

    create: bool
    name: OptionalSecretName
    annotations: Strings


class Security(_Values):
    """Who pods run as; all else is what the restricted Pod Security Standard asks for."""

    runAsUser: Annotated[int, Field(ge=1)] | None = None
    """null leaves it to the cluster."""
    fsGroup: Annotated[int, Field(ge=1)] | None = None


class Requests(_Values):
    """Of a container."""

    cpu: Quantity
    memory: Quantity


class Limits(_Values):
    """Of a container; there is none of CPU unless given, as it would only make blocks late."""

    memory: Quantity
    cpu: Quantity | None = None


class Resources(_Values):
    """Memory: what is asked for is the limit, so that a node never has to take it back."""

    requests: Requests
    limits: Limits


class Size(_Values):
    """How many pods there are, where that is decided by load."""

    mode: Mode | None = None
    """Other than that of all components."""
    min: Count
    max: Annotated[int, Field(ge=1, le=1000)]
    cpuPercent: Annotated[int, Field(ge=1, le=1000)] | None = None
    """hpa: CPU of what is asked for."""


class QueueSize(Size):
    """The same, of what waits for work."""

    queued_s: WholeSeconds | None = None
    """keda: audio seconds that wait, for each pod."""


class PodDefaults(_Values):
    """Of all pods."""

    annotations: Strings
    labels: Strings
    env: Objects
    volumes: Objects
    volumeMounts: Objects
    initContainers: Objects
    nodeSelector: Strings
    tolerations: Objects
    affinity: dict[str, Any]
    topologyKeys: list[str]
    """Pods of a component are spread over these."""
    priorityClassName: str
    scratch: Quantity
    """Most that a pod may have in its working folder."""
    startup_s: WholeSeconds
    """Time until a pod is ready; then it is killed."""


class Pod(_Values):
    """Of the pods of one component; what is not given is that of all."""

    annotations: Strings | None = None
    labels: Strings | None = None
    env: Objects | None = None
    volumes: Objects | None = None
    volumeMounts: Objects | None = None
    initContainers: Objects | None = None
    nodeSelector: Strings | None = None
    tolerations: Objects | None = None
    affinity: dict[str, Any] | None = None
    topologyKeys: list[str] | None = None
    priorityClassName: str | None = None
    scratch: Quantity | None = None
    startup_s: WholeSeconds | None = None


class Component(Pod):
    """A Deployment."""

    replicas: Annotated[int, Field(ge=0, le=1000)]
    """Where no autoscaler decides."""
    image: Image
    resources: Resources


class Step(_Values):
    """How fast pods are added."""

    pods: Annotated[int, Field(ge=1)]
    period_s: Annotated[int, Field(ge=1, le=1800)]


class StepDown(Step):
    """How fast, and how soon, pods are removed."""

    stabilization_s: Annotated[int, Field(ge=0, le=3600)]


class Keda(_Values):
    """How KEDA hears of audio that waits."""

    source: Literal["postgresql", "prometheus"]
    existingSecret: OptionalSecretName
    """With the address of the database, of an account that may only read; that of `database` where empty."""
    key: Key
    serverAddress: Annotated[str, Field(pattern=r"^(https?://\S+)?$")]
    """Of Prometheus."""
    pollingInterval_s: WholeSeconds
    cooldown_s: WholeSeconds


class Autoscaling(_Values):
    """Of all components."""

    mode: Mode
    """none: fixed replicas; hpa: by CPU; keda: workers by audio that waits, the API by CPU."""
    scaleUp: Step
    scaleDown: StepDown
    keda: Keda


class Jobs(_Values):
    """Tables and topics, brought up to date before anything starts."""

    hooks: bool
    """Whether Helm (or Argo CD) waits for them; else they are plain Jobs, and pods wait by themselves."""
    migrate: bool
    topics: bool
    wait_s: WholeSeconds
    """How long they wait for the database."""
    resources: Resources


class Service(_Values):
    """Of the API."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"]
    port: Port
    annotations: Strings


class HTTPRoute(_Values):
    """Of the Gateway API."""

    enabled: bool
    annotations: Strings
    parentRefs: Objects
    hostnames: list[str]


class Ingress(_Values):
    """For clusters without Gateway API."""

    enabled: bool
    className: str
    annotations: Strings
    hosts: list[str]
    tls: Objects


class Egress(_Values):
    """Where connections may go."""

    to: Objects
    """Peers; empty is everywhere."""
    ports: list[Port]


class OptionalEgress(Egress):
    """The same, where there is any."""

    enabled: bool


class IngressFrom(_Values):
    """Where connections may come from."""

    model_config = ConfigDict(populate_by_name=True)
    from_: Annotated[Objects, Field(alias="from")]
    """Peers; empty is everywhere."""


class NetworkPolicy(_Values):
    """What pods may talk to; all else is denied."""

    enabled: bool
    dns: Egress
    kafka: Egress
    database: Egress
    store: Egress
    traces: Egress
    """Where settings say where traces go."""
    live: Egress
    """Of the live decoder only."""
    imports: OptionalEgress
    """Of the API only."""
    api: IngressFrom
    metrics: IngressFrom


class Enabled(_Values):
    """A part that may be left out."""

    enabled: bool


class ServiceMonitor(Enabled):
    """For the Prometheus operator."""

    interval: Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m)$")]
    labels: Strings


class Labelled(Enabled):
    """Found by its labels."""

    labels: Strings


class Monitoring(_Values):
    """Metrics, alerts, dashboards."""

    serviceMonitor: ServiceMonitor
    rules: Labelled
    dashboards: Labelled


class HelmTest(_Values):
    """`helm test`."""

    existingSecret: OptionalSecretName
    """With an API key: then the test uploads, analyses and reads a result too."""
    key: Key


def _settings(name: str, *models: type[BaseModel]) -> Any:
    """What may be set of these, without what the chart says itself, and what must be the same everywhere."""
    every = {field: info for model in models for field, info in model.model_fields.items()}
    return _optional(name, {field: every[field] for field in every if field not in _BY_THE_CHART | _SHARED})


def _settings_of_all() -> Any:
    """What the API and workers both have."""
    every = StageSettings.model_fields
    both = ApiSettings.model_fields.keys() & every.keys() - _BY_THE_CHART
    return _optional("Settings", {field: every[field] for field in every if field in both})


def _optional(name: str, infos: Mapping[str, FieldInfo]) -> Any:
    fields: dict[str, Any] = {
        field: (info.rebuild_annotation(), Field(default=None, description=info.description))
        for field, info in infos.items()
    }
    return create_model(name, __config__=ConfigDict(extra="forbid"), __doc__=f"{name}.", **fields)


def _component(name: str, *settings: type[BaseModel], **more: Any) -> Any:
    fields: dict[str, Any] = {"settings": (_settings(f"{name}Settings", *settings), ...), **more}
    return create_model(name, __base__=Component, __doc__=f"{name}.", **fields)


Lanes = Annotated[list[Lane], Field(min_length=1)]
_Queue: dict[str, Any] = {"lanes": (Lanes, ...), "autoscaling": (QueueSize, ...)}
_Optional: dict[str, Any] = {"enabled": (bool, ...), **_Queue}
_Http: dict[str, Any] = {"pathPrefix": (UrlPath, ...), "preStop_s": (Count, ...), "autoscaling": (Size, ...)}
Api = _component("Api", ApiSettings, HttpSettings, **_Http)
Dispatcher = _component("Dispatcher", ApiSettings)
Recorder = _component("Recorder", ApiSettings)
Decoder = _component("Decoder", DecoderSettings, **_Queue)
DecoderLive = _component("DecoderLive", DecoderSettings, **_Optional)
Worker = _component("Worker", WorkerSettings, **_Optional)


class Pool(Pod):
    """Workers that read blocks of audio."""

    name: Name
    """Of the Deployment, and of the pool where none is given."""
    pool: Name | None = None
    program: Literal["timeside-analyzer", "timeside-grapher", "timeside-encoder"]
    lanes: Lanes | None = None
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    image: Image
    settings: _settings("PoolSettings", StageSettings) = None
    resources: Resources
    autoscaling: QueueSize | None = None


class Values(BaseModel):
    """Values of the chart; `global` and `enabled` are those of a chart around it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    global_: Annotated[dict[str, Any] | None, Field(alias="global")] = None
    enabled: bool | None = None
    nameOverride: OptionalName
    fullnameOverride: OptionalName
    image: Images
    kafka: Kafka
    database: SecretKey
    secret: SecretKey
    store: Store
    settings: _settings_of_all()
    serviceAccount: ServiceAccount
    security: Security
    pods: PodDefaults
    autoscaling: Autoscaling
    api: Api
    dispatcher: Dispatcher
    recorder: Recorder
    decoder: Decoder
    decoderLive: DecoderLive
    pools: list[Pool]
    worker: Worker
    jobs: Jobs
    service: Service
    httpRoute: HTTPRoute
    ingress: Ingress
    networkPolicy: NetworkPolicy
    podDisruptionBudget: Enabled
    monitoring: Monitoring
    helmTest: HelmTest
    extraObjects: Objects


class _Plain(GenerateJsonSchema):
    """Without titles, which repeat names, and defaults, which stand in values.yaml (and may be of this machine).

    And without null: Helm takes it for a key that is not there.
    """

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        return _plain(super().generate(schema, mode))


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    node = cast("dict[str, Any]", schema)
    if len(choices := node.get("anyOf", [])) == 2 and choices[1] == {"type": "null"}:
        node = {key: value for key, value in node.items() if key != "anyOf"} | choices[0]
    return {key: _plain_value(key, value) for key, value in node.items() if not _is_noise(key, value)}


def _plain_value(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):  # whose keys are names, be they `title` or `default`
        return {name: _plain(each) for name, each in value.items()}
    return _plain(value)


def _is_noise(key: str, value: Any) -> bool:
    return key in ("title", "default") and not isinstance(value, dict)


def schema() -> dict[str, Any]:
    """The schema of values, for `values.schema.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Values.model_json_schema(by_alias=True, schema_generator=_Plain),
    }
