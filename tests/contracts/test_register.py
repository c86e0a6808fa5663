"""The register of personal data agrees with the keys, the stores and the documentation."""

from collections import Counter
from pathlib import Path

from app.bootstrap import Engine
from app.config.settings import Settings
from app.privacy.register import REGISTER, PersonalData
from app.storage.key_kinds import CATALOGUE
from app.storage.keys import Keys
from tasks.privacy import stores_of_students

PRIVACY = Path(__file__).parents[2] / "docs" / "privacy.md"
# Other ways of erasing than a call of a store by the erasure's task.
BY_ITSELF = {"facts", "students at risk", "events in flight"}
NOT_ERASED = {
    "published changes",
    "events of the platform",
    "stored answers",
    "rate limits",
    "revocations",
    "erasures",
    "audit trail",
}


def test_every_kind_of_personal_key_is_registered_once() -> None:
    """And no kind that is not personal."""
    registered = Counter(key for data in REGISTER.values() for key in data.keys)
    personal = {name for name, kind in CATALOGUE.items() if kind.is_personal}
    assert registered == Counter(personal | {"celery"})


def test_every_topic_is_registered() -> None:
    """Each setting that names a topic."""
    registered = {topic for data in REGISTER.values() for topic in data.topics}
    assert registered == {name for name in vars(Settings()) if name.endswith("_topic")}


def test_an_erasure_has_every_store(engine: Engine) -> None:
    """Each entry is erased by a call of a store of this name, or in another way that is known here."""
    assert set(stores_of_students(engine).others) == REGISTER.keys() - BY_ITSELF - NOT_ERASED


def test_the_document_has_the_register() -> None:
    """In its words and order."""
    assert table("## The register") == [row(name, data) for name, data in REGISTER.items()]


def test_an_export_has_every_kind(engine: Engine) -> None:
    """Each entry is exported, or says why not; nothing is exported that is not registered."""
    registered = [kind for data in REGISTER.values() for kind in data.kinds]
    assert Counter(registered) == Counter(engine.exported_data.keys())
    without = [data.export for data in REGISTER.values() if not data.kinds]
    assert [export for export in without if not export.startswith("nothing: ")] == []


def test_the_document_has_what_is_exported(engine: Engine) -> None:
    """Each kind of data with its columns, in their words."""
    exported = {name: export("t", "s") for name, export in sorted(engine.exported_data.items())}
    columns = {
        name: "; ".join(f"`{column}`: {told}" for column, told in each.columns.items()) for name, each in exported.items()
    }
    told = [f"| {name} | {each.description} | {columns[name]} |" for name, each in exported.items()]
    assert table("## Exporting a student") == told


def table(heading: str) -> list[str]:
    """The rows of the first table below a heading."""
    _, _, below = PRIVACY.read_text().partition(f"\n{heading}\n")
    _, _, rows = below.partition("|---|\n")
    return rows.partition("\n\n")[0].strip().split("\n")


def row(name: str, data: PersonalData) -> str:
    """The row of the table."""
    patterns = dict(zip(CATALOGUE, Keys.patterns("mastery"), strict=True)) | {"celery": "mastery:celery:…"}
    places = [patterns[key] for key in data.keys] + [getattr(Settings(), topic) for topic in data.topics]
    cells = [name, data.holds, " ".join(f"`{place}`" for place in places), *data[1:6]]
    return f"| {' | '.join(cells)} |"
