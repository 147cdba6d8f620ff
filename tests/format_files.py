"""One set of injections written in the exact file formats of several surveys.

Formats, units, sentinels and traps as in the catalogues of DES Y3 (SOF and metacal), DES Y6 and
Rubin source injection. Nothing here uses data_prep: files are written with fitsio, h5py, pyarrow,
healpy and healsparse, so that what is read back is compared with an independent truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fitsio
import h5py
import healpy
import healsparse
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from format_world import NSIDE, ZERO_POINT, World
from table_files import write_group

LABEL = "mini-Balrog: simulated images, realistic maps"
GRIZ = "griz"
NJY_PER_FLUX = 10 ** (0.4 * (31.4 - ZERO_POINT))
DECAM_PIXEL_ARCSEC, LSST_PIXEL_ARCSEC = 0.263, 0.2
# What each survey writes where a measurement failed, in the r band of World.bad rows.
SENTINELS = {
    "des-y3-sof": (37.5, 9.999e9, -9.999e9, -9999.0, np.nan),
    "des-y3-metacal": (9.999e9, -9.999e9, -9999.0, np.nan),
    "des-y6": (-9.999e9, np.nan, np.inf),
    "lsst-ssi": (np.nan, np.inf),
}


def write_format(preset: str, world: World, directory: Path) -> dict[str, Path]:
    """Write the files of one survey; returns the settings of prepare that name them.

    Parameters
    ----------
    preset : str
        A shipped preset.
    world : World
        What the files hold.
    directory : pathlib.Path
        New directory to write into.

    Returns
    -------
    dict of str to path
        ``catalog``, ``maps`` and, where the format has them, ``detection`` and ``deep``.
    """
    (directory / "maps").mkdir(parents=True)
    return _WRITERS[preset](world, directory) | {"maps": directory / "maps"}


def with_sentinels(values: np.ndarray, world: World, preset: str) -> np.ndarray:
    """Copy of values of every injection, the `bad` rows replaced by the survey's sentinels."""
    values = values.copy()
    values[world.bad] = np.resize(SENTINELS[preset], world.bad.size)
    return values


def _write_sof(world: World, directory: Path) -> dict[str, Path]:
    """DES Y3 SOF: two FITS tables joined on bal_id; fluxes clipped at 0.001 as magnitudes."""
    _write_y3_maps(world, directory / "maps")
    mag = ZERO_POINT - 2.5 * np.log10(np.maximum(world.flux, 0.001))
    mag[:, 1] = with_sentinels(mag[:, 1], world, "des-y3-sof")
    # Clipped and failed magnitudes are sentinels in both columns: nobody dereddens those.
    measured = world.flux > 0.001
    measured[world.bad, 1] = False
    rows = _shuffled(world.detected)
    matched = _y3_truth(world) | {
        "true_bdf_mag_deredden": world.truth_mag,
        "meas_cm_mag": mag.astype(np.float32),
        "meas_cm_mag_deredden": np.where(measured, mag - world.extinction, mag).astype(np.float32),
    }
    return {
        "catalog": _write_fits(directory / "balrog_matched_catalog_sof.fits", matched, rows),
        "detection": _write_y3_detection(world, directory),
    }


def _write_metacal(world: World, directory: Path) -> dict[str, Path]:
    """DES Y3 metacal: HDF5 groups, a variance in flux_err, truth in the deep-field table."""
    _write_y3_maps(world, directory / "maps")
    _write_dust_map(world, directory / "maps")
    rows = _shuffled(world.detected, seed=3)
    flux = world.flux.copy()
    flux[:, 1] = with_sentinels(flux[:, 1], world, "des-y3-metacal")
    columns = {"ra": world.ra + 1e-6, "dec": world.dec - 1e-6}
    for index, band in enumerate("riz", start=1):
        columns[f"flux_{band}"] = flux[:, index]
        columns[f"flux_err_{band}"] = world.flux_error[:, index] ** 2
    size = len(world.row_id)
    signal = np.linspace(12, 900, size).astype(np.float32)
    # The signal-to-noise of a failed fit has a sentinel of its own.
    signal[world.bad[0]] = -7070.36
    columns |= {
        "snr": signal,
        "size_ratio": np.full(size, 1.2, np.float32),
        "T": np.full(size, 0.4, np.float32),
        "e_1": np.full(size, 0.1, np.float32),
        "e_2": np.full(size, -0.1, np.float32),
        "flags": np.zeros(size, np.int32),
        "weight": np.full(size, 20.0, np.float32),
        "bal_id": world.row_id,
        "coadd_object_id": world.row_id - 10**13,
    }
    path = directory / "balrog_mcal_stack-y3v02-0-riz-noNB-mcal_test.h5"
    with h5py.File(path, "w") as file:
        file.attrs["label"] = LABEL
        for group, part in (("unsheared", rows), ("sheared_1p", rows[::2])):
            write_group(file.create_group(f"catalog/{group}"), _rows_of(columns, part))
    ids, mag = world.parents()
    deep = {"ID": ids}
    for index, band in enumerate("GRIZ"):
        deep[f"BDF_FLUX_DERED_CALIB_{band}"] = 10 ** (
            0.4 * (ZERO_POINT - mag[:, index].astype(float))
        )
        deep[f"BDF_MAG_DERED_CALIB_{band}"] = mag[:, index]
    deep["BDF_T"] = np.full(ids.size, 0.3, np.float32)
    everyone = np.arange(ids.size)[::-1]
    pd.DataFrame({name: values[everyone] for name, values in deep.items()}).to_pickle(
        directory / "deep_ugriz.test.pkl"
    )
    return {
        "catalog": path,
        "detection": _write_y3_detection(world, directory),
        "deep": _write_fits(directory / "deep_ugriz.test.fits", deep, everyone),
    }


