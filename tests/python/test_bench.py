"""python -m ck_fmha.bench: what it counts, compares and refuses. No test asserts on a time."""

import json
import math
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import ck_fmha
from ck_fmha import masks
from ck_fmha.bench import Group, Settings, aims, preset
from ck_fmha.bench import __main__ as command
from ck_fmha.bench import peers as bench_peers
from ck_fmha.bench.cases import MASKS, flops, live_tiles
from ck_fmha.bench.flex_masks import block_mask, mask_mod
from ck_fmha.bench.measuring import Timed, Times, measure
from ck_fmha.bench.memory import exponent
from ck_fmha.bench.peers import LeftOut, Peer, make_peer
from ck_fmha.bench.rates import RateRow
from ck_fmha.bench.report import Report
from ck_fmha.bench.scaling import thread_counts
from ck_fmha.bench.settings import SECTIONS
from ck_fmha.bench.table import render
from ck_fmha.bench.tiles import edge_pairs
from scripts import run_python

HEADS = 3


@pytest.mark.parametrize(
    ("name", "seqlen"),
    # Big Bird draws random blocks: one block has none to draw.
    [(name, seqlen) for name in MASKS for seqlen in (64, 700, 1024) if seqlen > 64 or not name.startswith("big_bird")],
)
def test_counts_are_those_of_brute_force(name, seqlen):
    tiles = elements = 0
    for head in range(HEADS):
        attended = MASKS[name].materialize(seqlen, seqlen, head=head)
        for rows in attended.split(64):
            for tile in rows.split(64, dim=1):
                if tile.any():
                    tiles += 1
                    elements += tile.numel()
    assert live_tiles(MASKS[name], seqlen, HEADS, 2) == 2 * tiles
    assert flops(MASKS[name], seqlen, 48, HEADS, 2, "forward") == 2 * elements * 4 * 48
    assert flops(MASKS[name], seqlen, 48, HEADS, 2, "forward+backward") == 2 * elements * 14 * 48


def test_flops_agree_with_the_masks_own_count():
    mask = masks.Longformer(512, 64)
    own = mask.flops(1000, 1000, 64, num_heads=2, batch=3)
    assert flops(mask, 1000, 64, 2, 3, "forward") == own.forward
    assert flops(mask, 1000, 64, 2, 3, "forward+backward") == own.forward + own.backward


def test_edge_pairs_have_equally_many_tiles_all_edge_and_all_full():
    for name, (edge, full) in edge_pairs(256).items():
        of_edge, of_full = edge.num_tiles(256, 256), full.num_tiles(256, 256)
        assert of_edge.live == of_edge.edge == of_full.live == of_full.full > 0, name


@pytest.mark.parametrize("name", MASKS)
def test_flex_attention_gets_the_same_mask(name):
    from torch.nn.attention.flex_attention import create_block_mask

    seqlen = 1024
    predicate = mask_mod(name, seqlen, HEADS)
    i, j = torch.arange(seqlen)[:, None], torch.arange(seqlen)[None]
    for head in range(HEADS):
        found = predicate(torch.tensor(0), torch.tensor(head), i, j).expand(seqlen, seqlen)
        assert torch.equal(found, MASKS[name].materialize(seqlen, seqlen, head=head)), head
    ours = block_mask(name, seqlen, HEADS)
    own = create_block_mask(predicate, None, HEADS, seqlen, seqlen, device="cpu")
    assert torch.equal(ours.to_dense().expand(1, HEADS, -1, -1), own.to_dense())
    assert torch.equal(ours.full_kv_num_blocks.expand(1, HEADS, -1), own.full_kv_num_blocks), (
        "blocks that need no predicate"
    )


def q_k_v(seqlen=128):
    return torch.randn(3, 1, 2, seqlen, 16).unbind()


@pytest.mark.parametrize(
    ("peer", "mask", "applies"),
    [
        ("sdpa", "full", True),
        ("sdpa", "window", True),
        ("sdpa_bool", "window", True),
        ("sdpa_bool", "full", False),
        ("sdpa_causal", "causal", True),
        ("sdpa_causal", "window", False),
    ],
)
def test_peers_apply_to_their_masks(peer, mask, applies):
    made = make_peer(peer, mask, *q_k_v(), 1 << 30)
    assert isinstance(made, Peer) if applies else made is None


def test_a_peer_that_needs_too_much_memory_is_left_out():
    needed = 128 * 128 * 5
    assert isinstance(make_peer("sdpa_bool", "window", *q_k_v(), needed), Peer)
    left_out = make_peer("sdpa_bool", "window", *q_k_v(), needed - 1)
    assert isinstance(left_out, LeftOut) and "seqlen²" in left_out.reason


