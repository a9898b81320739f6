"""How the ground looks: asphalt with its markings and scars, kerbs, pavements, grass."""

import numpy as np

from dsin_tf.data.street import textures
from dsin_tf.data.street.layout import Cover
from dsin_tf.data.street.looks import Look, chosen, mixed, scaled
from dsin_tf.data.street.noise import hash_unit

_F = np.float32
_PAINT = 0.60
_UP = (_F(0), _F(1), _F(0))
_KERB_FACES = (_F(0), _F(0.35), _F(-0.7))  # a kerb shows its top edge and looks towards the camera


def road(spec, x, z, foot_x, foot_z):
    """`Look` of the road's level: asphalt, and beyond a road without kerbs what grows there.

    Args:
      spec: `Road`.
      x, z: places, metres.
      foot_x, foot_z: extent of a pixel, metres.
    """
    d = _across(spec, x, z)
    look = _asphalt(spec, d, x, z, foot_x, foot_z)
    for verge, sign in ((spec.left, -1), (spec.right, 1)):
        beyond = d * _F(sign) - _F(verge.edge)
        if verge.raised:
            continue
        # The edge of the asphalt is ragged.
        ragged = textures.mineral().at(x * _F(0.5), z * _F(0.5), foot_x, foot_z, "blotch")
        out = np.flatnonzero(beyond + (ragged - _F(0.5)) * _F(0.25) > 0)
        if len(out):
            other = _bands(verge, spec, beyond[out], x[out], z[out], foot_x[out], foot_z[out])
            for mine, theirs in zip(look.color, other):
                mine[out] = theirs
    return look


def pavement(spec, x, z, foot_x, foot_z):
    """`Look` of the ground behind the kerbs; arguments as for `road`."""
    d = _across(spec, x, z)
    color = [np.zeros_like(x) for _ in range(3)]
    for verge, sign in ((spec.left, -1), (spec.right, 1)):
        side = np.flatnonzero(d * _F(sign) > 0)
        if len(side):
            beyond = d[side] * _F(sign) - _F(verge.edge)
            part = _bands(verge, spec, beyond, x[side], z[side], foot_x[side], foot_z[side])
            stone = beyond < _F(0.15)
            part = chosen(part, _kerbstone(z[side], beyond, foot_z[side]), stone)
            for whole, piece in zip(color, part):
                whole[side] = piece
    return Look(color, _UP, bias=0.12)


def kerb(spec, along, up, foot):
    """`Look` of the upright face of kerbs, at metres along the road and up."""
    return Look(_kerbstone(along, up, foot), _KERB_FACES, open=0.6, bias=0.1)


def _across(spec, x, z):
    return x - _F(spec.bend / 2) * z * z


def _kerbstone(along, other, foot):
    grain, blotch = textures.mineral().at(along, other, foot, foot, "grain", "blotch")
    tone = _F(0.22) + _F(0.12) * grain + _F(0.1) * blotch
    joint = along - np.floor(along) < _F(0.025)
    tone = np.where(joint, tone * _F(0.4), tone)
    return [tone, tone * _F(0.98), tone * _F(0.94)]


def _bands(verge, spec, beyond, x, z, foot_x, foot_z):
    """Colours of the bands of one side."""
    color = [np.zeros_like(x) for _ in range(3)]
    begin = _F(-10)
    for k, (width, cover) in enumerate(verge.bands):
        end = _F(1e9) if k == len(verge.bands) - 1 else max(begin, _F(0)) + _F(width)
        inside = np.flatnonzero((beyond > begin) & (beyond <= end))
        begin = end
        if not len(inside):
            continue
        places = (x[inside], z[inside], foot_x[inside], foot_z[inside])
        for whole, part in zip(color, _COVERS[cover](spec, *places)):
            whole[inside] = part
    return color


def _paving(spec, x, z, foot_x, foot_z):
    block, tone, grain = textures.paving().at(x, z, foot_x, foot_z, "block", "tone", "grain")
    stain = textures.mineral().at(x * _F(0.15), z * _F(0.15), foot_x * _F(0.15), foot_z * _F(0.15), "blotch")
    light = (_F(0.16) + _F(0.10) * tone + _F(0.12) * grain) * (_F(0.45) + _F(0.55) * block)
    light = light * (_F(0.75) + _F(0.5) * stain)
    return [light * _F(1.05), light, light * _F(0.93)]


