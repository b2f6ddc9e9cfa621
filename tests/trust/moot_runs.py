"""What of rows C1 to C24 no test here can show, and why."""

from __future__ import annotations

MOOT_C = {
    "C20, NFS": (
        "No network disk can be mounted in a test. Nothing there is trusted with what such disks "
        "get wrong: the newest checkpoint is told by the number in its name, and writing relies on "
        "renaming and linking within one folder alone."
    ),
    "C21, another BLAS": (
        "NumPy's wheels bring one BLAS, OpenBLAS. Its one and two threads differ as two libraries "
        "would, in the order of sums; the tests compare these to 1e-10."
    ),
    "C16, 1 GB kept": (
        "The upload of 1 GiB is sent as far as the studio lets it be: it is refused by its "
        "declared length, or counted and refused at the cap, and never held."
    ),
}
