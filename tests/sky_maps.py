"""Skies, positions and map files for the tests of maps, with healpy as the judge."""

import gzip

import fitsio
import healpy
import healsparse
import numpy as np

NSIDE = 128
LAYOUTS = ("full", "full.gz", "partial", "partial.gz", "healsparse", "parquet")


def make_sky(nside=NSIDE, dtype=np.float32, seed=2):
    """Noise with every seventh pixel missing."""
    values = np.random.default_rng(seed).normal(5, 1, 12 * nside**2).astype(dtype)
    values[::7] = healpy.UNSEEN
    return values


def make_positions(nside=NSIDE, count=5000, seed=1):
    """Random positions, poles, both sides of RA 0, and corners and edges of pixels."""
    rng = np.random.default_rng(seed)
    ra = np.append(rng.uniform(0, 360, count), [0.0, 0.0, 123.0, np.nextafter(360, 0), 360 - 1e-9])
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    dec = np.append(dec, [90.0, -90.0, 41.8103149, 0.0, -30.0])
    pixels = rng.integers(0, 12 * nside**2, 300)
    vectors = healpy.boundaries(nside, pixels, step=2, nest=True).transpose(0, 2, 1).reshape(-1, 3)
    edge_ra, edge_dec = healpy.vec2ang(vectors, lonlat=True)
    edge_ra = np.where(edge_ra % 360 == 360, 0.0, edge_ra % 360)
    return np.append(ra, edge_ra), np.append(dec, np.clip(edge_dec, -90, 90))


def value_at(sky, ra, dec, nest):
    """Value by healpy's pixels from the whole sky; missing as NaN."""
    found = sky[healpy.ang2pix(healpy.npix2nside(sky.size), ra, dec, nest=nest, lonlat=True)]
    return np.where(found < -1.6e30, np.nan, found).astype(np.float32)


def write_sky(path, sky, layout, nest):
    """Write a sky in one of LAYOUTS; HealSparse ones are NESTED."""
    if layout in ("healsparse", "parquet"):
        good = np.flatnonzero(sky > -1.6e30)
        nside = healpy.npix2nside(sky.size)
        sparse = healsparse.HealSparseMap.make_empty(min(nside, 8), nside, sky.dtype)
        sparse.update_values_pix(good, sky[good])
        path = path.with_name(path.name + {"healsparse": ".hsp", "parquet": ".parquet"}[layout])
        sparse.write(str(path), format="parquet" if layout == "parquet" else "fits")
        return path
    path = path.with_name(path.name + ".fits" + layout.removeprefix("full").removeprefix("partial"))
    partial = layout.startswith("partial")
    healpy.write_map(path, sky, nest=nest, partial=partial, dtype=sky.dtype, overwrite=True)
    return path


def write_table(path, columns, *, drop=(), gzipped=False, **header):
    """Write a table with the header of a NESTED map; `header` adds, `drop` leaves out."""
    keywords = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "NSIDE": NSIDE, **header}
    keywords = {key: value for key, value in keywords.items() if key not in drop}
    fitsio.write(path, list(columns.values()), names=list(columns), header=keywords, clobber=True)
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path
