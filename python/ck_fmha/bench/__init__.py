"""How fast attention is, as ratios to torch's matmul and to its peers inside one run: ``python -m ck_fmha.bench``.

Every number that counts is a ratio of two calls timed in the same rounds, so that a machine whose speed drifts slows
both alike. The modules, in the order in which a run goes through them:

    settings.py     what a run measures: sections, masks, sizes; the presets
    cases.py        the masks and how many FLOPs their live tiles cost
    measuring.py    rounds of interleaved calls, medians of ratios
    peers.py        SDPA and FlexAttention with the same masks; flex_masks.py the masks as FlexAttention takes them
    rates.py        rates beside matmul and peers; also the short sequences beside SDPA
    tiles.py        time per live tile, long beside short; edge tiles beside full ones
    scaling.py      more threads, beside matmul with as many
    memory.py       peak extra memory of a call, each in a process of its own (memory_probe.py)
    overhead.py     an eager call beside the native call it makes
    aims.py         which ratios are aimed at, and whether these rows reach them
    report.py       runs the sections and gathers their rows
    table.py, chart.py   the report as text and as a picture
    cuda.py         all of this for an NVIDIA GPU; cuda_peers.py what it is timed beside,
                    cuda_balance.py how long its work-groups run, cuda_table.py the report
"""

from ck_fmha.bench.report import Report, run
from ck_fmha.bench.settings import Group, Settings, preset

__all__ = ["Group", "Report", "Settings", "preset", "run"]
