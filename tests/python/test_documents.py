"""Pages that a command writes say what the code says now."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ck_fmha import masks

ROOT = Path(__file__).parents[2]


def test_gallery_is_current():
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "gallery.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", ["docs/gallery.md", "README.md"])
def test_links_and_pictures_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_numbers_of_the_docstring():
    quoted = re.search(r"TileCounts\(.*\)", masks.__doc__)
    mask = masks.BigBird(block_size=64) & masks.Causal()
    assert repr(mask.num_tiles(4096, 4096)) == quoted.group()
