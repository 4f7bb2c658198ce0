"""The store: media by hash, results by key, derived files; one URL, a folder or a bucket.

    media/<sha256[0:2]>/<sha256>                                                        bytes as they came
    results/v1/<sha256[0:2]>/<sha256>/<processor>/<version>/<digest[0:16]>/<leaf>/      a Zarr v3 group
        manifest.json                         written last: what there is, and the SHA-256 of every object
        <output>/values, times, durations     rows; the output without a name is `result`
        <output>/levels/<n>                   coarser levels of framewise rows
    derived/…                                 pictures and transcodes
    references/<sha256[0:2]>/<sha256>         where a media lies that is used in place
    uploads/<id[-2:]>/<id>/<leaf>             parts of uploads under way

Objects are written once, under a leaf that each writer draws for itself: nothing is renamed or overwritten.
"""

from timeside_core.store.objects import Objects
from timeside_core.store.reader import StoredResult
from timeside_core.store.store import Store
from timeside_core.store.writer import ResultKey, ResultWriter, Stored

__all__ = ["Objects", "ResultKey", "ResultWriter", "Store", "Stored", "StoredResult"]
