"""Shapes of detected objects from adaptive moments, by GalSim's HSM."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.errors import require
from data_prep.mini_balrog.detect import Detections

__all__ = ["adaptive_ellipticity"]

# Half the side of an object's stamp: in its semi-major axes, and at least, pixels.
_STAMP_AXES, _LEAST_STAMP = 8.0, 16


def adaptive_ellipticity(found: Detections, rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Ellipticity of the elliptical Gaussian that fits each object best on the combined image.

    Adaptive moments (Hirata & Seljak 2003, doi:10.1046/j.1365-8711.2003.06683.x), as HSC and Rubin
    measure them: the weight is the Gaussian itself, so that the shape does not depend on which
    pixels lie above a threshold. Pixels of other objects are left out.

    Parameters
    ----------
    found : Detections
        From :func:`~data_prep.mini_balrog.detect.detect`.
    rows : int array, shape (N,)
        Which objects.
    mask : bool array, shape (size, size)
        Pixels without data.

    Returns
    -------
    float64 array, shape (2, N)
        g1 and g2, with |g| = (a - b) / (a + b); not corrected for the PSF. Those of the isophotal
        moments where the fit fails (8 in 1,000, faint ones).
    """
    galsim = require("galsim", "sim")
    a, b, theta = (getattr(found, name)[rows] for name in ("a", "b", "theta"))
    shapes: np.ndarray = (a - b) / (a + b) * np.stack([np.cos(2 * theta), np.sin(2 * theta)])
    for number, row in enumerate(rows):
        try:
            fitted = _fit(galsim, found, int(row), mask).observed_shape
        except galsim.GalSimHSMError:
            # No convergence, or no pixel with data.
            continue
        shapes[:, number] = fitted.g1, fitted.g2
    return shapes


def _fit(galsim: Any, found: Detections, row: int, mask: np.ndarray) -> Any:
    x, y, a, b = (float(getattr(found, name)[row]) for name in ("x", "y", "a", "b"))
    half = max(_LEAST_STAMP, round(_STAMP_AXES * a))
    left, low = (max(round(centre) - half, 0) for centre in (x, y))
    stamp = np.s_[low : round(y) + half + 1, left : round(x) + half + 1]
    segments = found.segments[stamp]
    unusable = mask[stamp] | ((segments != 0) & (segments != row + 1))
    corner = {"xmin": left, "ymin": low}
    return galsim.hsm.FindAdaptiveMom(
        galsim.ImageF(np.ascontiguousarray(found.combined[stamp]), **corner),
        badpix=galsim.ImageI(unusable.astype(np.int32), **corner),
        guess_sig=max(1.0, float(np.sqrt(a * b))),
        guess_centroid=galsim.PositionD(x, y),
    )
