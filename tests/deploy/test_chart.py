"""What the chart makes of values: sizes, times, holes in walls; and what it refuses, naming key and rule."""

from itertools import pairwise
from typing import Any

import pytest
import yaml
from tests.deploy import chart
from tests.deploy.chart import NEEDED, Object, container, environment, found, render

from timeside_core import topics

CI = chart.CHART / "ci"
VALUES: Object = yaml.safe_load((chart.CHART / "values.yaml").read_text())
ANALYZER: Object = VALUES["pools"][0]
KEDA: Object = {"autoscaling": {"mode": "keda"}}


def of_kind(rendered: list[Object], kind: str) -> list[Object]:
    return [each for each in rendered if each["kind"] == kind]


def component(object_: Object) -> str:
    return object_["metadata"]["labels"]["app.kubernetes.io/component"]


def pod(deployment: Object) -> Object:
    return deployment["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def default() -> list[Object]:
    return render(NEEDED)


# Pods


def test_every_pod_meets_the_restricted_standard(default: list[Object]) -> None:
    pods = [pod(each) for each in default if each["kind"] in ("Deployment", "Job")]
    pods += [each["spec"] for each in of_kind(default, "Pod")]
    assert len(pods) == 13
    for each in pods:
        assert each["securityContext"]["runAsNonRoot"] is True
        assert each["securityContext"]["runAsUser"] == 10001
        assert each["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert each["automountServiceAccountToken"] is False
        for one in each["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_probes_differ_and_memory_is_what_was_asked_for(default: list[Object]) -> None:
    for each in of_kind(default, "Deployment"):
        one = container(each)
        assert (
            one["startupProbe"]["httpGet"] == one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}
        )
        assert one["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "probes"}
        assert one["resources"]["requests"]["memory"] == one["resources"]["limits"]["memory"]
        assert "cpu" not in one["resources"]["limits"]


@pytest.mark.parametrize(
    ("values", "name", "grace_s"),
    [
        ({}, "t-timeside-analyzer", 35),
        ({}, "t-timeside-encoder", 75),
        ({}, "t-timeside-api", 40),
        ({"settings": {"drain_s": 0.5}}, "t-timeside-recorder", 16),
        ({"worker": {"settings": {"drain_s": 600}}}, "t-timeside-worker", 615),
    ],
)
def test_grace_is_the_drain_and_15_s(values: Object, name: str, grace_s: int) -> None:
    deployment = found(render(NEEDED, values), "Deployment", name)
    slept_s = container(deployment).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain_s = float(environment(deployment)["TIMESIDE_DRAIN_S"])
    assert pod(deployment)["terminationGracePeriodSeconds"] == grace_s
    assert grace_s - slept_s - drain_s >= 15


def test_settings_reach_services_as_they_read_them() -> None:
    settings = {"max_upload_bytes": 8589934592, "allowed_origins": ["https://a", "https://b"], "describe_s": 2.5}
    read = environment(found(render(NEEDED, {"api": {"settings": settings}}), "Deployment", "t-timeside-api"))
    assert read["TIMESIDE_MAX_UPLOAD_BYTES"] == "8589934592"
    assert read["TIMESIDE_ALLOWED_ORIGINS"] == "https://a,https://b"
    assert read["TIMESIDE_DESCRIBE_S"] == "2.5"


def test_secrets_are_files_and_only_the_platform_has_them(default: list[Object]) -> None:
    for each in of_kind(default, "Deployment"):
        names = {volume["name"] for volume in pod(each)["volumes"]}
        assert ("database" in names) == (component(each) in ("api", "dispatcher", "recorder"))
        assert ("secret" in names) == (component(each) == "api")
        assert not any("PASSWORD" in name or name == "TIMESIDE_SECRET" for name in environment(each))


def test_who_speaks_to_kafka_has_what_it_asks_for_as_files() -> None:
    folder = "/run/secrets/timeside/kafka"
    rendered = render(yaml.safe_load((CI / "full.yaml").read_text()))
    pods = [each for each in rendered if each["kind"] in ("Deployment", "Job")]
    assert len(pods) == 10
    for each in pods:
        files = {name: value for name, value in environment(each).items() if name.startswith("TIMESIDE_KAFKA_")}
        del files["TIMESIDE_KAFKA_BOOTSTRAP"]
        mounted = {one["mountPath"] for one in container(each)["volumeMounts"] if one["mountPath"].startswith(folder)}
        sources = {one["name"]: one for one in pod(each)["volumes"] if one["name"].startswith("kafka-")}
        if component(each) == "migrate":
            assert not files
            assert not mounted
            assert not sources
            continue
        assert files == {
            "TIMESIDE_KAFKA_TLS": "true",
            "TIMESIDE_KAFKA_CA": f"{folder}-ca/ca.crt",
            "TIMESIDE_KAFKA_CERTIFICATE": f"{folder}-certificate/tls.crt",
            "TIMESIDE_KAFKA_KEY": f"{folder}-certificate/tls.key",
            "TIMESIDE_KAFKA_USERNAME_FILE": f"{folder}-login/username",
            "TIMESIDE_KAFKA_PASSWORD_FILE": f"{folder}-login/password",
            "TIMESIDE_KAFKA_MECHANISM": "SCRAM-SHA-256",
        }
        assert mounted == {f"{folder}-ca", f"{folder}-certificate", f"{folder}-login"}
        assert sources["kafka-ca"]["configMap"]["name"] == "kafka-ca"
        assert sources["kafka-certificate"]["secret"]["items"] == [
            {"key": "user.crt", "path": "tls.crt"},
            {"key": "user.key", "path": "tls.key"},
        ]
        assert sources["kafka-login"]["secret"]["secretName"] == "kafka-login"
        assert all(one["readOnly"] for one in container(each)["volumeMounts"] if one["name"] in sources)


def test_a_name_to_log_in_by_is_no_secret() -> None:
    kafka: Object = {"kafka": {"sasl": {"existingSecret": "login", "username": "ada"}}}
    analyzer = found(render(NEEDED, kafka), "Deployment", "t-timeside-analyzer")
    assert environment(analyzer)["TIMESIDE_KAFKA_USERNAME"] == "ada"
    (login,) = [each for each in pod(analyzer)["volumes"] if each["name"] == "kafka-login"]
    assert login["secret"]["items"] == [{"key": "password", "path": "password"}]


def test_a_cluster_may_pick_users() -> None:
    values = yaml.safe_load((CI / "openshift.yaml").read_text())
    contexts = [pod(each)["securityContext"] for each in of_kind(render(values), "Deployment")]
    assert contexts
    assert all(each.keys().isdisjoint({"runAsUser", "runAsGroup", "fsGroup"}) for each in contexts)


def test_pods_are_spread_and_few_are_taken_at_once(default: list[Object]) -> None:
    for each in of_kind(default, "Deployment"):
        keys = [spread["topologyKey"] for spread in pod(each)["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    budgets = of_kind(default, "PodDisruptionBudget")
    assert {component(each) for each in budgets} == {"api", "dispatcher", "recorder"}
    assert all(each["spec"]["maxUnavailable"] == 1 for each in budgets)


def test_selectors_outlive_versions(default: list[Object]) -> None:
    for each in of_kind(default, "Deployment"):
        names = each["spec"]["selector"]["matchLabels"].keys()
        assert names == {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}


# Sizes


@pytest.mark.parametrize("values", [{}, KEDA, {"autoscaling": {"mode": "none"}}])
def test_a_size_is_decided_once(values: Object) -> None:
    rendered = render(NEEDED, values)
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in rendered
        if each["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }
    for each in of_kind(rendered, "Deployment"):
        assert ("replicas" in each["spec"]) == (each["metadata"]["name"] not in scaled)


def test_the_api_is_sized_by_cpu_and_workers_by_what_waits() -> None:
    rendered = render(NEEDED, KEDA)
    assert [component(each) for each in of_kind(rendered, "HorizontalPodAutoscaler")] == ["api"]
    queries = {
        component(each): each["spec"]["triggers"][0]["metadata"]["query"] for each in of_kind(rendered, "ScaledObject")
    }
    assert queries.keys() == {"decoder", "analyzer", "analyzer-librosa", "grapher", "encoder", "worker"}
    assert "'interactive'" in queries["analyzer"]
    assert "pool = 'analyzer'" in queries["analyzer"]
    assert "'bulk'" in queries["worker"]


def test_scaling_down_is_slow_and_an_outage_changes_nothing() -> None:
    for each in of_kind(render(NEEDED, KEDA), "ScaledObject"):
        behavior = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300
        assert each["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"


@pytest.mark.parametrize(("key", "pattern"), [("decoder", "ts.cmd.decode.{lane}"), ("decoderLive", "ts.cmd.live")])
def test_no_more_pods_than_partitions(key: str, pattern: str) -> None:
    partitions = next(each.partitions for each in _declared() if each.name == pattern)
    most = {key: {"autoscaling": {"mode": "hpa", "max": partitions}}}
    render(NEEDED, most)
    with pytest.raises(chart.ChartError, match=rf"{key}\.autoscaling\.max: {partitions + 1} pods.*{partitions} part"):
        render(NEEDED, most, {key: {"autoscaling": {"max": partitions + 1}}})


def test_fewer_partitions_bound_more() -> None:
    few: Object = {"kafka": {"maxPartitions": 8}, "worker": {"autoscaling": {"max": 8}}}
    pools: Object = {"pools": []}
    rendered = render(NEEDED, few, pools)
    (job,) = [each for each in of_kind(rendered, "Job") if component(each) == "topics"]
    assert pod(job)["containers"][0]["args"] == ["timeside", "topics", "apply", "--max-partitions", "8"]
    with pytest.raises(chart.ChartError, match=r"worker\.autoscaling\.max: 9 pods.*8 partitions"):
        render(NEEDED, few, pools, {"worker": {"autoscaling": {"max": 9}}})


def _declared() -> list[Any]:
    return topics._declaration().topics  # the patterns themselves


# Walls


def ports(rule: Object) -> set[int]:
    return {each["port"] for each in rule["ports"]}


def test_nothing_goes_out_but_what_is_named(default: list[Object]) -> None:
    policies = {of(each): each["spec"] for each in of_kind(default, "NetworkPolicy") if of(each)}
    allowed = {name: set[int]().union(*map(ports, spec["egress"])) for name, spec in policies.items()}
    kafka, database, store, live, imports = 9092, 5432, 443, {80, 443, 8000}, {80, 443}
    assert allowed["decoder"] == {kafka, store}
    assert allowed["analyzer"] == allowed["grapher"] == allowed["encoder"] == allowed["worker"] == {kafka, store}
    assert allowed["decoder-live"] == {kafka, store} | live
    assert allowed["api"] == {kafka, database, store} | imports
    assert allowed["dispatcher"] == allowed["recorder"] == {kafka, database}
    assert allowed["migrate"] == {database}
    assert allowed["topics"] == {kafka}


def test_traces_go_to_the_collector_from_services_only() -> None:
    rendered = render(NEEDED, {"settings": {"drain_s": 20, "traces_url": "http://collector:4318"}})
    policies = {of(each): each["spec"] for each in of_kind(rendered, "NetworkPolicy") if of(each)}
    silent = {name for name, spec in policies.items() if 4318 not in set[int]().union(*map(ports, spec["egress"]))}
    assert silent == {"migrate", "topics", "test"}
    for each in of_kind(rendered, "Deployment"):
        assert environment(each)["TIMESIDE_TRACES_URL"] == "http://collector:4318"


def of(policy: Object) -> str:
    """Whose; the policy of all has none."""
    return policy["metadata"]["labels"].get("app.kubernetes.io/component", "")


def test_all_is_denied_first(default: list[Object]) -> None:
    every = found(default, "NetworkPolicy", "t-timeside")["spec"]
    labels = every["podSelector"]["matchLabels"]
    assert every["policyTypes"] == ["Ingress", "Egress"]
    assert [ports(rule) for rule in every["egress"]] == [{53}]
    assert [ports(rule) for rule in every["ingress"]] == [{9100}]
    for each in default:
        if each["kind"] in ("Deployment", "Job"):
            assert labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()


def test_without_a_bucket_nobody_goes_to_one() -> None:
    policies = of_kind(render(yaml.safe_load((CI / "volume.yaml").read_text())), "NetworkPolicy")
    decoder = next(each["spec"] for each in policies if of(each) == "decoder")
    assert set().union(*map(ports, decoder["egress"])) == {9092}


def test_live_sources_may_not_be_in_private_networks(default: list[Object]) -> None:
    live = found(default, "NetworkPolicy", "t-timeside-decoder-live")["spec"]["egress"][-1]
    assert "10.0.0.0/8" in live["to"][0]["ipBlock"]["except"]
    assert "169.254.0.0/16" in live["to"][0]["ipBlock"]["except"]


# Ways in


def test_a_path_of_a_proxy_is_known_to_all_who_need_it() -> None:
    rendered = render(yaml.safe_load((CI / "full.yaml").read_text()))
    route = found(rendered, "HTTPRoute", "t-timeside")["spec"]["rules"][0]
    assert route["matches"][0]["path"] == {"type": "PathPrefix", "value": "/audio"}
    assert route["timeouts"]["request"] == "0s"
    ingress = found(rendered, "Ingress", "t-timeside")["spec"]["rules"][0]
    assert ingress["http"]["paths"][0]["path"] == "/audio"
    assert environment(found(rendered, "Deployment", "t-timeside-api"))["TIMESIDE_PATH_PREFIX"] == "/audio"
    test = found(rendered, "Pod", "t-timeside-test")["spec"]["containers"][0]["env"][0]["value"]
    assert test == "http://t-timeside.audio:80/audio"


# Jobs


def test_tables_and_topics_come_before_anything_else(default: list[Object]) -> None:
    jobs = of_kind(default, "Job")
    assert [pod(each)["containers"][0]["args"][:3] for each in jobs] == [
        ["timeside", "db", "upgrade"],
        ["timeside", "topics", "apply"],
    ]
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" for each in jobs)


def test_plain_jobs_are_named_after_what_they_do() -> None:
    plain = {"jobs": {"hooks": False}}
    names = [{each["metadata"]["name"] for each in of_kind(render(NEEDED, plain, more), "Job")} for more in ({}, {})]
    other = {each["metadata"]["name"] for each in of_kind(render(NEEDED, plain, {"image": {"tag": "3"}}), "Job")}
    assert names[0] == names[1]
    assert names[0].isdisjoint(other)


def test_pools_of_ones_own_get_topics() -> None:
    rendered = render(yaml.safe_load((CI / "full.yaml").read_text()))
    (job,) = [each for each in of_kind(rendered, "Job") if component(each) == "topics"]
    arguments = pod(job)["containers"][0]["args"]
    assert ("--pool", "analyzer-mine") in list(pairwise(arguments))


# What is refused


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kafka": {"bootstrap": ""}}, "kafka.bootstrap: must name the brokers"),
        ({"kafka": {"bootstrap": "kafka"}}, "/kafka/bootstrap"),
        ({"kafka": {"tls": {"ca": {"existingSecret": "a"}}}}, "kafka.tls.enabled: must be true"),
        (
            {"kafka": {"tls": {"enabled": True, "ca": {"existingSecret": "a", "existingConfigMap": "b"}}}},
            "kafka.tls.ca.existingConfigMap: must be empty",
        ),
        ({"kafka": {"sasl": {"username": "ada"}}}, "kafka.sasl.existingSecret: must hold the password"),
        ({"kafka": {"sasl": {"mechanism": "PLAIN"}}}, "kafka.sasl.mechanism: PLAIN sends"),
        ({"kafka": {"sasl": {"mechanism": "NONE"}}}, "/kafka/sasl/mechanism"),
        ({"kafka": {"sasl": {"password": "hush"}}}, "password"),
        ({"api": {"settings": {"kafka_password": "hush"}}}, "kafka_password"),
        ({"store": {"url": ""}}, "store: needs store.url"),
        ({"store": {"volume": {"existingClaim": "c"}}}, "store.url: must be empty"),
        ({"store": {"url": "ftp://x"}}, "/store/url"),
        ({"api": {"replica": 3}}, "replica"),
        ({"api": {"settings": {"max_body_byte": 1}}}, "max_body_byte"),
        ({"api": {"settings": {"secret": "x" * 32}}}, "secret"),
        ({"api": {"settings": {"access_s": 1}}}, "/api/settings/access_s"),
        ({"worker": {"settings": {"lease_s": 60}}}, "lease_s"),
        ({"decoder": {"lanes": ["fast"]}}, "/decoder/lanes/0"),
        ({"decoder": {"settings": {"children": "many"}}}, "/decoder/settings/children"),
        ({"pools": [{**ANALYZER, "name": "decoder"}]}, "pools[decoder].name: is taken"),
        (
            {"pools": [{**ANALYZER, "replicas": 25}], "autoscaling": {"mode": "none"}},
            "pools[analyzer].replicas",
        ),
        ({"api": {"autoscaling": {"min": 11}}}, "api.autoscaling.min: 11 is more than max=10"),
        ({"decoder": {"autoscaling": {"min": 0}}}, "decoder.autoscaling.min: must be 1 or more"),
        ({"autoscaling": {"mode": "keda", "keda": {"source": "prometheus"}}}, "autoscaling.keda.serverAddress"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
        ({"ingress": {"enabled": True}}, "ingress.hosts"),
        ({"api": {"pathPrefix": "audio/"}}, "/api/pathPrefix"),
        ({"apis": {}}, "apis"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("helm", [3, 4])
def test_wrong_values_are_refused_by_name(values: Object, told: str, helm: int) -> None:
    with pytest.raises(chart.ChartError) as refusal:
        render(NEEDED, values, helm=helm)
    message = str(refusal.value)
    assert told in message or told.lstrip("/").replace("/", ".") in message  # helm 3 parts by dots


def test_a_chart_around_it_may_have_globals() -> None:
    assert render(NEEDED, {"global": {"anything": 1}, "enabled": True})


def test_the_test_of_a_release_is_a_program(default: list[Object]) -> None:
    program = found(default, "ConfigMap", "t-timeside-test")["data"]["smoke.py"]
    assert program.strip() == (chart.CHART / "files" / "smoke.py").read_text().strip()
    compile(program, "smoke.py", "exec")