def _grass(spec, x, z, foot_x, foot_z):
    tone, hue = textures.grass().at(x, z, foot_x, foot_z, "tone", "hue")
    dry, bare = textures.mineral().at(
        x * _F(0.06), z * _F(0.06) + _F(spec.seed), foot_x * _F(0.06), foot_z * _F(0.06), "blotch", "mottle"
    )
    light = _F(0.12) + _F(2.3) * tone
    green = [light * _F(0.12), light * _F(0.16), light * _F(0.045)]
    straw = [light * _F(0.22), light * _F(0.20), light * _F(0.09)]
    color = mixed(green, straw, np.clip(dry * _F(1.6) - _F(0.6) + (hue - _F(0.5)) * _F(0.6), 0, 1))
    earth = [light * _F(0.15), light * _F(0.12), light * _F(0.08)]
    return mixed(color, earth, np.clip((bare - _F(0.58)) * 4, 0, 1))


def _gravel(spec, x, z, foot_x, foot_z):
    grain, mottle, blotch = textures.mineral().at(x * _F(0.6), z * _F(0.6), foot_x, foot_z, "grain", "mottle", "blotch")
    light = _F(0.03) + _F(0.26) * grain * (_F(0.5) + mottle)
    grassy = _grass(spec, x, z, foot_x, foot_z)
    return mixed([light, light * _F(0.94), light * _F(0.84)], grassy, np.clip((blotch - _F(0.45)) * 6, 0, 1))


def _tarmac(spec, x, z, foot_x, foot_z):
    light = _stone(spec, x + 40, z, foot_x, foot_z)[0] * _F(0.9)
    return [light, light * _F(0.99), light * _F(0.97)]


def _meadow(spec, x, z, foot_x, foot_z):
    near = _grass(spec, x, z, foot_x, foot_z)
    large = textures.mineral().at(x * _F(0.02), z * _F(0.02), foot_x * _F(0.02), foot_z * _F(0.02), "blotch")
    return mixed(near, scaled(near, 0.5), np.clip(large * _F(1.5) - _F(0.4), 0, 1))


_COVERS = {
    Cover.PAVING: _paving,
    Cover.GRASS: _grass,
    Cover.GRAVEL: _gravel,
    Cover.TARMAC: _tarmac,
    Cover.MEADOW: _meadow,
}


def _stone(spec, x, z, foot_x, foot_z):
    """Asphalt, stones in bitumen: (albedo, stains 0 to 1)."""
    grain, mottle = textures.mineral().at(x, z, foot_x, foot_z, "grain", "mottle")
    coarse = textures.mineral().at(x * _F(0.37) + _F(1.9), z * _F(0.37), foot_x * _F(0.37), foot_z * _F(0.37), "grain")
    large = textures.mineral().at(x * _F(0.13), z * _F(0.09), foot_x * _F(0.13), foot_z * _F(0.09), "blotch")
    stones = grain + _F(0.25) * mottle + _F(0.7) * coarse - _F(0.05)
    return _F(spec.tone) * stones * (_F(0.6) + _F(0.8) * large), large