def _write_y6(world: World, directory: Path) -> dict[str, Path]:
    """DES Y6: two HDF5 files, the second the first masked by detected, no key in common."""
    _write_dust_map(world, directory / "maps")
    for band in "riz":
        name = directory / "maps" / f"y6a2_decasu_{band}"
        _write_healsparse(f"{name}_fwhm_wmean.hs", world, f"fwhm_{band}", 1 / DECAM_PIXEL_ARCSEC)
        _write_healsparse(f"{name}_skyvar_uncertainty.hs", world, f"sky_noise_{band}")
    everyone = np.arange(len(world.row_id))
    dereddened = world.truth_mag.astype(np.float64)
    injected = {
        "id": world.parent_id,
        "ra": world.ra,
        "dec": world.dec,
        "bdf_mag": (dereddened + 0.2).astype(np.float32),
        "bdf_mag_deredden": world.truth_mag,
        "bdf_T": np.full(everyone.size, 0.3, np.float32),
        "weight_scheme": world.weight,
        "in_VHS_footprint": np.ones(everyone.size, bool),
        "detected_0.5arcsec_match_radius": world.detected,
    }
    flux = world.flux.copy()
    flux[:, 1] = with_sentinels(flux[:, 1], world, "des-y6")
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = np.where(flux > 0, ZERO_POINT - 2.5 * np.log10(flux), 37.5)
    on_foreground = np.isin(everyone, world.flagged)
    measured = {
        "meas_id": world.row_id,
        "meas_ra": world.ra + 1e-6,
        "meas_dec": world.dec - 1e-6,
        "meas_bdf_mag": mag.astype(np.float32),
        "meas_bdf_flux": flux,
        "meas_bdf_flux_err": world.flux_error,
        "ext_mags": world.extinction.astype(np.float32),
        "meas_bdf_T": np.full(everyone.size, 0.3, np.float32),
        "meas_flags": np.zeros(everyone.size, np.int32),
        "meas_bdf_flags": np.zeros(everyone.size, np.int32),
        "meas_FLAGS_FOREGROUND": on_foreground.astype(np.int32),
        "meas_BALROG_FLAG_BLEND": np.zeros(everyone.size, np.int32),
    }
    paths = {
        "catalog": directory / "fiducial_matched_measured_sof.hdf5",
        "detection": directory / "fiducial_injected_sof.hdf5",
    }
    for path, columns, rows in (
        (paths["catalog"], measured, np.flatnonzero(world.detected)),
        (paths["detection"], injected, everyone),
    ):
        with h5py.File(path, "w") as file:
            file.attrs["label"] = LABEL
            write_group(file, _rows_of(columns, rows))
    return paths


