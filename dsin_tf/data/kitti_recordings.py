"""Which recording ("drive") each KITTI scene was cut from, and splits that keep recordings apart.

KITTI's scenes are moments of longer drives. Two scenes of one drive can show the same street a second
apart, in some the car stands still; and the published lists use the very same scenes for validation and
for test. Whoever wants to know how a model does on streets it has not seen needs parts that share no
drive. That is what `clean_pairs` gives.

Sources of the table. KITTI 2015, training: the mapping of KITTI's own development kit (`train_mapping.txt`),
which leaves 58 of its 200 scenes blank. KITTI 2012: KITTI publishes no mapping; the authors of UnFlow
(Meister, Hur and Roth, AAAI 2018) searched all raw recordings for the images and found 89 training and 66
testing scenes; their lists are `files/kitti_excludes` of github.com/simonmeister/UnFlow. For KITTI 2015,
testing, nothing is known.

The other 492 scenes are in no part of the clean split. Their recordings were never released, or were
not found; either way nobody can show that such a scene is not from a drive that is tested on, and one that
is would undo the split without a sign.
"""

# Drive -> scenes of KITTI 2015 training, KITTI 2012 training, KITTI 2012 testing.
_DRIVES = {
    "2011_09_26_drive_0005": ("2-3", "", ""),
    "2011_09_26_drive_0009": ("7-12", "", ""),
    "2011_09_26_drive_0011": ("13-17", "", ""),
    "2011_09_26_drive_0013": ("18-21", "", ""),
    "2011_09_26_drive_0014": ("22-33", "", ""),
    "2011_09_26_drive_0015": ("34-42", "", ""),
    "2011_09_26_drive_0017": ("43-46", "", ""),
    "2011_09_26_drive_0018": ("47-53", "", ""),
    "2011_09_26_drive_0019": ("54-56", "", ""),
    "2011_09_26_drive_0022": ("57-59", "23 33 46 88 106", "81 85 124 126 153"),
    "2011_09_26_drive_0023": ("", "44", "97"),
    "2011_09_26_drive_0027": ("60-61", "", ""),
    "2011_09_26_drive_0028": ("62-69", "", ""),
    "2011_09_26_drive_0029": ("70-71", "", ""),
    "2011_09_26_drive_0032": ("72-81", "", ""),
    "2011_09_26_drive_0035": ("", "69 138", ""),
    "2011_09_26_drive_0036": ("83-84", "", ""),
    "2011_09_26_drive_0039": ("", "51 75 131 134 166", "75 119"),
    "2011_09_26_drive_0046": ("85-86", "", ""),
    "2011_09_26_drive_0051": ("88-98", "", ""),
    "2011_09_26_drive_0056": ("105-111", "", ""),
    "2011_09_26_drive_0057": ("112-117", "", ""),
    "2011_09_26_drive_0059": ("118-127", "", ""),
    "2011_09_26_drive_0061": ("", "43 109 124 126", "64 150 151"),
    "2011_09_26_drive_0064": ("", "6 55 119 129 163", "2 135"),
    "2011_09_26_drive_0070": ("128-129", "", ""),
    "2011_09_26_drive_0079": ("", "", "123"),
    "2011_09_26_drive_0084": ("130-132", "", ""),
    "2011_09_26_drive_0086": ("", "34 71 90", "56 144"),
    "2011_09_26_drive_0087": ("", "94 122 160 176", "159 190"),
    "2011_09_26_drive_0093": ("", "39", "163"),
    "2011_09_26_drive_0096": ("141-143", "", ""),
    "2011_09_26_drive_0101": ("144-148", "", ""),
    "2011_09_26_drive_0104": ("149-150", "", ""),
    "2011_09_28_drive_0002": ("155", "", ""),
    "2011_09_29_drive_0004": ("157-164", "", ""),
    "2011_09_29_drive_0071": ("168-169", "", ""),
    "2011_09_30_drive_0018": (
        "",
        "5 14 24 35 53 54 73 127 130 142 152 153 159 173 174 182 187 192",
        "12 35 99 145 192",
    ),
    "2011_09_30_drive_0020": ("", "22 66 128 144 162", "178"),
    "2011_09_30_drive_0027": ("", "21 41 80 136", "118 164 170 189"),
    "2011_09_30_drive_0028": (
        "",
        "11 19 57 86 118 120 139 140 141 164 191",
        "1 22 26 32 38 48 51 59 61 67 100 110 120 125 131 148 161 185",
    ),
    "2011_09_30_drive_0033": ("", "10 38 101 114 154 158", "14 49 63 66 72 82 132 156"),
    "2011_09_30_drive_0034": ("", "0 157", "37 171"),
    "2011_10_03_drive_0027": (
        "",
        "56 79 102 104 105 110 133 135 147 155 156 165 185",
        "16 57 83 102 117 130 149 169 187",
    ),
    "2011_10_03_drive_0047": ("199", "", ""),
}

_FOLDERS = (
    "data_scene_flow_multiview/training",
    "data_stereo_flow_multiview/training",
    "data_stereo_flow_multiview/testing",
)

# The 17 drives that the small images at 128x256 were made from; all their 2015 scenes are there.
_SMALL_DRIVES = (9, 11, 13, 14, 15, 17, 18, 27, 28, 32, 51, 56, 57, 59, 84, 96, 101)


def recordings():
    """Drive name -> tuple of (folder, scene number), for every scene whose drive is known; sorted by name."""
    return {
        drive: tuple((folder, scene) for folder, text in zip(_FOLDERS, columns) for scene in _numbers(text))
        for drive, columns in sorted(_DRIVES.items())
    }


def clean_drives(split):
    """The drives of a part of the clean split: of every five, by name, one is test, the next val, three train.

    27, 9 and 9 drives with 194, 40 and 63 scenes.
    """
    place = {"test": (0,), "val": (1,), "train": (2, 3, 4)}[split]
    return tuple(drive for k, drive in enumerate(sorted(_DRIVES)) if k % 5 in place)


def clean_pairs(split):
    """Pairs (x, y) of the clean split, as lines of a list: left to right, then right to left.

    Frames as in the published lists' training and test parts: 10 and 11 for train, 10 for val and test.
    776, 80 and 126 pairs.
    """
    by_drive = recordings()
    scenes = sorted(scene for drive in clean_drives(split) for scene in by_drive[drive])
    frames = (10, 11) if split == "train" else (10,)
    return [
        (f"{folder}/{x}/{scene:06d}_{frame:02d}.png", f"{folder}/{y}/{scene:06d}_{frame:02d}.png")
        for x, y in (("image_2", "image_3"), ("image_3", "image_2"))
        for folder, scene in scenes
        for frame in frames
    ]


def small_pairs(split, both_directions=False):
    """Pairs of the small images: every fourth of 17 drives, by name, is test (34 pairs), the others train (78)."""
    pairs = []
    for k, number in enumerate(_SMALL_DRIVES):
        if (k % 4 == 0) == (split == "test"):
            scenes = _numbers(_DRIVES[f"2011_09_26_drive_{number:04d}"][0])
            pairs += [(f"image_2/{scene:06d}_10.png", f"image_3/{scene:06d}_10.png") for scene in scenes]
    return pairs + [(y, x) for x, y in pairs] if both_directions else pairs


def _numbers(text):
    """'7-9 12' -> [7, 8, 9, 12]."""
    found = []
    for word in text.split():
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
