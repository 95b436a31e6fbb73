"""What earlier runs left: tables that are done, and inputs that failed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from emoscan.batch.identity import Fingerprint, Making
from emoscan.batch.manifest import MANIFEST, Entry, Manifest, State, latest, read_manifests
from emoscan.errors import MediaError, OutputError, UsageError
from emoscan.media.find import counted
from emoscan.options import RunOptions
from emoscan.timeline.read import read_metadata
from emoscan.timeline.schema import metadata_path


class History:
    """The tables and manifests of one place; a batch's folder, or None for a single table."""

    def __init__(self, folder: Path | None, run: RunOptions, making: Making) -> None:
        self._folder, self._run, self._making = folder, run, making
        self._manifest = Manifest(folder / _manifest_name(run)) if folder else None
        known = latest(read_manifests(folder)) if folder and run.resume else {}
        self._ended = known
        self._failed = {
            source: entry
            for source, entry in known.items()
            # Of other errors the machine may be to blame, and the next run may do without them.
            if entry.state is State.FAILED and entry.error_class == MediaError.__name__
        }

    def held(self, out: Path, input_: Fingerprint) -> dict[str, Any] | None:
        """As `fitting`, but None too for a table that is to be done again."""
        metadata = self.fitting(out, input_)
        again = metadata and self._run.retry_failed and damage_of(metadata)
        return None if again else metadata

    def fitting(self, out: Path, input_: Fingerprint) -> dict[str, Any] | None:
        """The metadata of this table if it is there, made of this input in this way, else None.

        The table itself is asked: a manifest may lack its last line. Raises OutputError where
        something else lies there.
        """
        if not self._run.resume or not out.exists():
            return None
        try:
            metadata = read_metadata(out)
        except UsageError as error:
            raise OutputError(
                f"{error} It is not replaced: move it away, or use --overwrite."
            ) from error
        return metadata if self._fits(metadata, input_) else None

    def knows(self, source: str) -> bool:
        """Whether the manifest says that an input is done."""
        entry = self._ended.get(source)
        return entry is not None and entry.state in (State.DONE, State.DONE_WITH_DAMAGE)

    def failure(self, source: str, input_: Fingerprint) -> str | None:
        """Why an unchanged input failed before, None if it did not or is to be tried again."""
        entry = self._failed.get(source)
        if entry is None or self._run.retry_failed:
            return None
        before = Fingerprint.from_dict(entry.fingerprint)
        same = self._making == Making(
            entry.options_sha256, entry.model_sha256, entry.schema_version
        )
        return entry.error if same and self._is_same(input_, before) else None

    def note(self, entry: Entry) -> None:
        """Take note of an attempt. Raises OutputError."""
        if self._manifest:
            self._manifest.add(entry)

    def begin(self, inputs: Sequence[str]) -> None:
        """Take note of a run with these inputs. Raises OutputError."""
        if self._manifest:
            self._manifest.begin(inputs)

    def sweep_partial(self, out: Path, input_: Fingerprint) -> None:
        """Remove what an interrupted run kept of a table that is there now."""
        for kept in out.parent.glob(f"{_escaped(out.stem)}.partial*{out.suffix}"):
            with suppress(UsageError, OSError):
                if self._fits(read_metadata(kept), input_):
                    kept.unlink()
                    metadata_path(kept).unlink(missing_ok=True)

    def _fits(self, metadata: Mapping[str, Any], input_: Fingerprint) -> bool:
        made_of = Fingerprint.from_dict(metadata.get("input"))
        return self._making.of_metadata(metadata) and self._is_same(input_, made_of)

    def _is_same(self, input_: Fingerprint, before: Fingerprint | None) -> bool:
        if before and self._run.verify and before.whole_sha256 is None:
            return False  # what was never read to its end cannot be compared
        return input_.fits(before)


def damage_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """What was wrong with the input of a table, in sentences."""
    media = metadata.get("media")
    if not isinstance(media, dict):
        return ()
    photos = media.get("photos_unreadable")
    if isinstance(photos, int) and photos:
        return (f"{counted(photos, 'photo')} could not be read: their rows say so.",)
    damage = media.get("damage")
    return tuple(map(str, damage)) if isinstance(damage, list) else ()


def _manifest_name(run: RunOptions) -> str:
    """A manifest a shard, so that no two runs write into one."""
    stem, suffix = MANIFEST.split(".")
    return f"{stem}.{run.shard.number}-of-{run.shard.of}.{suffix}" if run.shard else MANIFEST


def _escaped(name: str) -> str:
    """For `glob`: its special characters mean themselves."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