def test_a_peer_that_computes_something_else_ends_the_run(monkeypatch, raises):
    dense = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setitem(bench_peers._MAKERS, "sdpa_bool", lambda *_: Peer(dense, True))
    raises(RuntimeError, lambda: make_peer("sdpa_bool", "causal", *q_k_v(), 1 << 30), "causal", "differ")


def test_a_peer_that_fails_is_left_out(monkeypatch):
    def broken(q, k, v):
        raise OSError("no compiler\nand more")

    monkeypatch.setitem(bench_peers._MAKERS, "flex", lambda *_: Peer(broken, False))
    made = make_peer("flex", "causal", *q_k_v(), 1 << 30)
    assert isinstance(made, LeftOut) and made.reason == "failed: OSError: no compiler"


def test_ratios_are_medians_of_what_was_timed_in_the_same_round():
    # The second round ran at a third of the speed; the ratio of medians would be 4.
    times = Times({("a",): [2.0, 6.0, 8.0], ("b",): [1.0, 3.0, 1.5]})
    assert times.ratio(("a",), ("b",)) == 2.0
    assert times.difference(("a",), ("b",)) == 3.0
    assert times.median(("a",)) == 6.0 and times.rounds == 3


def test_rounds_are_interleaved_and_threads_put_back():
    torch.set_num_threads(1)
    called = []

    def call(name):
        def run():
            called.append((name, torch.get_num_threads()))

        return run

    times = measure({("a",): Timed(call("a"), 1), ("b",): Timed(call("b"), 2)}, seconds=1e-9, max_rounds=4)
    assert times.rounds == 3 and torch.get_num_threads() == 1
    turns = [called[0], *(now for before, now in pairwise(called) if now != before)]
    assert turns == [("a", 1), ("b", 2)] * 4  # warming up, and three rounds


def test_thread_counts():
    assert [thread_counts(n) for n in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]


def test_exponent_of_linear_and_quadratic_memory():
    assert exponent(((16, 1600), (64, 6400))) == pytest.approx(1)
    assert exponent(((1, 999), (16, 256), (64, 4096))) == pytest.approx(2)  # of the two longest


def test_memory_probe_sees_the_outputs_of_a_call():
    # float32, 2 heads, head_dim 64: the output has 4 MiB, the three gradients 12 more, at seqlen 8192.
    size = 8192 * 2 * 64 * 4
    for direction, low, high in (("forward", 0.95, 2), ("forward+backward", 3.9, 6)):
        done = run_python("-m", "ck_fmha.bench.memory_probe", "window", "8192", "64", "2", "1", direction, "1")
        assert done.returncode == 0, done.stderr
        assert low * size < int(done.stdout) < high * size, direction


def row(**changes) -> RateRow:
    made = RateRow(
        mask="longformer",
        seqlen=4096,
        head_dim=64,
        dtype="float32",
        heads=4,
        batch=1,
        threads=2,
        direction="forward",
        live_tiles=2696,
        rounds=3,
        milliseconds=10.0,
        matmul_gflops=200.0,
        of_matmul=0.9,
        over_float32=None,
        over={},
        left_out={},
    )
    return replace(made, **changes)


def verdicts(made, bf16_products=False):
    return {v.aim: v.holds for v in aims.judge_rate(made, bf16_products=bf16_products)}


def test_aims_of_rates():
    training = "forward+backward"
    assert verdicts(row(of_matmul=0.85)) == {str(aims.FORWARD): True}
    assert verdicts(row(of_matmul=0.84)) == {str(aims.FORWARD): False}
    assert verdicts(row(of_matmul=math.nan)) == {str(aims.FORWARD): False}
    assert verdicts(row(of_matmul=0.75, direction=training)) == {str(aims.TRAINING): True}
    assert verdicts(row(of_matmul=0.74, direction=training)) == {str(aims.TRAINING): False}
    for changes in ({"seqlen": 2048}, {"head_dim": 32}, {"mask": "full"}, {"mask": "big_bird_causal"}):
        assert verdicts(row(**changes)) == {}, "not aimed at"


