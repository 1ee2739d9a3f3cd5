"""Registers, spills and shared memory that instances for AMD GPUs need, from their code objects' metadata.

make amd-resources
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile

from ck_fmha import _instances
from ck_fmha._instance import Instance

# One of each, of the names of csrc/gpu/kernel/mask_image.hpp.
STRUCTURES = (
    "full", "diagonal", "prefix_lm", "longformer", "longformer_tokens", "big_bird", "big_bird_table", "strided",
    "fixed", "documents", "lengths", "neighborhood", "block_list", "deepspeed_fixed", "deepspeed_variable",
    "deepspeed_longformer", "deepspeed_big_bird", "deepspeed_big_bird_table", "and_<longformer, diagonal>",
    "and_<documents, diagonal>",
)  # fmt: skip


def metadata(code: bytes) -> dict[str, dict[str, int]]:
    """The numbers that a code object states of each of its kernels."""
    with tempfile.NamedTemporaryFile(suffix=".co") as file:
        file.write(code)
        file.flush()
        command = ("llvm-readelf-19", "--notes", file.name)
        notes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kernels: dict[str, dict[str, int]] = {}
    for part in notes.split("- .agpr_count:")[1:]:
        numbers = {
            name: int(value) for name, value in re.findall(r"\.(\w+): +(\d+)$", ".agpr_count:" + part, re.MULTILINE)
        }
        name = re.search(r"\.name: +(ck_fmha_\w+)", part)
        assert name is not None
        kernels[name[1]] = numbers
    return kernels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="gfx942", help="(default: %(default)s)")
    parser.add_argument("--kernels", default="fwd", help="fwd, bwd, bwd_deterministic or bwd_dq (default: %(default)s)")
    options = parser.parse_args()
    columns = {
        "VGPRs": "vgpr_count", "AGPRs": "agpr_count", "SGPRs": "sgpr_count", "VGPR spills": "vgpr_spill_count",
        "SGPR spills": "sgpr_spill_count", "scratch": "private_segment_fixed_size", "LDS": "group_segment_fixed_size",
    }  # fmt: skip
    print(f"{'':82}" + "".join(f"{name:>13}" for name in columns))
    for structure in STRUCTURES:
        for dtype in ("fp16", "bf16"):
            for head_dim in (32, 64, 128, 256):
                instance = Instance(structure, dtype, head_dim, 4, options.arch, options.kernels)
                for kernel, needs in metadata(_instances.code_object(instance)).items():
                    numbers = "".join(f"{needs[name]:13}" for name in columns.values())
                    print(f"{instance!s:60}{kernel:22}{numbers}", flush=True)


if __name__ == "__main__":
    main()
