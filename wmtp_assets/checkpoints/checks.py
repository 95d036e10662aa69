"""The checks of one checkpoint: what its file holds, against the catalog, its records, its source.

Everything is read from the file itself; nothing is taken from a document beside it but what that
document is checked for. All checks of a `StoredCheckpoint` together read the file once; what the
source tells is in `source_comparison.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate, TensorCertificate
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.layout import Config
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.round_trip import round_trip
from wmtp_assets.checkpoints.safetensors_file import Header, read_header, unlike_written
from wmtp_assets.checkpoints.sampling import Comparison, compare_samples, fresh_seed
from wmtp_assets.checkpoints.scan import Scan, scan_file
from wmtp_assets.checkpoints.source_comparison import (
    AGAIN,
    describes_source,
    samples_equal,
    some,
    source_dtypes_stated,
    values_survive,
)
from wmtp_assets.checkpoints.verification import certificate_matches
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding, Outcome, check, lazy
from wmtp_assets.storage import page_cache
from wmtp_assets.storage.digests import read_sha256sums


@dataclass(frozen=True)
class ExpectedCheckpoint:
    """What the catalog and the config say of a checkpoint. `max_bytes` is for micro models.

    `waived` names tensors that may hold the infinities that the cast made of finite values;
    `inherited` names tensors of a slice that may hold the infinities of a waived tensor of its
    base. `source_dtypes` is the dtype that the source states by default, and those that it states
    for tensors by name or pattern (None: not asked, as for a slice).
    """

    layout: str
    config: Config
    dtype: DType
    parameters: int
    tensors: int
    max_bytes: int | None = None
    waived: frozenset[str] = frozenset()
    inherited: frozenset[str] = frozenset()
    source_dtypes: tuple[DType, Mapping[str, DType]] | None = None


class StoredCheckpoint:
    """A folder with model.safetensors and SHA256SUMS, each part of it read when first needed, once.

    `expected`, `certificate` and `plan` (of the conversion or the slice that made it; None where
    the source is gone) are called when a check needs them. `seed` draws the sample that is compared
    with the source; None is a fresh one.
    """

    def __init__(
        self,
        folder: Path,
        expected: Callable[[], ExpectedCheckpoint],
        certificate: Callable[[], Certificate | None],
        plan: Callable[[], Plan | None],
        seed: int | None = None,
    ) -> None:
        self.path = folder / "model.safetensors"
        self.sums = folder / "SHA256SUMS"
        self._expected, self._certificate, self._plan = expected, certificate, plan
        self._seed = seed

    @lazy
    def expected(self) -> ExpectedCheckpoint:
        """What catalog and config say of it."""
        return self._expected()

    @lazy
    def certificate(self) -> Certificate | None:
        """What its conversion certified."""
        return self._certificate()

    @lazy
    def plan(self) -> Plan | None:
        """The conversion that gives it, if its source is there."""
        return self._plan()

    @lazy
    def header(self) -> Header:
        """The file's header. Raises CheckpointError."""
        return read_header(self.path)

    @lazy
    def scan(self) -> Scan:
        """What one pass over all of the file's bytes tells. Raises CheckpointError."""
        # Whoever executes the model needs the file again: from memory where it fits.
        return scan_file(self.header, keep=page_cache.fits(self.header.size))

    @lazy
    def compared(self) -> Comparison:
        """The file's values beside its source's."""
        return compare_samples(
            self.header, self._source(), fresh_seed() if self._seed is None else self._seed
        )

    def _source(self) -> Plan:
        if self.plan is None:
            raise CheckpointError("There is no source to compare with", where=self.path)
        return self.plan

    def _certified(self) -> Certificate:
        if self.certificate is None:
            raise CheckpointError("There is no certificate", where=self.path)
        return self.certificate


def check_checkpoint(
    folder: Path,
    expected: ExpectedCheckpoint,
    certificate: Certificate | None = None,
    plan: Plan | None = None,
    seed: int | None = None,
) -> list[Finding]:
    """All checks of `folder`, which holds model.safetensors and SHA256SUMS.

    With `certificate` its digests are compared too; with `plan` (of the conversion or the slice
    that made it) a sample of every tensor, drawn with `seed` (None: a fresh one), is compared with
    the source. Of a file that cannot be read that is the only finding.
    """
    stored = StoredCheckpoint(folder, lambda: expected, lambda: certificate, lambda: plan, seed)
    readable = safetensors_readable.of(stored)
    if not readable.passed:
        return [readable]
    run = [*HEADER]
    if expected.max_bytes is not None:
        run.append(file_size_within_limit)
    run += [sha256sums_recomputed, finite_values]
    if expected.waived | expected.inherited:
        run.append(overflow_waived)
    if certificate is not None:
        run.append(certificate_matches_target)
    if plan is not None:
        run += [sampled_values_equal_source, values_survive_cast]
        if certificate is not None:
            run.append(certificate_describes_source)
        if expected.source_dtypes is not None:
            run.append(source_dtype_stated)
    return [readable, *(one.of(stored) for one in run)]


