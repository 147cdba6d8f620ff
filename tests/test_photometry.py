import numpy as np

from data_prep.photometry import flux_to_mag, mag_to_flux


def test_known_values():
    np.testing.assert_allclose(mag_to_flux([30.0, 22.5], 30.0), [1.0, 1000.0], rtol=1e-12)
    # 1 nJy is AB 31.4; 3631 Jy is AB 0 to 0.0001 mag.
    np.testing.assert_allclose(flux_to_mag([3631e9], 31.4), [0.0], atol=1e-4)


def test_inverse():
    mag = np.linspace(10, 35, 101)
    np.testing.assert_allclose(flux_to_mag(mag_to_flux(mag, 22.5), 22.5), mag, atol=1e-12)


def test_no_magnitude_without_positive_flux():
    with np.errstate(all="raise"):
        found = flux_to_mag([0.0, -3.0, np.nan], 30.0)
    assert np.isnan(found).all()
