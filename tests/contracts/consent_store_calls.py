"""The calls of the store of consent records: a part of ``store_calls.py``."""

from app.bootstrap import Engine
from app.consent.consent import Consent, Decision
from app.purposes import Purpose
from tests.conftest import NOW
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call


def consent_calls(engine: Engine) -> dict[str, Call]:
    consents, names = engine.consents, iter(range(1_000))
    new = [Decision(Purpose.COHORT_STATISTICS.value, given=False, at=1, role="student", who="x")]
    consents.replace("t", STUDENT, Consent(), new)
    return {
        "consents.read": Call(READS, lambda: consents.read("t", STUDENT)),
        "consents.replace": Call(GROWS, lambda: consents.replace("t", f"new-{next(names)}", Consent(), new)),
        "consents.allowing": Call(READS, lambda: consents.allowing("t", [STUDENT, "s-2"], Purpose.COHORT_STATISTICS)),
        "consents.statistics_basis": Call(READS, lambda: consents.statistics_basis("t")),
        "consents.keep": Call(WRITES, lambda: consents.keep("t", {STUDENT: True, "s-2": False}, NOW)),
        "consents.erase": Call(WRITES, lambda: consents.erase("t", ["s-2", "s-3"])),
    }