@pytest.mark.parametrize(
    ("mask", "direction", "peer", "aim", "bound"),
    [
        ("longformer", "forward", "flex", aims.LONGFORMER_FLEX, 3.5),
        ("longformer", "forward", "sdpa_bool", aims.LONGFORMER_SDPA, 9),
        ("big_bird", "forward", "flex", aims.BIG_BIRD_FLEX, 9),
        ("big_bird", "forward", "sdpa_bool", aims.BIG_BIRD_SDPA, 14),
        ("longformer", "forward+backward", "sdpa_bool", aims.TRAINING_SDPA, 10),
        ("big_bird", "forward+backward", "sdpa_bool", aims.TRAINING_SDPA, 10),
        ("causal", "forward", "sdpa_causal", aims.CAUSAL_FORWARD, 1.1),
        ("causal", "forward+backward", "sdpa_causal", aims.CAUSAL_TRAINING, 1.3),
        ("full", "forward", "sdpa", aims.FULL, 1),
        ("full", "forward+backward", "sdpa", aims.FULL, 1),
    ],
)
def test_aims_over_peers(mask, direction, peer, aim, bound):
    made = row(mask=mask, direction=direction)
    assert verdicts(replace(made, over={peer: bound}))[str(aim)] is True
    assert verdicts(replace(made, over={peer: bound - 0.01}))[str(aim)] is False
    assert str(aim) not in verdicts(made), "the peer was not timed"


def test_aims_of_16_bit_dtypes():
    half = row(dtype="float16", over_float32=1.0)
    assert verdicts(half) == {str(aims.SIXTEEN_BITS): True}
    assert verdicts(replace(half, over_float32=0.99)) == {str(aims.SIXTEEN_BITS): False}
    brain = replace(half, dtype="bfloat16", over_float32=1.39)
    assert verdicts(brain) == {str(aims.SIXTEEN_BITS): True}
    assert verdicts(brain, bf16_products=True) == {str(aims.SIXTEEN_BITS): True, str(aims.BFLOAT16): False}


def test_aims_of_short_sequences_compare_with_the_same_mask():
    over = {"sdpa": 0.5, "sdpa_bool": 1.2, "sdpa_causal": 0.9}
    held = {mask: aims.judge_short(row(mask=mask, over=over))[0].holds for mask in ("full", "causal", "window")}
    assert held == {"full": False, "causal": False, "window": True}
    assert aims.judge_short(row(mask="window", over={"sdpa": 2.0})) == ()


def test_bounds_that_are_below_and_at_most():
    assert aims.LONG_TILE.judge(1.1, "").holds and not aims.LONG_TILE.judge(1.11, "").holds
    assert aims.EDGE_TILE.judge(1.29, "").holds and not aims.EDGE_TILE.judge(1.3, "").holds
    assert aims.OVERHEAD.judge(14.9, "").holds and not aims.OVERHEAD.judge(15.0, "").holds
    assert aims.SCALING.judge(0.95, "").holds and not aims.SCALING.judge(0.94, "").holds


def test_summary_counts_and_names_the_worst():
    found = [aims.FORWARD.judge(v, f"row {v}") for v in (0.9, 0.5, 0.86)] + [aims.OVERHEAD.judge(3, "tiny")]
    lines = {line.aim: line for line in aims.summarize(found)}
    assert list(lines) == [str(aim) for aim in aims.AIMS]
    forward = lines[str(aims.FORWARD)]
    assert (forward.held, forward.checked, forward.worst, forward.where) == (2, 3, 0.5, "row 0.5")
    assert forward.state == "missed"
    assert lines[str(aims.OVERHEAD)].state == "holds"
    assert lines[str(aims.MEMORY)].state == "not measured" and lines[str(aims.MEMORY)].worst is None


def test_table_says_what_is_missed_and_what_is_left_out():
    made = row(of_matmul=0.5, over={"sdpa_bool": 9.5}, left_out={"flex": "no compiler"})
    judged = replace(made, verdicts=aims.judge_rate(made, bf16_products=False))
    settings = Settings((Group(4096, 64, ("longformer",), ("float32",), ()),), sections=("rates", "threads"))
    report = Report({"CPU": "made up"}, settings, rates=[judged], left_out={"threads": "one thread"})
    text = render(report)
    for words in (
        "holds; missed: of matmul ≥ 0.85",
        "9.50×",
        "no compiler",
        "left out: one thread",
        "1 of 1",
        "made up",
    ):
        assert words in text, text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sections", "rates", "speed"], ["sections", "speed", "overhead"]),
        (["--masks", "sliding"], ["masks", "sliding", "window"]),
        (["--masks", "causal", "causal"], ["masks", "repeat", "causal"]),
        (["--dtypes", "int8"], ["dtypes", "int8", "bfloat16"]),
        (["--peers", "xformers"], ["peers", "xformers", "flex"]),
        (["--seqlens", "0"], ["seqlen", "0"]),
        (["--head-dims", "257"], ["head_dim", "257", "256"]),
        (["--heads", "0"], ["heads", "0"]),
        (["--batch", "-1"], ["batch", "-1"]),
        (["--threads", "0"], ["threads", "0"]),
        (["--max-rounds", "0"], ["max_rounds", "0"]),
        (["--seconds", "nan"], ["seconds", "nan"]),
        (["--peer-memory", "-1"], ["peer-memory", "-1"]),
        (["--section-seqlen", "0"], ["section_seqlen", "0"]),
        (["--tile-seqlens", "64"], ["tile_seqlens", "64"]),
        (["--tile-seqlens", "64", "128", "256"], ["tile_seqlens", "short and a long"]),
        (["--memory-seqlens", "128", "64"], ["memory_seqlens", "ascending"]),
        (["--device", "cuda", "--heads", "4"], ["--heads", "--device cpu"]),
        (["--device", "cuda", "--masks", "full"], ["masks", "full", "big_bird"]),
        (["--device", "cuda", "--seqlens", "64"], ["seqlens", "64", "16384"]),
        (["--plot", "chart.jpeg"], ["png", "svg", "chart.jpeg"]),
        (["--json", "nowhere/bench.json"], ["nowhere", "bench.json"]),
        (["--quick", "--full"], ["--quick", "--full"]),
    ],
)
def test_arguments_that_are_refused(options, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "run", lambda settings: pytest.fail("it began to measure"))
    with pytest.raises(SystemExit) as caught:
        command.main(options)
    output, errors = capsys.readouterr()
    assert caught.value.code == 2 and output == ""
    assert errors.count("\n") == 1, errors
    for word in words:
        assert word in errors


