"""Work that is shared by the processes of a launcher (`accelerate launch -m barcodemae ...`)."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from barcodemae.errors import BarcodeMAEError, ConfigurationError

Block = TypeVar("Block")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes that run this command.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    rank: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def together(self, work: Callable[[], Result]) -> Result:
        """Call a function in every process. If it fails in one, it fails in all, so that none waits for another.

        Args:
            work: called once in each process.

        Returns:
            The result of the call in this process.

        Raises:
            BarcodeMAEError: bad input, in this process or in another.
            RuntimeError: another process failed or ended.
        """
        if self.count == 1:
            return work()
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        # Not all errors can be pickled.
        failures = self._gather_in_all(
            None if failure is None else (isinstance(failure, BarcodeMAEError), str(failure))
        )
        if failure is not None:
            raise failure
        for is_bad_input, message in filter(None, failures):
            raise BarcodeMAEError(message) if is_bad_input else RuntimeError(f"another process failed: {message}")
        return result

    def share(self, blocks: Iterable[Block], work: Callable[[Block], Result]) -> Iterator[Result]:
        """Distribute work on blocks over the processes.

        Every process must iterate, and over the same blocks. As many blocks as there are processes are in memory at a
        time.

        Args:
            blocks: the blocks.
            work: called with each block in one of the processes; its results must be picklable.

        Yields:
            In the first process all results, in the order of the blocks; in the others nothing.

        Raises:
            BarcodeMAEError, RuntimeError: as from `together`.
        """
        remaining = iter(blocks)

        def work_on_own() -> tuple[int, Result | None]:
            turn = list(itertools.islice(remaining, self.count))
            return len(turn), work(turn[self.rank]) if self.rank < len(turn) else None

        while True:
            num_blocks, own = self.together(work_on_own)
            if num_blocks == 0:
                return
            yield from self._gather_in_first(own)[:num_blocks]

    def _gather_in_all(self, value: Any) -> list[Any]:
        """The values of all processes, in every process."""
        from torch import distributed

        values: list[Any] = [None] * self.count
        with _explained_disconnection():
            distributed.all_gather_object(values, value)
        return values

    def _gather_in_first(self, value: Any) -> list[Any]:
        """The values of all processes, in the first process; nothing in the others."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[Any] | None = [None] * self.count if self.is_first else None
        with _explained_disconnection():
            distributed.gather_object(value, values)
        return values or []


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Connect the processes of the launcher; without a launcher, there is only this process.

    Each process uses a GPU of its own if there are enough. torch is imported only if there are several processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1)
        return
    from torch import distributed

    _choose_device()
    # NCCL would wait for a process that has ended, where gloo notices the closed connection.
    distributed.init_process_group("gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def separate_process() -> Processes:
    """Separate this process from the others of its launcher, with which it will not communicate.

    From now on it works, and reports errors, as if it were alone. Where there is no launcher, the environment variables
    `RANK` and `WORLD_SIZE` may be set by hand, such as in jobs on several machines.

    Returns:
        Its number, and the number of processes.

    Raises:
        ConfigurationError: the variables are not those of a process.
    """
    rank, count = (os.environ.pop(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise ConfigurationError(f"RANK={rank}, WORLD_SIZE={count}: expected a number from 0 to WORLD_SIZE - 1")
    if "LOCAL_RANK" in os.environ:
        _choose_device()
    return Processes(int(rank), int(count))


def _choose_device() -> None:
    """Choose the GPU of this process, where the launcher uses GPUs."""
    import torch
    from accelerate.utils import parse_flag_from_env

    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


@contextmanager
def _explained_disconnection() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError("another process ended before the work was done") from error
