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


def test_directory_as_a_source(tmp_path):
    (tmp_path / "hats" / "Norder=0").mkdir(parents=True)
    (tmp_path / "hats" / "Norder=0" / "a.parquet").write_bytes(b"abc")
    (tmp_path / "hats" / "properties").write_bytes(b"12345")
    source = provenance("", [tmp_path / "hats"])["sources"][0]
    assert (source["name"], source["bytes"], len(source["sha256"])) == ("hats", 8, 64)
