"""The roles of callers. What each may do is decided in ``app/security/access.py``; the settings know them by name."""

from enum import StrEnum


class Role(StrEnum):
    """What a token's bearer is."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN = "admin"
    SERVICE = "service"