@check(
    "The header describes every byte of the file, and contains nothing that the "
    "conversion did not write.",
    quick=True,
)
def safetensors_readable(stored: StoredCheckpoint) -> Outcome:
    expected = "the header that is written for its tensors, which describes every byte of the file"
    try:
        found = stored.header
        wrong = unlike_written(found)
    except (WmtpError, OSError) as error:
        return Outcome(False, expected, str(error), str(stored.path), hint=AGAIN)
    hint = AGAIN if wrong else ""
    return Outcome(not wrong, expected, wrong or "such a header", str(found.path), hint=hint)


@check("Every tensor has the catalog's dtype, by the file's header.", quick=True)
def dtype_of_every_tensor(stored: StoredCheckpoint) -> Outcome:
    header, dtype = stored.header, stored.expected.dtype
    others = [f"{n}: {i.dtype}" for n, i in header.tensors.items() if i.dtype != dtype]
    return Outcome(
        passed=not others,
        expected=str(dtype),
        found=some(others) if others else str(dtype),
        where=str(header.path),
        hint=AGAIN if others else "",
        details={str(dtype): count for dtype, count in header.dtypes.items()},
    )


@check(
    "The file has exactly the tensors that the config demands, in the shapes that it demands.",
    quick=True,
)
def names_and_shapes(stored: StoredCheckpoint) -> Outcome:
    header, expected = stored.header, stored.expected
    found = {name: info.shape for name, info in header.tensors.items()}
    wrong: list[str] = []
    demanded = f"the tensors that the layout {expected.layout} and the config demand"
    try:
        known = layout_named(expected.layout)
        wanted = known.shapes(expected.config)
        demanded = f"the {len(wanted)} tensors that {expected.layout} and the config demand"
        wanted |= {name: known.optional[name] for name in known.optional.keys() & found.keys()}
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found:
                wrong.append(f"{name} is missing")
            elif name not in wanted:
                wrong.append(f"unexpected tensor {name}")
            elif wanted[name] != found[name]:
                wrong.append(f"{name} is {list(found[name])}, not {list(wanted[name])}")
    except CheckpointError as error:
        wrong.append(str(error))
    return Outcome(
        passed=not wrong,
        expected=demanded,
        found=some(wrong) if wrong else "exactly those",
        where=str(header.path),
        hint=AGAIN if wrong else "",
        details={"wrong": wrong[:100]},
    )


@check("The file has as many tensors as the catalog expects.", quick=True)
def tensor_count(stored: StoredCheckpoint) -> Outcome:
    header, expected = stored.header, stored.expected
    return Outcome(
        passed=len(header.tensors) == expected.tensors,
        expected=expected.tensors,
        found=len(header.tensors),
        where=str(header.path),
        hint="Compare the catalog's expected.tensors with the model.",
    )


@check("The file has as many parameters as the catalog expects.", quick=True)
def parameter_count(stored: StoredCheckpoint) -> Outcome:
    header, expected = stored.header, stored.expected
    return Outcome(
        passed=header.parameters == expected.parameters,
        expected=expected.parameters,
        found=header.parameters,
        where=str(header.path),
        hint="Compare the catalog's expected.parameters with the model.",
    )


@check("The file is not larger than the catalog allows.", quick=True)
def file_size_within_limit(stored: StoredCheckpoint) -> Outcome:
    size, limit = stored.header.size, stored.expected.max_bytes
    return Outcome(
        passed=limit is None or size <= limit,
        expected="any size" if limit is None else f"at most {limit:,} bytes",
        found=f"{size:,} bytes",
        where=str(stored.path),
        hint="Ask for fewer layers or a smaller width in the catalog.",
    )


@check("SHA256SUMS agrees with the recomputed digest.")
def sha256sums_recomputed(stored: StoredCheckpoint) -> Outcome:
    name, sha256 = stored.path.name, stored.scan.sha256
    try:
        recorded = read_sha256sums(stored.sums).get(name, "no line for it")
    except (WmtpError, OSError) as error:
        recorded = f"unreadable: {error}"
    return Outcome(
        passed=recorded == sha256,
        expected=recorded,
        found=sha256,
        where=f"{stored.sums} for {name}",
        hint="" if recorded == sha256 else AGAIN,
    )


