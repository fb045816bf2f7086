"""What was tried for goals that are not reached, by `Goal.key`; shown under the table."""

TRIED: dict[str, str] = {}
