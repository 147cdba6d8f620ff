import hashlib
from datetime import datetime

from data_prep.provenance import provenance


def test_sources_and_versions(tmp_path):
    path = tmp_path / "catalog.fits"
    path.write_bytes(b"abc")
    found = provenance("python -m data_prep prepare", [path])
    digest = hashlib.sha256(b"abc").hexdigest()
    assert found["sources"] == [{"name": "catalog.fits", "bytes": 3, "sha256": digest}]
    assert found["command"] == "python -m data_prep prepare"
    assert {"python", "numpy", "healpy", "data_prep"} <= set(found["versions"])
    assert datetime.fromisoformat(found["created"]).tzinfo is not None
