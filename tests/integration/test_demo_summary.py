"""What the demo prints at its end: how to ask the engine."""

import io

import jwt
from rich.console import Console

from api.examples import COHORT
from app.bootstrap import Engine
from app.mastery.evidence import ACTIVITY
from cli.demo.classroom import EXAMPLE
from cli.demo.summary import print_how_to_call
from cli.stack.running_stack import RunningStack
from tests.classrooms import TODAY, enrol, seesaw

STACK = RunningStack(1, "http://127.0.0.1:8005", "http://127.0.0.1:5555", "", "", "", "")


def how_to_call(engine: Engine) -> str:
    """The text that is printed."""
    written = io.StringIO()
    print_how_to_call(engine, STACK, Console(file=written))
    return written.getvalue()


def test_the_query_is_that_of_the_documentation(engine: Engine) -> None:
    """The token is of the tenant of the documentation's examples, if the student of these exists; else any student's."""
    assert how_to_call(engine) == ""
    enrol(engine, "python-101", 1, seesaw, tenant="hilltop")
    assert '{"student_id": "python-101-0"}' in how_to_call(engine)
    tenant, student = EXAMPLE
    active = bytes(8), TODAY, ACTIVITY, 0, 0, TODAY * 86_400_000_000, bytes(16), COHORT
    engine.mastery.facts.merge(tenant, {student: [active]}, TODAY)
    printed = how_to_call(engine)
    assert f'{{"student_id": "{student}"}}' in printed
    token = printed.partition("TOKEN=")[2].split()[0]
    assert jwt.decode(token, options={"verify_signature": False})["tenant"] == tenant