def test_settings_are_those_of_the_cpu(raises):
    raises(ValueError, lambda: replace(preset(), device="cuda"), "device", "cuda")


def test_without_matplotlib_the_chart_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "run", lambda settings: pytest.fail("it began to measure"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit):
        command.main(["--plot", str(tmp_path / "chart.png")])
    assert "ck_fmha[bench]" in capsys.readouterr().err


def test_presets_and_what_is_given_in_place_of_them():
    quick, full = preset("quick"), preset("full")
    assert quick.sections == full.sections == tuple(SECTIONS)
    sizes = {(group.seqlen, group.head_dim) for group in full.groups}
    assert sizes == {(n, d) for n in (256, 2048, 4096, 16384, 32768) for d in (64, 128)}
    options = ["--seqlens", "512", "1024", "--masks", "full", "--peers", "--heads", "7", "--peer-memory", "0.5"]
    given = command.settings_of(command._arguments().parse_args(options))
    assert [(group.seqlen, group.masks, group.peers) for group in given.groups] == [
        (512, ("full",), ()),
        (1024, ("full",), ()),
    ]
    assert given.short.masks == given.ratio_masks == given.memory_masks == ("full",)
    assert given.heads == 7 and given.peer_memory == 1 << 29


def test_a_tiny_run_prints_writes_and_draws(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    results, chart = tmp_path / "bench.json", tmp_path / "bench.png"
    sections = [name for name in SECTIONS if name != "memory"]  # it starts processes: see the test of its probe
    options = (
        f"--quick --sections {' '.join(sections)} --masks window causal --seqlens 128 --dtypes float32 bfloat16 "
        "--peers sdpa sdpa_bool sdpa_causal --tile-seqlens 128 256 --section-seqlen 128 --heads 2 --threads 2 "
        "--seconds 0.01 --max-rounds 1"
    ).split()
    done = run_python("-m", "ck_fmha.bench", *options, "--json", str(results), "--plot", str(chart), timeout=300)
    assert done.returncode == 0, done.stderr
    assert chart.read_bytes().startswith(b"\x89PNG") and chart.stat().st_size > 20_000
    found = json.loads(results.read_text(encoding="utf-8"))
    assert found["environment"]["ck_fmha"] == ck_fmha.__version__
    assert found["left_out"] == {}
    rates = {(r["mask"], r["dtype"], r["direction"]): r for r in found["rates"]}
    assert len(rates) == 2 * 2 * 2
    for (mask, dtype, _), made in rates.items():
        assert made["live_tiles"] == 2 * 3 and made["of_matmul"] > 0
        peers = {"sdpa", "sdpa_bool", *(["sdpa_causal"] if mask == "causal" else [])}
        assert set(made["over"]) == (peers if dtype == "float32" else set())
        assert (made["over_float32"] is None) == (dtype == "float32")
        assert bool(made["left_out"]) == (dtype != "float32")
    assert {r["section"] for r in found["ratios"]} == {"tiles", "edges", "threads", "overhead"}
    assert all(r["value"] > 0 for r in found["ratios"] if r["section"] != "overhead")
    states = {line["aim"]: line["state"] for line in found["aims"]}
    assert states[str(aims.FORWARD)] == states[str(aims.MEMORY)] == "not measured"
    assert states[str(aims.EDGE_TILE)] != "not measured" and states[str(aims.SHORT)] != "not measured"
    for section in sections:
        assert f"== {section}" in done.stdout and f"{section}: " in done.stderr
    assert "left out: SDPA without a mask" in done.stdout
