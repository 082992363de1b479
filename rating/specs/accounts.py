"""A file of account numbers: which number each role of the journal has in somebody's chart of accounts."""

from __future__ import annotations

import yaml

from rating.core.journal import Accounts, Role
from rating.errors import Finding, SpecError
from rating.specs.nearest import or_one_of


def accounts(text: str, name: str) -> Accounts:
    """Compile `role: number` lines; a role may be followed by what it is about, `revenue/pro: "4010"`.

    Raises:
        SpecError: with every mistake.
    """
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError((Finding(name, f"is not YAML: {error}", 'write `receivable: "1400"`, a line each'),)) from error
    if read is None:
        return Accounts()
    if not isinstance(read, dict):
        raise SpecError((Finding(name, "is not a list of accounts", 'write `receivable: "1400"`, a line each'),))
    roles = [role.value for role in Role]
    findings = []
    for key, number in read.items():
        role = str(key).partition("/")[0]
        if role not in roles:
            findings.append(Finding(f"{name}: {key}", f'there is no role "{role}"', or_one_of(role, roles)))
        if not isinstance(number, str | int) or isinstance(number, bool) or not str(number).strip():
            findings.append(Finding(f"{name}: {key}", f"{number!r} is not an account", "write it in quotes"))
    if findings:
        raise SpecError(tuple(findings))
    return Accounts({str(key): str(number) for key, number in read.items()})
