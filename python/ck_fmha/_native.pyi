from collections.abc import Sequence

class Mask:
    def __init__(self, structure: str, params: list[int], data: list[tuple[int, int]]) -> None: ...
    def materialize(self, where: tuple[int, int, int, int]) -> bytearray: ...
    def tile_status(self, where: tuple[int, int, int, int], tile: tuple[int, int]) -> bytearray: ...
    def count_tiles(self, where: tuple[int, int, int, int], tile: tuple[int, int]) -> list[int]: ...
    def count_attended(self, where: tuple[int, int, int, int]) -> int: ...
    def check_counts(self, batch: int, num_heads: int) -> None: ...
    @property
    def varies_by_head(self) -> bool: ...
    @property
    def varies_by_batch(self) -> bool: ...

Tensor = tuple[int, int, int, int]
Sizes = tuple[int, int, int, int, int, int, int]
Scores = tuple[int, int, int, int, int]
Extras = tuple[Scores, int, float, Scores, tuple[int, int], float, int]

def attention_forward(
    mask: Mask,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    num_threads: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: int,
    extras: Extras | None,
) -> None: ...
def attention_backward(
    mask: Mask,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    num_threads: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: int,
    d_o: Tensor,
    dlse: int,
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    dbias: Scores,
    extras: Extras | None,
) -> None: ...
def dropout_mask(out: int, sizes: tuple[int, int, int, int], dropout_p: float, seed: int, num_threads: int) -> None: ...

class FwdPlan:
    def __init__(self, mask: Mask, sizes: Sizes, num_compute_units: int, lanes: int = 64) -> None: ...
    @staticmethod
    def columns(mask: Mask, sizes: Sizes, num_compute_units: int, lanes: int = 64) -> FwdPlan: ...
    def workspace_size(self, head_dim_v: int) -> int: ...
    @property
    def tile(self) -> tuple[int, int]: ...
    @property
    def groups(self) -> list[tuple[str, int]]: ...
    @property
    def num_work_groups(self) -> int: ...
    @property
    def num_merges(self) -> int: ...

class GpuDriver:
    @staticmethod
    def load(backend: str, path: str, folders: list[str]) -> GpuDriver: ...
    def device(self, device: int) -> tuple[str, int]: ...
    def accesses_host_memory(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def num_devices(self) -> int: ...

class GpuPlan:
    @staticmethod
    def find(driver: GpuDriver, device: int, mask: Mask, sizes: Sizes) -> GpuPlan: ...
    @staticmethod
    def find_columns(driver: GpuDriver, device: int, mask: Mask, sizes: Sizes) -> GpuPlan: ...
    def workspace_size(self, head_dim_v: int) -> int: ...
    @property
    def groups(self) -> list[tuple[str, int]]: ...

class FwdModule:
    def __init__(self, driver: GpuDriver, device: int, image: bytes, name: str) -> None: ...
    def read_variable(self, name: str) -> bytes: ...

class BwdModule:
    def __init__(self, driver: GpuDriver, device: int, image: bytes, name: str) -> None: ...
    def read_variable(self, name: str) -> bytes: ...

class BwdDqModule:
    def __init__(self, driver: GpuDriver, device: int, image: bytes, name: str) -> None: ...
    def read_variable(self, name: str) -> bytes: ...

def instance_head_dim(head_dim: int, head_dim_v: int) -> int: ...
def gpu_forward(
    plan: GpuPlan,
    modules: Sequence[FwdModule],
    stream: int,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: int,
    workspace: int,
    extras: Extras | None,
) -> None: ...
def bwd_workspace_size(columns: GpuPlan, rows: GpuPlan | None, sizes: Sizes) -> int: ...
def gpu_backward(
    columns: GpuPlan,
    modules: Sequence[BwdModule],
    rows: GpuPlan | None,
    dq_modules: Sequence[BwdDqModule],
    stream: int,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    tensors: Sequence[Tensor],
    lse: int,
    dlse: int,
    workspace: int,
    extras: Extras | None,
    dbias: Scores,
    sums_bias: bool,
) -> None: ...

class CkTileMasks:
    @staticmethod
    def find(driver: GpuDriver, device: int, mask: Mask, sizes: Sizes) -> CkTileMasks: ...
    @property
    def structures(self) -> list[str]: ...

class CkTileFwdModule:
    def __init__(self, driver: GpuDriver, device: int, image: bytes, name: str) -> None: ...

class CkTileBwdModule:
    def __init__(self, driver: GpuDriver, device: int, image: bytes, name: str) -> None: ...

CK_TILE_INCLUDE: str

def ck_tile_forward(
    masks: CkTileMasks,
    modules: Sequence[CkTileFwdModule],
    stream: int,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    tensors: Sequence[Tensor],
    lse: int,
) -> None: ...
def ck_tile_dot_do_o(
    masks: CkTileMasks,
    modules: Sequence[CkTileBwdModule],
    stream: int,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    tensors: Sequence[Tensor],
    lse: int,
    d: int,
    dq_acc: int,
) -> None: ...
def ck_tile_dq_dk_dv(
    masks: CkTileMasks,
    modules: Sequence[CkTileBwdModule],
    stream: int,
    dtype: int,
    sizes: Sizes,
    softmax_scale: float,
    tensors: Sequence[Tensor],
    lse: int,
    d: int,
    dq_acc: int,
) -> None: ...
def isa_name() -> str: ...
def available_isas() -> list[str]: ...
def build_info() -> dict[str, str]: ...

TILE: tuple[int, int]
FLOAT32: int
BFLOAT16: int
FLOAT16: int
FLOAT64: int
