"""Addresses of rules, causes, gaps and errors on the documentation site."""

import re

from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import RULE_DOCS
from wscheck.model.errors import ERROR_IDS
from wscheck.model.gaps import Gap

SITE = "https://wscheck.github.io/wscheck/"

_ID = re.compile("[a-z-]+")


def rule_address(rule: str) -> str | None:
    """Return the URL of a rule, None for an id that no rule has, such as that of a threshold."""
    return f"{SITE}rules/#{rule}" if rule in RULE_DOCS else None


def cause_address(cause: str) -> str | None:
    """Return the URL of a cause, None for an unknown id."""
    return f"{SITE}causes/#{cause}" if cause in CATALOGUE else None


def gap_address(gap: Gap) -> str | None:
    """Return the URL at which a gap of this kind is explained. A gap can also stand for the error that ended the run.

    Return None if the gap's id contains characters that no id of wscheck contains, as in a report from another source.
    """
    page = "errors" if gap.id in ERROR_IDS else "gaps"
    return f"{SITE}{page}/#{gap.id}" if _ID.fullmatch(gap.id) else None