def _write_ssi(world: World, directory: Path) -> dict[str, Path]:
    """Rubin source injection: one Parquet table of every injection, NaN where undetected."""
    for band in "riz":
        name = directory / "maps" / band / "deepCoadd"
        name.parent.mkdir()
        mean = "consolidated_map_weighted_mean.hsp"
        scale = 1 / (LSST_PIXEL_ARCSEC * 2.355)
        _write_healsparse(f"{name}_psf_size_{mean}", world, f"fwhm_{band}", scale)
        _write_healsparse(f"{name}_sky_noise_{mean}", world, f"sky_noise_{band}")
    size = len(world.row_id)
    missing = ~world.detected
    columns = {
        "ref_injected_id": world.parent_id,
        "ref_ra": world.ra,
        "ref_dec": world.dec,
        "ref_injection_flag": np.isin(np.arange(size), world.flagged).astype(np.int32),
        "ref_injected_isPrimary": np.ones(size, bool),
        "refExtendedness": np.where(missing, np.nan, 1.0),
        "match_distance": np.where(missing, np.nan, 0.1),
        "patch": np.arange(size) % 100,
    }
    nanojansky = world.flux.astype(np.float64) * NJY_PER_FLUX
    nanojansky[:, 1] = with_sentinels(nanojansky[:, 1], world, "lsst-ssi")
    for index, band in enumerate(GRIZ):
        apparent = world.truth_mag[:, index] + world.extinction[:, index]
        columns[f"ref_{band}_flux"] = 10 ** (0.4 * (31.4 - apparent))
        columns[f"{band}_sersicFlux"] = np.where(missing, np.nan, nanojansky[:, index])
        error = world.flux_error[:, index] * NJY_PER_FLUX
        columns[f"{band}_sersicFluxErr"] = np.where(missing, np.nan, error)
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays["objectId"] = pa.array(world.row_id, mask=missing)
    path = directory / "matched_injected.parquet"
    pq.write_table(pa.table(arrays).replace_schema_metadata({"label": LABEL}), path)
    return {"catalog": path}


def _y3_truth(world: World) -> dict[str, np.ndarray]:
    return {
        "bal_id": world.row_id,
        "true_id": world.parent_id,
        "true_ra": world.ra,
        "true_dec": world.dec,
    }


def _write_y3_detection(world: World, directory: Path) -> Path:
    size, missing = len(world.row_id), ~world.detected
    columns = _y3_truth(world) | {
        "detected": world.detected.astype(np.int16),
        "meas_id": np.where(missing, -1, world.row_id - 10**13),
        "true_bdf_mag_deredden": world.truth_mag,
        "flags_foreground": np.isin(np.arange(size), world.flagged).astype(np.int32),
        "flags_badregions": np.zeros(size, np.int32),
        "flags_footprint": np.ones(size, np.int32),
        "meas_FLAGS_GOLD_SOF_ONLY": np.where(missing, -9999, 0).astype(np.int32),
        "meas_EXTENDED_CLASS_SOF": np.where(missing, -9999, 3).astype(np.int32),
        "match_flag_1.5_asec": np.zeros(size, np.int32),
    }
    path = directory / "balrog_detection_catalog_sof_y3-merged_v1.2.fits"
    return _write_fits(path, columns, np.arange(size))


def _write_y3_maps(world: World, directory: Path) -> None:
    """Partial tables PIXEL, SIGNAL, gzipped, NESTED."""
    for column, values in world.survey.items():
        name, band = column.rsplit("_", 1)
        title = {"fwhm": "FWHM.WMEAN", "sky_noise": "SKYVAR.UNCERTAINTY"}[name]
        sky = np.full(healpy.nside2npix(NSIDE), healpy.UNSEEN, np.float32)
        sky[world.pixels] = values
        path = directory / f"y3a2_{band}_o.4096_t.32768_{title}_EQU.fits.gz"
        healpy.write_map(path, sky, nest=True, partial=True, dtype=np.float32)


def _write_dust_map(world: World, directory: Path) -> None:
    path = directory / "ebv_sfd98_fullres_nside_4096_nest_equatorial_des.fits.gz"
    healpy.write_map(path, world.ebv, nest=True, dtype=np.float32, column_names=["EBV"])


def _write_healsparse(path: str, world: World, name: str, scale: float = 1.0) -> None:
    sky = healsparse.HealSparseMap.make_empty(32, NSIDE, np.float32)
    sky.update_values_pix(world.pixels, (world.survey[name] * scale).astype(np.float32), nest=True)
    sky.write(path)


def _shuffled(chosen: np.ndarray, seed: int = 2) -> np.ndarray:
    """Chosen rows in another order: survey files are not in the order of the injections."""
    return np.random.default_rng(seed).permutation(np.flatnonzero(chosen))


def _write_fits(path: Path, columns: dict[str, np.ndarray], rows: Sequence[int]) -> Path:
    names = list(columns)
    data = [columns[name][rows] for name in names]
    fitsio.write(path, data, names=names, header={"LABEL": LABEL}, clobber=True)
    return path


def _rows_of(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in columns.items()}


_WRITERS = {
    "des-y3-sof": _write_sof,
    "mini-balrog": _write_sof,
    "des-y3-metacal": _write_metacal,
    "des-y6": _write_y6,
    "lsst-ssi": _write_ssi,
}
