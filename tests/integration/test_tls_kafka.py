"""A real Apache Kafka behind SASL_SSL: everything the engine does with Kafka, and rejected brokers and passwords."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.events.bridge_heartbeats import BridgeState
from cli.stack.ports import claim_port
from consumers.kafka.clients import producer
from consumers.kafka.record_reader import RecordReader
from tests.apache_kafka import apache_kafka
from tests.certificates import Authority, Pair, old_server
from tests.learning_events import quiz
from tests.stack import wait_for, without_settings

SECONDS = 60.0
SECONDS_UNTIL_TOLD = 50.0  # for three commands at once; each gives Kafka ten, and busy cores take as long to start them
USER, PASSWORD, PLAIN_PASSWORD, WRONG_PASSWORD = "mastery", "correct-horse", "battery-staple", "wrong-horse"


class SecureKafka:
    """An Apache Kafka with a listener for each way to be known: SASL_SSL by password, SSL by certificate. Only the test's
    own preparations use the plain one.
    """

    def __init__(self, folder: Path) -> None:
        self.ours, self.other = Authority(folder / "ours"), Authority(folder / "other")
        self.client, self.stranger = self.ours.issue("engine"), self.other.issue("stranger")
        self._server = self.ours.issue("127.0.0.1")
        self._sasl_port, self._tls_port = claim_port(), claim_port()

    @contextmanager
    def serving(self, folder: Path, jars: Path) -> Iterator["SecureKafka"]:
        folder.mkdir()
        keystore = folder / "server.pem"
        keystore.write_text(Path(self._server.key).read_text() + Path(self._server.certificate).read_text())
        properties = folder / "secure.properties"
        lines = {
            "listeners": f"SASL_SSL://127.0.0.1:{self._sasl_port},SSL://127.0.0.1:{self._tls_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": keystore,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ours.file,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
            **{
                f"listener.name.sasl_ssl.scram-sha-{bits}.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                )
                for bits in (256, 512)
            },
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PLAIN_PASSWORD}";'
            ),
        }
        properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        with (folder / "kafka.log").open("wb") as log, apache_kafka(folder, jars, str(properties), log=log) as plain:
            admin = AdminClient({"bootstrap.servers": plain})
            for each in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(each, 4096), PASSWORD.encode())
                admin.alter_user_scram_credentials([wanted])[USER].result(SECONDS)
            yield self

    def by_password(self, **changes: str) -> dict[str, str]:
        """The variables of a client with a password."""
        return {
            "MASTERY_KAFKA_BOOTSTRAP": f"127.0.0.1:{self._sasl_port}",
            "MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "MASTERY_KAFKA_USERNAME": USER,
            "MASTERY_KAFKA_PASSWORD": PASSWORD,
            "MASTERY_KAFKA_CA_FILE": self.ours.file,
            **{f"MASTERY_KAFKA_{name}": value for name, value in changes.items()},
        }

    def by_certificate(self, pair: Pair | None) -> dict[str, str]:
        """The variables of a client with a certificate, if it has one."""
        return {
            "MASTERY_KAFKA_BOOTSTRAP": f"127.0.0.1:{self._tls_port}",
            "MASTERY_KAFKA_SECURITY_PROTOCOL": "SSL",
            "MASTERY_KAFKA_CA_FILE": self.ours.file,
            **({"MASTERY_KAFKA_CERT_FILE": pair.certificate, "MASTERY_KAFKA_KEY_FILE": pair.key} if pair else {}),
        }

    def wrong(self, what: str) -> dict[str, str]:
        """The variables of a client with a password, with an error."""
        _, _, port = self.by_password()["MASTERY_KAFKA_BOOTSTRAP"].rpartition(":")
        return self.by_password(
            **{
                "authority": {"CA_FILE": self.other.file},
                "system's authorities": {"CA_FILE": ""},
                "host name": {"BOOTSTRAP": f"localhost:{port}"},
                "password": {"PASSWORD": WRONG_PASSWORD},
            }[what]
        )


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, kafka_jars: Path) -> Iterator[SecureKafka]:
    folder = tmp_path_factory.mktemp("secure-kafka")
    with SecureKafka(folder / "certificates").serving(folder / "kafka", kafka_jars) as serving:
        yield serving


@pytest.fixture
def own(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Variables that isolate a test from all others, without the address of Kafka."""
    name = uuid4().hex[:12]
    topics = {f"MASTERY_{kind.upper()}_TOPIC": f"{kind}-{name}" for kind in ("events", "dlq", "results", "erasures")}
    return {
        **topics,
        "MASTERY_REDIS_URL": redis_url,
        "MASTERY_KEY_PREFIX": f"test-{name}",
        "MASTERY_KAFKA_GROUP": f"group-{name}",
        "MASTERY_KAFKA_PARTITIONS": "2",
        "MASTERY_DATA_DIR": str(tmp_path / "data"),
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**without_settings(), **variables}


def mastery(*arguments: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A command with its own environment. Its output never has a password."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert not any(secret in done.stdout + done.stderr for secret in (PASSWORD, PLAIN_PASSWORD, WRONG_PASSWORD))
    return done


def together(*commands: tuple[tuple[str, ...], Mapping[str, str]]) -> list[subprocess.CompletedProcess[str]]:
    """Commands that run at the same time, each with its variables."""
    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(lambda command: mastery(*command[0], variables=command[1]), commands))


