"""The roles of callers. ``app/security/access.py`` decides what each may do; the settings refer to them by name."""

from enum import StrEnum


class Role(StrEnum):
    """The role of a token's bearer."""

    STUDENT = "student"
    TEACHER = "teacher"
    ADMIN = "admin"
    SERVICE = "service"