@check("No value is infinite or NaN.")
def finite_values(stored: StoredCheckpoint) -> Outcome:
    expected, certificate = stored.expected, stored.certificate
    certified = {t.name: t for t in certificate.tensors} if certificate is not None else {}
    bad = [
        f"{name}: {stats.nan} NaN, {stats.inf} infinite"
        for name, stats in stored.scan.nonfinite.items()
        if stats.nan or stats.inf > _allowed(name, stats.inf, certified, expected)
    ]
    waived = expected.waived | expected.inherited
    asked = "no NaN and no infinity" + (f" but in {some(sorted(waived))}" if waived else "")
    return Outcome(
        passed=not bad,
        expected=asked,
        found=some(bad) if bad else asked,
        where=str(stored.path),
        hint="Look at the same tensors at the source (the certificate counts them)." if bad else "",
    )


@check(
    "Reports values that became infinite in tensors for which the catalog accepts it "
    "(waive_overflow).",
    blocking=False,
)
def overflow_waived(stored: StoredCheckpoint) -> Outcome:
    allowed = stored.expected.waived | stored.expected.inherited
    infinite = {
        name: stats.inf
        for name, stats in stored.scan.nonfinite.items()
        if stats.inf and name in allowed
    }
    found = some([f"{name}: {count:,} infinite" for name, count in infinite.items()])
    return Outcome(
        passed=not infinite,
        expected="no infinity, though the catalog waives them (waive_overflow)",
        found=f"{found}; logits, scores and gradients need not be finite"
        if infinite
        else "no infinity",
        where=str(stored.path),
        hint="nothing needs to be done if this is meant; else state a wider dtype in the catalog."
        if infinite
        else "",
        details={"infinite": infinite},
    )


@check("Every tensor has the digest that the certificate states.")
def certificate_matches_target(stored: StoredCheckpoint) -> Finding:
    return certificate_matches(stored._certified(), stored.header, stored.scan)


@check(
    "Values from every tensor, drawn at random, equal the source's after the stated cast, bit "
    "for bit."
)
def sampled_values_equal_source(stored: StoredCheckpoint) -> Outcome:
    return samples_equal(stored.header, stored._source(), stored.compared)


@check(
    "No tensor with nonzero values at the source became all zeros; values that became "
    "zero are counted."
)
def values_survive_cast(stored: StoredCheckpoint) -> Outcome:
    return values_survive(stored.header, stored._source(), stored.scan, stored.certificate)


@check("What the certificate says about the source agrees with the source and the catalog.")
def certificate_describes_source(stored: StoredCheckpoint) -> Outcome:
    return describes_source(stored.header, stored._source(), stored._certified(), stored.compared)


@check("Every tensor that was converted has the catalog's source_dtype.")
def source_dtype_stated(stored: StoredCheckpoint) -> Outcome:
    stated = stored.expected.source_dtypes
    if stated is None:
        raise CheckpointError("The catalog states no source_dtype", where=stored.path)
    return source_dtypes_stated(stored._source(), *stated)


@check(
    "Every tensor is the same, bit for bit, after the safetensors library loads, "
    "saves and loads it again; of a large tensor, the first rows are compared.",
    blocking=False,
)
def safetensors_round_trip(stored: StoredCheckpoint) -> Outcome:
    tensors, different = round_trip(stored.path)
    missing = sorted(stored.header.tensors.keys() ^ set(tensors))
    wrong = [*different, *(f"{name}: loaded by one reader only" for name in missing)]
    expected = "every tensor the same after loading, saving and loading"
    return Outcome(
        passed=not wrong,
        expected=expected,
        found=some(wrong) if wrong else expected,
        where=str(stored.path),
        hint=AGAIN if wrong else "",
        details={"tensors": len(tensors)},
    )


HEADER = (dtype_of_every_tensor, names_and_shapes, tensor_count, parameter_count)


def _allowed(
    name: str,
    found: int,
    certified: Mapping[str, TensorCertificate],
    expected: ExpectedCheckpoint,
) -> int:
    """How many infinities a tensor may hold: of a waived one, those that the cast made."""
    if name in expected.inherited:
        return found
    if name not in expected.waived:
        return 0
    return certified[name].overflow if name in certified else found
