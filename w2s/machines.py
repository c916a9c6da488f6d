"""Machines: what may change how fast a result arrives, and never the result. Nothing here enters a key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from w2s.config import Config, LocalPath


class Machine(Config):
    """What one stage of a learner runs on. More than one device, or a ZeRO stage, makes it a gang."""

    devices: int = Field(1, ge=1, le=16_384, description="ranks that train the model together, one device each")
    nodes: int | None = Field(
        None, ge=1, description="how many nodes they are spread over (default: as few as possible)"
    )
    cpus: float = Field(1, gt=0, description="cores a device reserves; its thread count")
    gpus: float = Field(1, ge=0, le=1, description="share of a GPU per device, where the cluster has any")
    zero: Literal["auto", 0, 1, 2, 3] = Field(
        "auto", description="what DeepSpeed ZeRO shards: 1 optimizer, 2 and gradients, 3 and weights; auto: what fits"
    )
    offload: Literal["none", "cpu", "nvme"] = Field(
        "none", description="where the optimizer's state lives (3: weights too)"
    )
    nvme_path: LocalPath | None = Field(None, description="a folder on a fast local disk, for offload: nvme")
    micro_batch: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="rows a device holds in memory at once"
    )
    gradient_checkpointing: bool = False
    compile: bool = Field(False, description="torch.compile the model")

    @property
    def is_gang(self) -> bool:
        """Whether the stage runs as processes of its own under DeepSpeed."""
        return self.devices > 1 or self.zero in (1, 2, 3) or self.offload != "none"

    @field_validator("zero", mode="before")
    @classmethod
    def _digit(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @model_validator(mode="after")
    def _fits(self) -> Machine:
        if self.nodes is not None and self.devices % self.nodes:
            raise ValueError(f"{self.devices} devices cannot be spread evenly over {self.nodes} nodes")
        if self.devices > 1 and 0 < self.gpus < 1:
            raise ValueError("the devices of a gang are whole GPUs: set gpus to 1 (or 0 for CPUs)")
        if self.offload != "none" and self.zero == 0:
            raise ValueError(f"offload: {self.offload} needs ZeRO: set zero to 1, 2, 3 or auto")
        if self.offload == "nvme" and self.zero not in ("auto", 3):
            raise ValueError("offload: nvme needs zero: 3")
        if self.offload == "nvme" and self.nvme_path is None:
            raise ValueError("offload: nvme needs nvme_path, a folder on a fast local disk")
        if self.compile and (self.zero == 3 or self.offload == "nvme"):
            raise ValueError(
                "compile does not go with zero: 3, whose weights come and go; use zero: 2 or compile: false"
            )
        return self


class Machines(Config):
    """Where and how a recipe runs."""

    weak: Machine = Machine(gpus=0.25)
    strong: Machine = Machine()
    models: dict[str, Machine] = Field(
        {}, description="a machine for one model, by its short name, instead of the above"
    )
    retries: int = Field(1, ge=0, le=100, description="how often a failed stage is tried again")
    checkpoint_minutes: float = Field(10, gt=0, description="how often a training stage saves where it is")
    checkpoint_steps: int | None = Field(None, ge=1, description="save every N steps as well")
    hang_minutes: float = Field(10, gt=0, description="a gang silent for so long is taken for hung, and restarted")
