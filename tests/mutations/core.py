"""Wrong rules of the foundations: keys, trees, settings and their ranges, jaxprs, stop reasons."""

from tests.mutations.mutant import Mutant, mutants

MUTANTS: list[Mutant] = [
    *mutants(
        "core/disk",
        (
            "(files.rename_new if new else files.rename)(temporary, path)",
            'path.write_bytes(b"".join(pieces))',
        ),
        ("data = data[written:]", "data = data[WRITE_BYTES:]"),
        ("    if not stat.S_ISREG(status.st_mode):\n        os.close", "    if False:\n        os.close"),
        ("(files.rename_new if new else files.rename)", "files.rename"),
        tests=("core", "run/checkpoint", "run/folder"),
    ),
    *mutants(
        "core/keys",
        ("divmod(seed % 2**64, 2**32)", "divmod(seed % 2**32, 2**32)"),
        ("np.array([seed % 2**64, (epoch << 8) + ORDER]", "np.array([seed % 2**64, ORDER]"),
        ("np.array([seed % 2**64, (epoch << 8) + ORDER]", "np.array([0, (epoch << 8) + ORDER]"),
        ("return jax.random.fold_in(key, purpose)", "return key"),
        ("% np.uint64(count)).astype(np.int32)", "% np.uint64(count - 1)).astype(np.int32)"),
        ("ORDER = 2\n", "ORDER = 7\n"),
        ("MODEL = 1\n", "MODEL = 0\n"),
        ("INITIALISATION = 0\n", "INITIALISATION = 6\n"),
        ('impl="threefry2x32"', 'impl="rbg"'),
    ),
    *mutants(
        "core/tree",
        ("{0: OTHER, 1: BIAS, 2: MATRIX}", "{0: OTHER, 1: MATRIX, 2: MATRIX}"),
        (
            "if isinstance(owner, _NORMS):\n        return SCALE",
            "if isinstance(owner, _NORMS):\n        return BIAS",
        ),
        (
            "if isinstance(owner, eqx.nn.Embedding):\n        return EMBEDDING",
            "if False:\n        return EMBEDDING",
        ),
        ("if isinstance(defined, dict) and field in defined:", "if False:"),
        ("sum(int(np.prod(leaf.shape)) for leaf", "sum(len(leaf.shape) for leaf"),
        ("jnp.stack(leaves), *trees", "jnp.stack(leaves[::-1]), *trees"),
    ),
    *mutants(
        "core/choice",
        ('value > facts["low"] if facts.get("open_low") else value >= facts["low"]', 'value >= facts["low"]'),
        ('value > facts["low"] if facts.get("open_low") else value >= facts["low"]', 'value > facts["low"]'),
        (
            'value < facts["high"] if facts.get("open_high") else value <= facts["high"]',
            'value <= facts["high"]',
        ),
        (
            'value < facts["high"] if facts.get("open_high") else value <= facts["high"]',
            'value < facts["high"]',
        ),
        ("or not (whole or np.isfinite(value)):", "or False:"),
        (
            "isinstance(value, int if whole else float) or isinstance(value, bool)",
            "isinstance(value, int if whole else float)",
        ),
        (
            "if isinstance(value, (float, np.floating, np.integer)) and float(value).is_integer():",
            "if isinstance(value, (float, np.floating, np.integer)):",
        ),
        (
            'is_off = isinstance(value, str) and value == "off" and field.metadata.get("optional")',
            "is_off = False",
        ),
        ("for item in value:\n            _check_number(who, field, item)", "pass"),
        ("_check_known(cls, settings, None)", "pass"),
        ("if not isabstract(kind)}", "}"),
        ('{"name": value.name} | value.to_dict()', "value.to_dict()"),
    ),
    *mutants(
        "core/jaxprs",
        ("used.insert(0, equation)", "used.append(equation)"),
        ("reached.update(equation.outvars)", "pass"),
        ("needed.update(variables_read([equation]))", "pass"),
        ("yield from walk(inner.eqns)", "pass"),
    ),
    *mutants(
        "core/stop_reason",
        (
            'HALVED = "halved", Facts("frozen", "Frozen by successive halving", cut_short=True)',
            'HALVED = "halved", Facts("frozen", "Frozen by successive halving")',
        ),
        (
            'PATIENCE = "patience", Facts("stopped early", "Stopped early", setting=True)',
            'PATIENCE = "patience", Facts("stopped early", "Stopped early", setting=True, at_rest=True)',
        ),
        (
            '"Ran to its planned end", planned=True, at_rest=True)\n    STEPS',
            '"Ran to its planned end", planned=True)\n    STEPS',
        ),
        ('in_program=True, level="bad", exit_code=EXIT_FAILED', 'in_program=True, level="bad"'),
        ("if reason.facts.setting)", "if reason.facts.planned)"),
        tests=("core/test_stop_reason.py", "run/session/test_select_weights.py"),
    ),
    *mutants(
        "core/caller",
        ("return flag if value else f\"--no-{flag.removeprefix('--')}\"", "return flag"),
        ("shlex.quote(str(item))", "str(item)"),
        (
            'if not at_command_line():\n        return f"{name}={value!r}"',
            'if at_command_line():\n        return f"{name}={value!r}"',
        ),
        tests=("core/test_caller.py",),
        words="test",
    ),
    *mutants(
        "core/errors",
        ("if self.got is not None:", "if self.got:"),
        ("n=1, cutoff=0.5", "n=1, cutoff=0.9"),
        ("name.lower(), by_lower", "name, by_lower"),
        ('text[: limit - 3] + "..."', "text[-limit:]"),
        tests=("core/test_errors.py",),
    ),
    *mutants(
        "core/arguments",
        ("isinstance(value, numbers) and not isinstance(value, bool)", "isinstance(value, numbers)"),
        ("if isinstance(value, (str, bytes, Mapping)):\n        return False", "pass"),
        ("all(_is(item, items[0]) for item in value) if items else True", "True"),
        ("return any(_is(value, each) for each in items)", "return all(_is(value, each) for each in items)"),
        tests=("test_arguments.py",),
    ),
    *mutants(
        "core/compiler",
        ('CPU_OPTIONS: Options = {FUSIONS: ""}', "CPU_OPTIONS: Options = {}"),
        ("if wrong := wrong_share(accepted):", "if (wrong := wrong_share(accepted)) > 0.5:"),
        ("if _numbers(version) < _numbers(OLDEST):", "if False:"),
        ("return {}\n    with _CHECK", "return CPU_OPTIONS\n    with _CHECK"),
        tests=("core/test_compiler.py",),
        words="test",
    ),
]