def _asphalt(spec, d, x, z, foot_x, foot_z):
    light, stain = _stone(spec, x, z, foot_x, foot_z)
    wear = _F(spec.wear)
    lane = _F(spec.lane)
    # Tyres polish two tracks in each lane, oil darkens its middle.
    place = d / lane + _F(0.5)
    place = (place - np.floor(place)) - _F(0.5)
    track = np.abs(np.abs(place) * lane - _F(0.75))
    light = light * (1 + _F(0.16) * np.clip(1 - track * _F(2.2), 0, 1))
    light = light * (1 - _F(0.14) * np.clip(1 - np.abs(place) * lane * _F(2), 0, 1))

    # Patches: rectangles of newer asphalt with a dark seam, on a coarse raster.
    row = np.floor(z * _F(1 / 11))
    dice, width, middle, length = (_of_row(spec.seed + k, row) for k in range(4))
    width = _F(0.5) + _F(1.6) * width
    middle = (middle - _F(0.5)) * lane * _F(spec.lanes_left + spec.lanes_right + 1)
    length = _F(0.15) + _F(0.3) * length
    past_end = (length - np.abs(z * _F(1 / 11) - row - _F(0.5))) * _F(11)
    inside = np.minimum(width * _F(0.5) - np.abs(d - middle), past_end)
    patched = (dice < wear * _F(0.7)) & (inside > 0)
    light = np.where(patched, light * (_F(0.55) + _F(0.5) * dice), light)
    light = np.where((dice < wear * _F(0.7)) & (np.abs(inside) < _F(0.04)), light * _F(0.45), light)

    # Cracks, and joints between the strips that were laid at a time, filled with tar.
    crack = textures.mineral().at(d * _F(0.35), z * _F(0.35), foot_x * _F(0.35), foot_z * _F(0.35), "crack")
    light = light * (1 - crack * wear * _F(0.75))
    joint = np.abs(d + lane * _F(0.5) - _F(0.12) + (stain - _F(0.5)) * _F(0.12))
    light = np.where((joint < _F(0.035)) & (wear > _F(0.35)), light * _F(0.5), light)
    # Manhole covers.
    row = np.floor(z * _F(1 / 17))
    across, along, dice = (_of_row(spec.seed + k, row) for k in range(4, 7))
    across = (across - _F(0.5)) * lane * _F(1.8)
    along = (row + _F(0.2) + _F(0.6) * along) * _F(17)
    r2 = np.square(d - across) + np.square(z - along)
    lid = (r2 < _F(0.1)) & (dice < _F(0.6))
    light = np.where(lid, np.where(r2 < _F(0.075), _F(0.09), _F(0.03)), light)

    painted = np.flatnonzero(_marked(spec, d, z))
    paint, cover = _paint(spec, *(part[painted] for part in (x, z, foot_x, foot_z)))
    light[painted] += (paint - light[painted]) * cover
    return Look([light, light * _F(0.985), light * _F(0.955)], _UP, bias=0.12)


def _of_row(key, row):
    """A random number of [0, 1) for each of the stretches that the road is divided into."""
    table = hash_unit(key, np.arange(64))
    return table[row.astype(np.intp) & 63]


def _marked(spec, d, z):
    """Where there are lines, stop lines and zebra stripes."""
    lane = _F(spec.lane)
    length, period = (_F(m) for m in spec.dash)
    phase = z / period
    dash = (phase - np.floor(phase)) * period < length

    def line(at, width=0.06):
        return np.abs(d - _F(at)) < _F(width)

    mark = line(-spec.lane / 2) & (dash | spec.solid)
    for k in range(1, spec.lanes_left):
        mark |= line(-spec.lane * (k + 0.5)) & dash
    for k in range(1, spec.lanes_right + 1):
        mark |= line(spec.lane * (k - 0.5)) & dash
    if spec.edge_lines:
        mark |= line(-spec.lane * (spec.lanes_left + 0.5) + 0.1) | line(spec.lane * (spec.lanes_right + 0.5) - 0.1)
    if spec.crossing is not None:
        zone = np.abs(z - _F(spec.crossing)) < _F(1.6)
        stripe = d * _F(1.0) - np.floor(d * _F(1.0)) < _F(0.5)
        stop = (np.abs(z - _F(spec.crossing - 3.2)) < _F(0.2)) & (d > -lane * _F(0.5))
        on_road = (d > _F(-spec.left.edge + 0.3)) & (d < _F(spec.right.edge - 0.3))
        mark = np.where(zone, stripe & on_road, mark | (stop & on_road))
    return mark


def _paint(spec, x, z, foot_x, foot_z):
    """Road paint: (albedo, how much of the asphalt it still covers)."""
    mottle, grain = textures.mineral().at(x * _F(0.7), z * _F(0.7) + 3, foot_x, foot_z, "mottle", "grain")
    cover = np.clip(_F(1.35) - _F(spec.wear) * (_F(0.5) + mottle), _F(0.2), 1)
    return _F(_PAINT) * (_F(0.75) + _F(0.35) * grain), cover
