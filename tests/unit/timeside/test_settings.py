"""`timeside settings check`: wrong values are named with their rule, and not shown."""

from pathlib import Path

from timeside.cli.settings import reasons

RIGHT = {"TIMESIDE_DATABASE_URL": "postgresql://x", "TIMESIDE_SECRET": "s" * 32}


def test_right_settings_and_what_is_none_of_ours_pass():
    assert reasons({**RIGHT, "TIMESIDE_LEASE_S": "45", "TIMESIDE_LANES": "bulk", "PATH": "/bin"}) == []


def test_wrong_values_are_named_once_with_their_rule():
    assert reasons({**RIGHT, "TIMESIDE_LEASE_S": "soon", "TIMESIDE_CHILDREN": "0"}) == [
        "TIMESIDE_LEASE_S: Input should be a valid number, unable to parse string as a number",
        "TIMESIDE_CHILDREN: Input should be greater than or equal to 1",
    ]


def test_unknown_names_are_told_what_they_may_have_been_meant_for():
    found = reasons({**RIGHT, "TIMESIDE_CREDIT": "3", "TIMESIDE_Q_FILE": "x"})
    assert found == [
        "TIMESIDE_CREDIT: is no setting; did you mean TIMESIDE_CREDITS?",
        "TIMESIDE_Q_FILE: is no setting",
    ]


def test_secrets_are_missed_but_never_shown(tmp_path: Path):
    short = tmp_path / "secret"
    short.write_text("hunter2")
    found = reasons({"TIMESIDE_SECRET_FILE": str(short)})
    assert found == [
        "TIMESIDE_DATABASE_URL: Field required",
        "TIMESIDE_SECRET: Value error, must have 32 characters or more",
    ]
