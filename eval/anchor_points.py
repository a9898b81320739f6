"""What a classical codec does on one image at given rates, and on a data set: operating points, means, a table."""

import statistics

from eval import metrics, rd_results, tables

# A file that gives back every sample has infinite PSNR, which JSON cannot hold and no mean survives.
PSNR_CAP_DB = 100.0

# What `measure` gives, the second row with `colour`.
METRICS = (
    *("psnr-rgb", "ms-ssim-rgb", "ms-ssim-dsin"),
    *("mse", "psnr-y", "ssim", "cmssim", "lab-difference", "lab-difference-00", "lab-mae", "rgb-angle"),
)


def ms_ssim_window(image):
    """The window of MS-SSIM that an image is large enough for: 11, else 7 (NDIC's), else None."""
    return next((w for w, side in metrics.MS_SSIM_SIDES.items() if min(image.shape[:2]) >= side), None)


def measure(image, decoded, window, colour=False):
    """The metrics of one decoded image.

    Args:
      image: the original, `uint8 [H, W, 3]`.
      decoded: the same shape.
      window: of MS-SSIM, the same for a whole data set; None leaves MS-SSIM out, and so does an image too small.
      colour: whether brightness and colours are also measured apart. CMSSIM is left out where MS-SSIM has no window 11.

    Returns:
      {column of `METRICS`: value}.

    Raises:
      images.ImageError: with `colour`, a side is below the 11 pixels that SSIM needs.
    """
    values = {"psnr-rgb": min(metrics.psnr(image, decoded), PSNR_CAP_DB)}
    fits = window and min(image.shape[:2]) >= metrics.MS_SSIM_SIDES[window]
    if fits:
        values["ms-ssim-rgb"] = metrics.ms_ssim(image, decoded, window=window)
    values["ms-ssim-dsin"] = metrics.ms_ssim_dsin(image, decoded)
    if colour:
        values.update(_brightness_and_colours(image, decoded))
        if fits and window == 11:
            values["cmssim"] = metrics.cmssim(image, decoded)
    return values


def _brightness_and_colours(image, decoded):
    return {
        "mse": metrics.mse(image, decoded),
        "psnr-y": min(metrics.psnr_y(image, decoded), PSNR_CAP_DB),
        "ssim": metrics.ssim(image, decoded),
        "lab-difference": metrics.lab_difference(image, decoded),
        "lab-difference-00": metrics.lab_difference(image, decoded, "00"),
        "lab-mae": metrics.lab_difference(image, decoded, "mae"),
        "rgb-angle": metrics.rgb_angle(image, decoded),
    }


def operating_points(sweep, targets, window, colour=False):
    """One image's points around every target: the last at or under it and the first above it.

    Args:
      sweep: an `anchors.Sweep` of the image.
      targets: rates in bpp.
      window, colour: see `measure`.

    Returns:
      {column: list}, in ascending order of rate, each rate once. "bytes" is what the rate counts, "bytes_written"
      what the decoder gets.
    """
    found = [e for target in targets for e in (sweep.under(target), sweep.over(target)) if e is not None]
    # Of settings that give the same rate the highest stays, which is also what `under` returns.
    by_size = {encoded.size_bytes: encoded for encoded in found}
    rows = []
    for _, encoded in sorted(by_size.items()):
        row = {"bpp": encoded.bpp, **measure(sweep.image, sweep.codec.decode(encoded.data), window, colour)}
        row.update(setting=encoded.setting, bytes=encoded.size_bytes, bytes_written=len(encoded.data))
        rows.append(row)
    return {column: [row[column] for row in rows] for column in rows[0]}


def result(codec, configuration, targets, parts):
    """All images of one codec as an `RDResult`, with means at those targets that every image reaches.

    Args:
      codec: the codec.
      configuration: goes into `meta` as it is; names data set, protocol, versions.
      targets: rates in bpp.
      parts: for each image a dict with name, height, width and either points and floor_bpp, or refused (why).

    Returns:
      The `RDResult`. `meta["unreached"]` counts the images for each target that not all of them reach.
    """
    measured = [part for part in parts if "points" in part]
    refused = {part["name"]: part["refused"] for part in parts if "refused" in part}
    columns = [c for c in ("bpp", *METRICS) if measured and all(c in part["points"] for part in measured)] or ["bpp"]
    rows, unreached = [], {}
    for target in targets:
        reached = [point for point in (_last_under(part["points"], target) for part in measured) if point]
        if len(reached) < len(parts):
            unreached[f"{target:g}"] = {"reached": len(reached), "of": len(parts)}
        else:
            means = {column: statistics.fmean(point[column] for point in reached) for column in columns}
            rows.append({**means, "target_bpp": target, "images": len(reached)})
    meta = {
        **configuration,
        "rate": "file",
        "setting": codec.setting_name,
        "images": len(parts),
        "psnr_cap_db": PSNR_CAP_DB,
        "unreached": unreached,
        **({"refused": refused} if refused else {}),
    }
    images = [
        rd_results.ImagePoints(p["name"], p["height"], p["width"], p["points"], {"floor_bpp": p["floor_bpp"]})
        for p in measured
    ]
    means = {column: [row[column] for row in rows] for column in (*columns, "target_bpp", "images")}
    return rd_results.RDResult(codec.label, codec.description, meta, means, images)


def table(title, codecs, results, targets):
    """Achieved rate and metrics at each target, as measured and not interpolated.

    Args:
      title: names data set and protocol.
      codecs: the rows, in order.
      results: {codec name: `RDResult`}, one at least; a codec without gets a row that says what is missing.
      targets: rates in bpp.

    Returns:
      A `tables.Table`.
    """
    rows = []
    for codec in codecs:
        if codec.name not in results:
            cells = [tables.Cell(None, note=codec.missing), *[tables.Cell(None)] * 3]
            rows.append(tables.Row((codec.label, "all"), tuple(cells)))
            continue
        means, meta = results[codec.name].results, results[codec.name].meta
        for target in targets:
            at = means["target_bpp"].index(target) if target in means["target_bpp"] else None
            reached = meta["unreached"][f"{target:g}"]["reached"] if at is None else meta["images"]
            cells = [
                tables.Cell(None if at is None or column not in means else means[column][at], digits)
                for column, digits in (("bpp", 4), ("psnr-rgb", 2), ("ms-ssim-rgb", 4))
            ]
            rows.append(tables.Row((codec.label, f"{target:g}"), (*cells, tables.Cell(f"{reached}/{meta['images']}"))))
    window = next(iter(results.values())).meta["ms_ssim_window"]
    ms_ssim = f"MS-SSIM with window {window}" if window else "The images are too small for MS-SSIM"
    note = (
        "Means over all images of the best file at or under each target. "
        f"{tables.MISSING} where the lowest rate of some image is above the target; the last column counts those that "
        f"reach it. {ms_ssim}."
    )
    columns = ("bpp", "PSNR (dB)", "MS-SSIM", "images")
    return tables.Table(title, ("codec", "target"), columns, tuple(rows), note)


def _last_under(points, target):
    """The last operating point at or under a rate as {column: value}, or None."""
    under = [at for at, bpp in enumerate(points["bpp"]) if bpp <= target]
    return {column: values[under[-1]] for column, values in points.items()} if under else None
