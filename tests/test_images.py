import numpy as np
import pytest

from data_prep.mini_balrog.images import (
    HALF_LIGHT_OF_FWHM,
    MOFFAT_BETA,
    PIXEL_SCALE,
    PsfSet,
    draw_sources,
    fluxes,
)
from data_prep.mini_balrog.population import Sources, draw_galaxies

galsim = pytest.importorskip("galsim")

SKY_NOISE = np.array([3.7, 7.0, 12.7])
FWHM = np.array([[0.95, 0.88, 0.86], [1.2, 1.1, 1.0]])


def source(mag=20.0, radius=0.5, bulge=0.3, g1=0.1, g2=-0.2):
    columns = ([[mag + 1, mag + 0.5, mag, mag - 0.3]], [radius], [bulge], [g1], [g2])
    return Sources(*(np.array(column, dtype=float) for column in columns))


def draw(sources, x, y, size=128, psf=0):
    index = np.full(len(sources), psf)
    return draw_sources(sources, np.atleast_1d(x), np.atleast_1d(y), index, PsfSet(FWHM),
                        SKY_NOISE, size)  # fmt: skip


def galsim_draw(one, x, y, size, fwhm):
    """The same source by GalSim's own drawImage."""
    radius, share = one.half_light_radius[0], one.bulge_fraction[0]
    if radius > 0:
        bulge = share * galsim.DeVaucouleurs(half_light_radius=radius)
        galaxy = bulge + (1 - share) * galsim.Exponential(half_light_radius=radius)
        profile = galsim.Convolve(
            [galaxy.shear(g1=one.g1[0], g2=one.g2[0]), galsim.Moffat(MOFFAT_BETA, fwhm=fwhm)]
        )
    else:
        profile = galsim.Moffat(MOFFAT_BETA, fwhm=fwhm)
    middle = (size - 1) / 2
    image = profile.drawImage(
        nx=size, ny=size, scale=PIXEL_SCALE, offset=(x - middle, y - middle), dtype=np.float64
    )
    return image.array


@pytest.mark.parametrize(
    "one",
    [
        source(),
        source(mag=23.0, radius=0.25, bulge=0.9, g1=0.3),
        source(mag=18.5, radius=1.2, bulge=0.5, g2=0.5),
        source(mag=21.0, radius=0.7, bulge=0.0),
        source(mag=17.5, radius=0.0),
    ],
    ids=["plain", "small bulge", "bright", "disk", "star"],
)
def test_agrees_with_galsims_own_drawing(one):
    image = draw(one, 63.3, 64.8)
    for band, flux in enumerate(fluxes(one)[:, 0]):
        expected = flux * galsim_draw(one, 63.3, 64.8, 128, FWHM[0, band])
        # The stamps end where the light is below the noise; inside, both must agree.
        assert np.abs(image[band] - expected).max() < 0.1 * SKY_NOISE[band]


def test_no_flux_is_lost():
    galaxies = draw_galaxies(40, np.random.default_rng(3), weighted=True)
    x, y = np.random.default_rng(4).uniform(200, 312, (2, 40))
    image = draw(galaxies, x, y, size=512)
    # A thousandth of a magnitude is 9e-4.
    np.testing.assert_allclose(image.sum(axis=(1, 2)), fluxes(galaxies).sum(axis=1), rtol=2e-5)


def test_flux_is_counts_at_zero_point_30():
    assert fluxes(source(mag=25.0))[1, 0] == pytest.approx(100.0)


@pytest.mark.parametrize("psf", [0, 1])
def test_psf_has_the_given_fwhm(psf):
    star = draw(source(mag=18.0, radius=0.0), 64.0, 64.0, psf=psf)
    centre = galsim.PositionD(64, 64)
    for band, fwhm in enumerate(FWHM[psf]):
        image = galsim.Image(star[band].astype(float), scale=PIXEL_SCALE, xmin=0, ymin=0)
        # GalSim measures in steps of the pixel, and the pixel adds its own width in quadrature.
        expected = np.hypot(fwhm, PIXEL_SCALE)
        assert image.calculateFWHM(center=centre) == pytest.approx(expected, rel=0.04)


def test_half_light_radius_of_the_psf_is_galsims():
    moffat = galsim.Moffat(MOFFAT_BETA, fwhm=1.0)
    np.testing.assert_allclose(HALF_LIGHT_OF_FWHM, moffat.half_light_radius, rtol=1e-6)


@pytest.mark.parametrize(("x", "y"), [(60.0, 60.0), (60.5, 59.25), (61.99, 60.01)])
def test_source_lies_where_it_was_put(x, y):
    image = draw(source(), x, y)[1].astype(np.float64)
    rows, columns = np.indices(image.shape)
    # Weighted, since the outermost light of a stamp is folded to one side.
    weight = image * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 4**2)
    assert (weight * columns).sum() / weight.sum() == pytest.approx(x, abs=0.002)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(y, abs=0.002)


def test_source_off_the_edge_does_not_wrap_around():
    image = draw(source(mag=18.0), -3.0, 64.0)[1]
    assert image[:, :8].sum() > 1000
    assert np.abs(image[:, -40:]).max() < 1e-3


def test_source_far_off_the_image_leaves_it_empty():
    assert not draw(source(), -500.0, 9000.0).any()


def test_sources_add():
    two = draw_galaxies(2, np.random.default_rng(0), weighted=True)
    x, y = np.array([40.0, 70.0]), np.array([50.0, 52.5])
    apart = sum(draw(two.take(np.array([k])), x[k], y[k]) for k in range(2))
    np.testing.assert_allclose(draw(two, x, y), apart, atol=1e-3)