@contextmanager
def bridge(variables: Mapping[str, str], log: Path) -> Iterator[None]:
    """A bridge with its relay, as a separate process."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumers"], env=environment(variables), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_everything_goes_by_password_over_tls(kafka: SecureKafka, own: dict[str, str], tmp_path: Path) -> None:
    """Topics are created, the bridge accepts a record, another becomes a dead letter and is listed, replayed and purged."""
    variables = own | kafka.by_password()
    made = mastery("topics", "create", variables=variables)
    assert (made.returncode, made.stdout.count("created: ")) == (0, 4), made.stdout + made.stderr
    engine = bootstrap(load_settings(variables))
    out = producer(engine.settings)
    for event in (quiz(timestamp=datetime.now(UTC).isoformat()), quiz(total_questions=0)):
        out.produce(engine.settings.events_topic, json.dumps(event).encode(), key="t-1/s-1")
    assert out.flush(SECONDS) == 0
    with bridge(variables, tmp_path / "bridge.log"):
        wait_for(lambda: engine.ledger.counts().records == 2, SECONDS)
        wait_for(lambda: engine.ledger.letters_waiting() == 0, SECONDS)
        listed = mastery("dlq", "list", "--json", variables=variables)
        assert len(listed.stdout.splitlines()) == 1, listed.stderr
        replayed = mastery("dlq", "replay", variables=variables)
        assert "1 dead letter replayed" in replayed.stdout, replayed.stdout + replayed.stderr
        wait_for(lambda: engine.ledger.counts().records == 3, SECONDS)
        wait_for(lambda: engine.ledger.letters_waiting() == 0, SECONDS)
    purged = mastery("dlq", "purge", "--yes", variables=variables)
    assert "1 dead letter purged: 1 deleted from Kafka, 0 hidden" in purged.stdout, purged.stdout + purged.stderr
    reader = RecordReader(engine.settings)
    assert [bound for bound in reader.bounds(engine.settings.dlq_topic).values() if bound.low < bound.high] == []
    reader.close()
    assert PASSWORD not in (tmp_path / "bridge.log").read_text()
    engine.redis.close()


@pytest.mark.parametrize(("mechanism", "password"), [("PLAIN", PLAIN_PASSWORD), ("SCRAM-SHA-256", PASSWORD)])
def test_each_mechanism_is_understood(kafka: SecureKafka, own: dict[str, str], mechanism: str, password: str) -> None:
    """PLAIN has a password of its own here, so neither mechanism replaces the other."""
    given = kafka.by_password(SASL_MECHANISM=mechanism, PASSWORD=password)
    assert mastery("topics", "create", variables=own | given).returncode == 0


def test_a_client_is_known_by_its_certificate(kafka: SecureKafka, own: dict[str, str]) -> None:
    """If the listener requires one. Without it, or with a foreign one, the client reports the reason."""
    assert mastery("topics", "create", variables=own | kafka.by_certificate(kafka.client)).returncode == 0
    for refused in together(*((("topics", "create"), own | kafka.by_certificate(each)) for each in (None, kafka.stranger))):
        assert refused.returncode == 1
        assert "Error: kafka is unavailable: ssl://" in refused.stderr


UNTRUSTED = "certificate verify failed"
DENIED = "SASL authentication error: Authentication failed"


@pytest.mark.parametrize(
    ("what", "reason"),
    [("authority", UNTRUSTED), ("system's authorities", UNTRUSTED), ("host name", UNTRUSTED), ("password", DENIED)],
)
def test_every_command_says_why_there_is_no_answer(kafka: SecureKafka, own: dict[str, str], what: str, reason: str) -> None:
    """In one line, within the timeout, for each of the clients."""
    variables, began = own | kafka.wrong(what), time.monotonic()
    made, listed, doctor = together(*((each, variables) for each in (("topics", "create"), ("dlq", "list"), ("doctor",))))
    assert time.monotonic() - began < SECONDS_UNTIL_TOLD
    for refused in (made, listed):
        assert refused.returncode == 1
        (error,) = [line for line in refused.stderr.splitlines() if line.startswith("Error: ")]
        assert error.startswith("Error: kafka is unavailable: ")
        assert reason in error
    assert doctor.returncode == 1
    (told,) = [line for line in doctor.stdout.splitlines() if line.startswith("✗ kafka: is unavailable: ")]
    assert reason in told


@pytest.mark.parametrize(("what", "reason"), [("authority", UNTRUSTED), ("password", DENIED)])
def test_the_bridge_waits_and_says_why(kafka: SecureKafka, own: dict[str, str], what: str, reason: str, tmp_path: Path) -> None:
    """It is not ready, its log has the reason and no password, and it can be stopped."""
    variables = own | kafka.wrong(what)
    engine, log = bootstrap(load_settings(variables)), tmp_path / "bridge.log"
    with bridge(variables, log):
        wait_for(lambda: BridgeState.WAITING in [each.state for each in engine.bridges.heartbeats().values()], SECONDS)
        wait_for(lambda: reason in log.read_text(), SECONDS)
    assert WRONG_PASSWORD not in log.read_text()
    assert PASSWORD not in log.read_text()
    engine.redis.close()


def test_tls_below_1_2_is_refused(own: dict[str, str], tmp_path: Path) -> None:
    """Even on a machine whose OpenSSL allows it."""
    authority = Authority(tmp_path / "authority")
    weak = tmp_path / "openssl.cnf"
    weak.write_text(
        "openssl_conf = all\n[all]\nssl_conf = each\n[each]\nsystem_default = weak\n"
        "[weak]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n"
    )
    with old_server(authority) as (port, spoken):
        variables = {
            "OPENSSL_CONF": str(weak),
            "MASTERY_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
            "MASTERY_KAFKA_SECURITY_PROTOCOL": "SSL",
            "MASTERY_KAFKA_CA_FILE": authority.file,
        }
        refused = mastery("topics", "create", variables=own | variables)
    assert "Error: kafka is unavailable: " in refused.stderr
    assert "handshake failure" in refused.stderr
    assert spoken == ["TLSv1.1"]  # the previous version
