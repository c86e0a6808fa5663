"""The calls of the stores of the audit trail and of erasures, and those of exports: a part of ``store_calls.py``."""

from app.audit.chain import Head
from app.bootstrap import Engine
from app.privacy.erasure import Part
from tests.contracts.audit_trails import query
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call


def audit_calls(engine: Engine) -> dict[str, Call]:
    trails = engine.audit
    trails.append("t", *(query(who=STUDENT) for _ in range(3)))

    def trim() -> None:
        record_id, fields = next(trails.oldest_first("t"))
        sealed, anchor = trails.chain("t").open(fields), trails.ends("t").anchor
        assert sealed is not None
        assert anchor is not None
        trails.append("t", query())  # so that the next call finds one too
        trails.trim("t", anchor.removed, sealed.head, record_id)

    return {
        "audit.append": Call(WRITES, lambda: trails.append("t", query(who=STUDENT))),
        "audit.append to a new trail": Call(WRITES, lambda: trails.append("u", query(who=STUDENT))),
        "audit.trails": Call(READS, trails.trails),
        "audit.ends": Call(READS, lambda: trails.ends("t")),
        "audit.oldest_first": Call(READS, lambda: next(trails.oldest_first("t"))),
        "audit.newest_first": Call(READS, lambda: trails.newest_first("t", "", 1)),
        "audit.trim": Call(WRITES, lambda: trails.trim("t", Head(), Head(1, b"x" * 32), "1-0")),
        "audit.append and trim": Call(WRITES, trim),
        "audit.last_summary": Call(READS, lambda: trails.last_summary("t")),
        "audit.keep_summary": Call(GROWS, lambda: trails.keep_summary("t", "x")),
    }


def export_calls(engine: Engine) -> dict[str, Call]:
    facts, batches, consents = engine.fact_export, engine.batch_export, engine.consents
    return {
        "fact_export.days": Call(READS, lambda: list(facts.days("t", STUDENT).rows())),
        "fact_export.standing": Call(READS, lambda: list(facts.standing("t", STUDENT).rows())),
        "batch_export.results": Call(READS, lambda: list(batches.results("t", STUDENT).rows())),
        "forecast_records.export": Call(READS, lambda: list(engine.forecast_records.export("t", STUDENT).rows())),
        "consents.export": Call(READS, lambda: list(consents.export("t", STUDENT).rows())),
    }


def privacy_calls(engine: Engine) -> dict[str, Call]:
    erasures, numbers = engine.erasures, iter(range(1_000))
    pseudonym = engine.audit.pseudonym("t", STUDENT)
    (running,) = erasures.accept("t", {pseudonym: STUDENT})
    to_finish = [erasures.accept("t", {f"{number:024x}": STUDENT})[0] for number in range(20)]
    return {
        "erasures.accept": Call(WRITES, lambda: erasures.accept("t", {f"f{next(numbers):023x}": STUDENT})),
        "erasures.read": Call(READS, lambda: erasures.read("t", [pseudonym])),
        "erasures.next": Call(GROWS, lambda: erasures.next("t", 10**17)),
        "erasures.count": Call(GROWS, lambda: erasures.count("t", running, "facts", 1)),
        "erasures.has": Call(READS, lambda: erasures.has("t", running, Part.DROPPED)),
        "erasures.note": Call(GROWS, lambda: erasures.note("t", running, Part.DROPPED)),
        "erasures.close": Call(WRITES, lambda: erasures.close("t", erasures.read("t", [pseudonym]))),
        "erasures.sync": Call(WRITES, lambda: erasures.sync("t")),
        "erasures.finish": Call(WRITES, lambda: erasures.finish("t", to_finish.pop())),
        "erasures.running": Call(READS, lambda: erasures.running(["t"])),
        "erasures.touch": Call(WRITES, lambda: erasures.touch("t")),
        "erasures.forget": Call(READS, lambda: erasures.forget("t", 0)),
        "student_keys.students": Call(READS, lambda: list(engine.student_keys.students("t"))),
        "erasures.claim_overdue": Call(GROWS, lambda: erasures.claim_overdue(0, 1)),
        "batch_erasure.drop": Call(GROWS, lambda: engine.batch_erasure.drop("t-2")),
        "batch_erasure.erase": Call(GROWS, lambda: engine.batch_erasure.erase("t", ["s-29"])),
    }
