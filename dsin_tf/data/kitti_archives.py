"""Unpacking KITTI's two multi-view archives, as downloaded, into the folder that the lists expect.

    data_scene_flow_multiview.zip      KITTI 2015
    data_stereo_flow_multiview.zip     KITTI 2012

The archives hold training/ and testing/ at their top, or inside a folder of the archive's name; either way the
files come to stand in DATA_DIR/ARCHIVE/{training,testing}/. Only the colour images are taken. Every file's
checksum is verified before it appears under its name, so an unpacking that was stopped is simply done again and
goes on where it was.
"""

import dataclasses
import os
import re
import shutil
import zipfile
import zlib
from pathlib import Path

from dsin_tf import files
from dsin_tf.data.sources import DataError

ARCHIVES = ("data_scene_flow_multiview", "data_stereo_flow_multiview")

_IMAGE = re.compile(
    r"(?:(?P<archive>[^/]+)/)?(?P<rest>(?:training|testing)/(?:image_2|image_3|colored_0|colored_1)/\d{6}_\d{2}\.png)"
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What unpacking an archive would do.

    Attributes:
      path: the archive.
      members: (name inside, target path, size in bytes) of every image that is still to be unpacked.
      present: how many images are there already, in their right size.
    """

    path: Path
    members: tuple
    present: int

    @property
    def size_bytes(self):
        """What the images that are still to be unpacked take on disk."""
        return sum(size for _, _, size in self.members)


def plan(path, data_dir):
    """Reads an archive's table of contents and judges it; unpacks nothing.

    Args:
      path: one of the two official .zip files.
      data_dir: the folder that is to hold both data sets.

    Returns:
      A `Plan`.

    Raises:
      DataError: no such file, not a .zip, cut off, encrypted, not one of the two archives, or with names that
        point out of the folder.
    """
    path = Path(path)
    with _open(path) as archive:
        entries = archive.infolist()
    for entry in entries:
        name = entry.orig_filename
        if name.startswith("/") or "\\" in name or ":" in name or "\0" in name or ".." in name.split("/"):
            raise DataError(
                f"{path}: holds the name {name!r}, which points out of the folder; an archive of KITTI has no such "
                "names. Nothing was unpacked; download it again from the owners' site."
            )
    images = [(entry, match) for entry in entries for match in [_IMAGE.fullmatch(entry.filename)] if match]
    if not images:
        raise DataError(
            f"{path}: holds no training/image_2 or training/colored_0 and the like; the colour images of "
            f"{' or '.join(f'{name}.zip' for name in ARCHIVES)} were expected."
        )
    if any(entry.flag_bits & 1 for entry, _ in images):
        raise DataError(f"{path}: is encrypted; KITTI's archives are not. Download it again from the owners' site.")
    folder = Path(data_dir) / _archive_name(path, {match["archive"] for _, match in images})
    targets = {entry.filename: (entry, folder / match["rest"]) for entry, match in images}
    todo = tuple(
        (name, target, entry.file_size)
        for name, (entry, target) in sorted(targets.items())
        if not (target.is_file() and target.stat().st_size == entry.file_size)
    )
    return Plan(path, todo, len(targets) - len(todo))


def check_space(plans, data_dir):
    """Raises files.OutputError when the disk has no room for what the plans would unpack."""
    needed = sum(p.size_bytes + 4096 * len(p.members) for p in plans)  # 4096: the rest of each file's last block
    place = Path(data_dir).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise files.OutputError(
            f"{data_dir}: {needed / 2**30:.1f} GiB are to be unpacked and {free / 2**30:.1f} GiB are free. "
            "Nothing was unpacked; make room or choose another data_dir."
        )


def unpack(a_plan, advance=lambda: None):
    """Unpacks what a plan says, each file wholly or not at all.

    Args:
      a_plan: from `plan`.
      advance: called after each file.

    Returns:
      A list of (name inside the archive, what is wrong with it) of images whose bytes are damaged; these
      were left out.

    Raises:
      files.OutputError: a file could not be written, for example because the disk is full.
    """
    damaged = []
    with _open(a_plan.path) as archive:
        for name, target, _ in a_plan.members:
            try:
                # Reading a member to its end compares the checksum; a mismatch raises before the file gets its name.
                with files.replacing(target) as part, open(part, "wb") as output:
                    for block in _blocks(archive, name):
                        output.write(block)
            except _Damaged as error:
                damaged.append((name, str(error)))
            advance()
    return damaged


class _Damaged(Exception):
    """A member's bytes are not what the archive says they are."""


def _blocks(archive, name):
    """Yields a member's bytes in blocks; trouble with reading them is told apart from trouble with writing."""
    try:
        with archive.open(name) as member:
            while True:
                block = member.read(2**20)
                if not block:
                    return
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _Damaged(str(error) or "cut off") from error


def _archive_name(path, inside):
    """Which of the two archives it is: by its top folder, else by the file's name."""
    for name in (*sorted(filter(None, inside)), path.stem):
        for archive in ARCHIVES:
            if name.startswith(archive):
                return archive
    raise DataError(
        f"{path}: neither its name nor its top folder says which archive it is; "
        f"{' or '.join(f'{name}.zip' for name in ARCHIVES)} was expected. Give it its official name again."
    )


def _open(path):
    if os.path.isdir(path):
        raise DataError(f"{path}: is a directory, a .zip file was expected. Unpacked data needs no --zip.")
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist; a .zip file was expected. Check the spelling.") from error
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path}: is not a whole .zip file ({error}). The download was probably cut off; resume or repeat it."
        ) from error
